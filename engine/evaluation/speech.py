"""`python -m engine.evaluation.speech -o DIR`: how the avatar speaks, feels and rests, read off its video.

Voices and texts that no training used drive the shipped graph as it serves; the default portraits are rendered at
512 x 512, and MediaPipe reads every frame. `--quick` reads the face model's landmarks instead: half a minute.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from engine.cdan import CDAN_GRAPH
from engine.evaluation import material
from engine.evaluation.axes import AxisReport, axis_table, examine, summary
from engine.evaluation.causal import causal_table
from engine.evaluation.drivers import AvatarDriver, Driver, LinearDriver, LoudnessJaw, NetworkDriver
from engine.evaluation.judges import CACHE, Judge, ModelJudge, PictureJudge
from engine.evaluation.misses import misses_table
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
    moving_rows,
    rest_table,
    speech_rows,
    speech_table,
    still_table,
)
from engine.evaluation.teacher import Offline, Teacher
from engine.les import EMOTIONS, Les
from engine.portrait import default_names, default_photo, prepare
from engine.units import MAX_LOOK_AHEAD

TESTED = ("happiness", "anger", "surprise")  # the emotions that every rival is watched under too
OTHERS = tuple(emotion for emotion in EMOTIONS if emotion not in TESTED)
DRAWN = (0, 5)  # sentences of the plots


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


def fair_jaw(asked: Mapping[str, Condition]) -> LoudnessJaw:
    """A loudness jaw that opens the mouth as far on average as the articulation model that CDAN learned from."""
    unscaled = LoudnessJaw(0.25)
    mouth, model = (Subject("", driver, ModelJudge(), asked).spoken(CLEAN) for driver in (unscaled, Teacher()))
    return LoudnessJaw(round(unscaled.gain * opening(model) / opening(mouth), 3))


def subjects(graph: Path, rivals: Mapping[str, Path], judge: Judge, asked: Mapping[str, Condition]) -> list[Subject]:
    """The graph that counts, the rivals, and the articulation model as the ceiling."""
    ours = NetworkDriver(graph)
    others: dict[str, Driver] = {"loudness jaw": fair_jaw(asked)}
    others |= {name: NetworkDriver(path) for name, path in rivals.items()}
    others["linear path alone"] = LinearDriver()
    less = frozenset([RECORDED_NOISE, *map(_under, OTHERS)])
    return [
        Subject("CDAN", ours, judge, asked),
        *(Subject(name, driver, judge, asked, less) for name, driver in others.items()),
        Subject("its teacher, told the phones", Teacher(), judge, asked, less | {NOISE}),
    ]


def sections(compared: Sequence[Subject], axes: Sequence[AxisReport], graph: Path) -> Iterator[tuple[str, str]]:
    """Titles and tables; the teacher is the last subject. Some need the shipped weights or the avatar itself, and are
    left out where another graph or the face model's own landmarks are asked for."""
    ours = compared[0]
    yield "Speech", speech_table(compared, speech_rows(map(_under, (*TESTED, *OTHERS))))
    yield "Phones", class_table(ours, (CLEAN, NOISE, RECORDED))
    yield "k g n t d shut", misses_table(ours, compared[-1], (CLEAN, NOISE, RECORDED, RECORDED_NOISE))
    if graph == CDAN_GRAPH and isinstance(ours.judge, PictureJudge):
        yield "With the head's own motion", moving_table(ours)
        yield "Causal and offline", look_aheads(graph, ours.conditions)
    backgrounds = material.backgrounds().items()
    yield "No speech", still_table({name: listen(ours.driver, ours.judge, sound) for name, sound in backgrounds})
    yield "Portraits at rest, as the judge reads them", rest_table(ours.judge)
    yield "Levels", summary(axes)
    yield "Axes", axis_table(axes)


def moving_table(ours: Subject) -> str:
    """The avatar as in a call, head, gaze and blinks included, over half the sentences."""
    said = ours.conditions[CLEAN].said
    some = {CLEAN: Condition(said[: max(1, len(said) // 2)], Les())}
    avatar = AvatarDriver(prepare(default_photo(default_names()[0])))
    return speech_table([Subject("CDAN, moving", avatar, ours.judge, some)], moving_rows())


def look_aheads(graph: Path, asked: Mapping[str, Condition]) -> str:
    """The stream against the whole, which runs in torch from the shipped weights."""
    return causal_table({str(n): NetworkDriver(graph, n) for n in range(MAX_LOOK_AHEAD + 1)}, Offline(), asked)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the avatar on unseen voices, off its rendered video.")
    parser.add_argument("--quick", action="store_true", help="the face model's landmarks instead of pictures")
    parser.add_argument("--graph", type=Path, default=CDAN_GRAPH, help="another graph than the shipped one")
    parser.add_argument("--rival", action="append", default=[], metavar="NAME=GRAPH", help="a column of its own")
    parser.add_argument("--sentences", type=int, default=len(material.TEXTS), help="of the unseen voices")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where readings of pictures are kept")
    parser.add_argument("-o", "--output", type=Path, help="folder for speech.md and plots; else it is printed alone")
    options = parser.parse_args()
    with ExitStack() as stack:
        judge: Judge = ModelJudge() if options.quick else stack.enter_context(PictureJudge(options.cache))
        rivals = {name: Path(path) for name, path in (rival.split("=", 1) for rival in options.rival)}
        measure(options.graph, rivals, judge, options.sentences, options.output)


def measure(graph: Path, rivals: Mapping[str, Path], judge: Judge, sentences: int, output: Path | None) -> None:
    """Prints each table as soon as it is there."""
    asked = conditions(sentences)
    compared = subjects(graph, rivals, judge, asked)
    axes = examine(NetworkDriver(graph), judge, asked[CLEAN].said[0])
    text = []
    for title, table in sections(compared, axes, graph):
        text.append(f"## {title}\n\n{table}\n")
        print(text[-1], flush=True)
    if output:
        output.mkdir(parents=True, exist_ok=True)
        (output / "speech.md").write_text("\n".join(text))
        from engine.evaluation.plots import draw  # matplotlib is no need of the tables

        draw(compared, axes, {i: material.TEXTS[i] for i in DRAWN if i < sentences}, output)


if __name__ == "__main__":
    main()
