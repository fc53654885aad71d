"""`les-avatar prepare`: a photo becomes a prepared portrait and a quality report."""

import argparse

from engine.portrait import PortraitError
from engine.portrait import prepare as prepare_portrait
from server.commands import Refusal
from server.commands.sources import read_file


def run(options: argparse.Namespace) -> int:
    data = read_file(options.photo)
    try:
        portrait = prepare_portrait(data)
    except PortraitError as error:
        raise Refusal(f"{options.photo}: {error}") from None
    try:
        portrait.save(options.output)
    except OSError as error:
        raise Refusal(f"can't write {options.output}: {error.strerror}") from None
    for line in portrait.report.lines():
        print(line)
    return 0
