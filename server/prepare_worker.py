"""`python -m server.prepare_worker PHOTO OUT`: one photo to a prepared portrait, in a process of its own.

Preparation takes seconds of a core and much memory; here it is nice to the calls in progress, and all of it is given
back at the end. Writes `OUT`, prints one JSON object: the report, or `{"code", "message"}` and exit status 2.
"""

import json
import os
import sys
from pathlib import Path


def main(photo: Path, out: Path) -> int:
    os.nice(10)
    from engine.portrait import PortraitError, prepare

    try:
        portrait = prepare(photo.read_bytes())
    except PortraitError as error:
        print(json.dumps({"code": error.code, "message": str(error)}))
        return 2
    out.write_bytes(portrait.to_bytes())
    out.with_suffix(".jpg").write_bytes(portrait.thumbnail)
    print(json.dumps(portrait.report.to_json()))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
