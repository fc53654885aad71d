"""`python -m engine.evaluation.speech -o DIR`: how the avatar speaks, feels and rests, read off its video.

Voices and texts that no training used drive the shipped graph as it serves; the default portraits are rendered at
512 x 512, and MediaPipe reads every frame. `--quick` reads the face model's landmarks instead: half a minute.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from engine.cdan import CDAN_GRAPH
from engine.evaluation import material
from engine.evaluation.drivers import Driver, LinearDriver, LoudnessJaw, NetworkDriver
from engine.evaluation.judges import CACHE, Judge, ModelJudge, PictureJudge
from engine.evaluation.speaking import opening
from engine.evaluation.stillness import listen
from engine.evaluation.subject import Condition, Subject
from engine.evaluation.tables import (
    CLEAN,
    LEVEL,
    NOISE,
    RECORDED,
    RECORDED_NOISE,
    class_table,
    speech_rows,
    speech_table,
    still_table,
)
from engine.les import EMOTIONS, Les

TESTED = ("happiness", "anger", "surprise")  # the emotions that every rival is watched under too
OTHERS = tuple(emotion for emotion in EMOTIONS if emotion not in TESTED)


def conditions(sentences: int) -> dict[str, Condition]:
    """What is said and how, by name."""
    said, recorded = material.spoken(sentences), material.recordings()
    some = said[: max(1, sentences // 2)]
    return {
        CLEAN: Condition(said, Les()),
        NOISE: Condition(material.noisy(said, 10), Les()),
        RECORDED: Condition(recorded, Les()),
        RECORDED_NOISE: Condition(material.noisy(recorded, 10), Les()),
        **{_under(e): Condition(some, Les.of(emotion={e: LEVEL})) for e in (*TESTED, *OTHERS)},
    }


def _under(emotion: str) -> str:
    return f"{emotion} {LEVEL}"


def fair_jaw(subject: Subject) -> LoudnessJaw:
    """A loudness jaw that opens the mouth as far on average as the subject does, as the same judge sees it."""
    unscaled = LoudnessJaw(0.25)
    mouth = Subject("", unscaled, ModelJudge(), subject.conditions)
    model = Subject("", subject.driver, ModelJudge(), subject.conditions)
    return LoudnessJaw(unscaled.gain * opening(model.spoken(CLEAN)) / opening(mouth.spoken(CLEAN)))


def subjects(graph: Path, rivals: dict[str, Path], judge: Judge, sentences: int) -> list[Subject]:
    """The graph that counts, then the rivals."""
    asked = conditions(sentences)
    first = Subject("CDAN", NetworkDriver(graph), judge, asked)
    others: dict[str, Driver] = {"loudness jaw": fair_jaw(first)}
    others |= {name: NetworkDriver(path) for name, path in rivals.items()}
    others["linear path alone"] = LinearDriver()
    skipped = frozenset(map(_under, OTHERS))
    return [first, *(Subject(name, driver, judge, asked, skipped) for name, driver in others.items())]


def report(compared: Sequence[Subject]) -> str:
    """All tables."""
    first = compared[0]
    backgrounds = {name: listen(first.driver, first.judge, sound) for name, sound in material.backgrounds().items()}
    parts = {
        "Speech": speech_table(compared, speech_rows(map(_under, (*TESTED, *OTHERS)))),
        "Phones": class_table(first, (CLEAN, NOISE, RECORDED)),
        "No speech": still_table(backgrounds),
    }
    return "\n\n".join(f"## {title}\n\n{table}" for title, table in parts.items())


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the avatar on unseen voices, off its rendered video.")
    parser.add_argument("--quick", action="store_true", help="the face model's landmarks instead of pictures")
    parser.add_argument("--graph", type=Path, default=CDAN_GRAPH, help="another graph than the shipped one")
    parser.add_argument("--rival", action="append", default=[], metavar="NAME=GRAPH", help="a column of its own")
    parser.add_argument("--sentences", type=int, default=len(material.TEXTS), help="of the unseen voices")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where readings of pictures are kept")
    parser.add_argument("-o", "--output", type=Path, help="folder for tables and plots; printed alone without it")
    options = parser.parse_args()
    judge: Judge = ModelJudge() if options.quick else PictureJudge(options.cache)
    rivals = dict(rival.split("=", 1) for rival in options.rival)
    compared = subjects(options.graph, {n: Path(p) for n, p in rivals.items()}, judge, options.sentences)
    text = report(compared)
    print(text)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "speech.md").write_text(text + "\n")


if __name__ == "__main__":
    main()
