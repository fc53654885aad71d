"""The command line: parses, calls one command, and turns every refusal into one line on stderr and exit status 2."""

import argparse
import logging
import math
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from engine.backend import RUNTIMES
from engine.units import DEFAULT_LOOK_AHEAD, FRAME_SIZE, MAX_LOOK_AHEAD, MAX_SIZE, MIN_SIZE, SIZE_STEP
from server.commands import Refusal, bench, doctor, prepare, render, serve, track

ASSISTANTS = ("builtin", "endpoints", "realtime", "twilio")
ASSISTANTS_HELP = (
    "Without any of these the built-in assistant hears, replies and speaks offline. Keys come from the environment:"
    " LES_CHAT_KEY, LES_TTS_KEY, LES_STT_KEY, LES_ASSISTANT_KEY."
)
PORTRAIT_HELP = "a photo (JPEG, PNG, WebP), a file that `prepare` wrote, or the name of a default portrait"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.INFO, format="%(levelname)s %(name)s: %(message)s"
    )
    if not options.verbose:
        logging.getLogger("aioice").setLevel(logging.WARNING)  # it tells of every pair of addresses that it tries
    try:
        status: int = options.command(options)
    except Refusal as refusal:
        print(f"les-avatar: {refusal}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="les-avatar", description="One photo, a live voice and facial action units become a talking face."
    )
    parser.add_argument("--version", action="version", version=f"les-avatar {version('les-avatar')}")
    parser.add_argument("--verbose", action="store_true", help="log every detail")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands.add_parser("serve", help="the page at http://localhost:8080"))
    _add_prepare(commands.add_parser("prepare", help="check and prepare a portrait, print a quality report"))
    _add_render(commands.add_parser("render", help="a film of the talking face"))
    _add_track(commands.add_parser("track", help="a film's face as coefficients, for `render --coefficients`"))
    _add_bench(commands.add_parser("bench", help="how fast this machine is, and how many calls it holds"))
    doctor_parser = commands.add_parser("doctor", help="what this machine can do and what it lacks")
    doctor_parser.set_defaults(command=doctor.run)
    return parser


def _whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """Reads a whole number that is no less and no more than these."""

    def read(text: str) -> int:
        number = int(text)
        if number < least or (most is not None and number > most):
            raise argparse.ArgumentTypeError(
                f"must be {least} or more" if most is None else f"must be {least} to {most}"
            )
        return number

    read.__name__ = "whole number"  # what argparse calls it
    return read


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError("must be more than 0")
    return seconds


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1: this machine only)")
    parser.add_argument("--port", type=_whole(1, 65_535), default=8080)
    parser.add_argument("--portraits", type=Path, metavar="DIR", help="where prepared portraits are kept")
    parser.add_argument("--max-sessions", type=_whole(1), help="calls at once, others get 503 (default: measured)")
    _add_engines(parser)
    parser.add_argument("--stun", action="append", default=[], metavar="URL", help="stun:host:port, may be repeated")
    parser.add_argument("--turn", action="append", default=[], metavar="URL", help="turn:host:port, may be repeated")
    parser.add_argument("--turn-username", metavar="NAME", help="fixed TURN user; the password is $LES_TURN_PASSWORD")
    parser.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="another page that may call, such as https://avatar.example.org, or what a proxy calls this server",
    )
    _add_assistants(parser.add_argument_group("assistants", ASSISTANTS_HELP))
    parser.set_defaults(command=serve.run)


def _add_engines(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--runtime", choices=RUNTIMES, default="auto", help="what draws (auto: the best that this machine has)"
    )
    parser.add_argument("--plans", type=Path, metavar="DIR", help="where `python -m trt_build build` wrote")
    parser.add_argument(
        "--engines",
        type=_whole(0),
        default=0,
        help="processes that draw, one core each (default: one for every core, 8 at most)",
    )
    parser.add_argument("--look-ahead", type=int, default=DEFAULT_LOOK_AHEAD, choices=range(MAX_LOOK_AHEAD + 1))


def _add_assistants(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--assistant", default="", choices=ASSISTANTS, help="the one that sessions get unless they ask")
    for slot, does in (("chat", "replies"), ("tts", "speaks"), ("stt", "hears")):
        group.add_argument(f"--{slot}-url", metavar="URL", help=f"{does}: http://host/v1, OpenAI-compatible")
        group.add_argument(f"--{slot}-model", metavar="NAME", default="")
    group.add_argument("--tts-voice", metavar="NAME", default="")
    group.add_argument("--chat-emotion", choices=("tags", "tool"), default="tags", help="how the model shows feelings")
    group.add_argument(
        "--assistant-url", metavar="URL", help="hears, thinks and speaks: OpenAI Realtime, wss://host/v1"
    )
    group.add_argument("--assistant-model", metavar="NAME", default="")
    group.add_argument("--assistant-voice", metavar="NAME", default="")
    group.add_argument(
        "--assistant-transcription", metavar="NAME", default="", help="its model for the user's captions"
    )
    group.add_argument("--assistant-twilio", metavar="URL", help="an application made for Twilio Media Streams, wss://")
    group.add_argument("--instructions", metavar="TEXT", default="", help="who the language model is")


def _add_prepare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photo", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    parser.set_defaults(command=prepare.run)


def _add_render(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("portrait", help=PORTRAIT_HELP)
    parser.add_argument(
        "--audio", type=Path, metavar="FILE", help="the voice: any sound or film file; only heard with --coefficients"
    )
    parser.add_argument("--coefficients", type=Path, metavar="CSV", help="time,<name>,... with 25 rows a second")
    parser.add_argument("--relative", action="store_true", help="add the coefficients to the portrait's own expression")
    emotion = parser.add_mutually_exclusive_group()
    emotion.add_argument("--emotion", metavar="LES", help='for example "happiness=0.6,AU4=0.2"')
    emotion.add_argument(
        "--emotion-track", type=Path, metavar="JSONL", help="changes over time, one JSON object a line"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help=".mp4, .mov, .mkv or .webm; without an ending a new folder of PNG files",
    )
    parser.add_argument(
        "--background",
        default="photo",
        metavar="WHAT",
        help="photo, blur, transparent (.webm, .mov or PNG files), a colour as #rrggbb, or a picture file",
    )
    parser.add_argument("--save-coefficients", type=Path, metavar="CSV", help="the 3D face's 69 numbers of every frame")
    parser.add_argument("--save-units", type=Path, metavar="CSV", help="the 41 facial units of every frame")
    parser.add_argument("--no-motion", action="store_true", help="no blinks, gaze, breath or head motion")
    parser.add_argument(
        "--size", type=int, default=FRAME_SIZE, help=f"{MIN_SIZE} to {MAX_SIZE} pixels, a multiple of {SIZE_STEP}"
    )
    parser.add_argument(
        "--seed", type=_whole(0), default=0, help="of blinks, gaze and head motion: equal seeds, equal films"
    )
    parser.add_argument("--look-ahead", type=int, default=DEFAULT_LOOK_AHEAD, choices=range(MAX_LOOK_AHEAD + 1))
    parser.set_defaults(command=render.run)


def _add_track(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("film", type=Path, help="any film file that shows a face from the front")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="CSV")
    parser.add_argument("--save-portrait", type=Path, metavar="PNG", help="the frame in which the face is at rest")
    parser.set_defaults(command=track.run)


def _add_bench(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--portrait", help=f"{PORTRAIT_HELP} (default: anna)")
    what.add_argument(
        "--sessions", type=_whole(1), help="so many talking default portraits on one engine, without a server"
    )
    what.add_argument(
        "--calls", type=_whole(1), help="so many calls of default portraits over WebRTC, to a whole server"
    )
    parser.add_argument("--seconds", type=_seconds, default=10, help="how long, of each kind")
    parser.add_argument("--size", type=int, default=FRAME_SIZE, help="of the pictures, pixels square")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the same for programs")
    _add_engines(parser)
    calls = parser.add_argument_group("with --calls")
    calls.add_argument(
        "--churn", type=_seconds, default=0, metavar="SECONDS", help="every so often one leaves and another comes"
    )
    calls.add_argument("--speech", type=Path, metavar="FILE", help="what they say (default: a sentence over and over)")
    calls.add_argument("--silent", action="store_true", help="they say nothing")
    parser.set_defaults(command=bench.run)


if __name__ == "__main__":
    sys.exit(main())
