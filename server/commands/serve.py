"""`les-avatar serve`: the page and its calls, until interrupted."""

import argparse
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from aiortc.rtcicetransport import parse_stun_turn_uri

from engine.avatar import Avatar
from engine.backend import choose, has_card
from engine.places import data_home
from engine.runtime.tensorrt import GpuMissing
from engine.runtime.tensorrt_plan import PlanRefused
from engine.units import DEFAULT_LOOK_AHEAD
from server.app import serve
from server.assistants.registry import offers
from server.capacity import cores
from server.commands import Refusal
from server.engine_thread import Engine
from server.remote import RemoteEngine
from server.settings import AssistantSettings, Endpoint, IceSettings, Settings

SLACK = 0.25  # pixels: see `Avatar`
MOST_ENGINES = 8  # unless more are asked for: the process that serves them all has one interpreter lock

NEEDS = {
    "endpoints": "--chat-url, --tts-url or --stt-url",
    "realtime": "--assistant-url",
    "twilio": "--assistant-twilio",
}


def run(options: argparse.Namespace) -> int:
    try:
        factory, count = engines(options)
        serve(settings(options, count), factory)
    except (GpuMissing, PlanRefused) as missing:
        raise Refusal(str(missing)) from missing
    except SystemExit as stopped:  # uvicorn's way to say that it could not start; it has logged why
        raise Refusal(f"can't serve on {options.host}:{options.port}; see above, or try another --port") from stopped
    return 0


def engines(options: argparse.Namespace) -> tuple[Callable[[], Engine], int]:
    """What makes an engine, and how many there are to be.

    A GPU takes all sessions in one batch, from this process; on a CPU every core draws in a process of its own.
    """
    if options.runtime != "cpu" and (options.runtime != "auto" or has_card()):
        backend = choose(options.runtime, plans=options.plans)  # now: if what was asked for can't serve, nothing begins
        if backend.aligned:
            return partial(Avatar, look_ahead=options.look_ahead, slack=SLACK, backend=backend), 1
    return on_cores(options.look_ahead), options.engines or min(cores(), MOST_ENGINES)


def on_cores(look_ahead: int = DEFAULT_LOOK_AHEAD) -> Callable[[], RemoteEngine]:
    """Makes an engine that draws on one core."""
    return partial(RemoteEngine, partial(Avatar, look_ahead=look_ahead, slack=SLACK))


def settings(options: argparse.Namespace, engines: int) -> Settings:
    """Secrets come from the environment, so that they stay out of the list of processes."""
    ice = IceSettings(
        stun_urls=tuple(ice_address("stun", url) for url in options.stun),
        turn_urls=tuple(ice_address("turn", url) for url in options.turn),
        turn_username=options.turn_username,
        turn_password=os.environ.get("LES_TURN_PASSWORD"),
        turn_secret=os.environ.get("LES_TURN_SECRET"),
    )
    if ice.turn_urls and not (ice.turn_secret or (ice.turn_username and ice.turn_password)):
        raise Refusal("--turn needs $LES_TURN_SECRET, or --turn-username and $LES_TURN_PASSWORD: browsers insist on it")
    return Settings(
        host=options.host,
        port=options.port,
        max_sessions=options.max_sessions,
        engines=engines,
        portraits_dir=folder(options.portraits or data_home() / "portraits"),
        ice=ice,
        assistant=assistant(options),
        allowed_origins=tuple(map(origin, options.allow_origin)),
    )


def folder(path: Path) -> Path:
    """As it is, if portraits can be kept there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise Refusal(f"can't keep portraits in {path}: {error.strerror}; choose a place by --portraits") from None
    return path


def assistant(options: argparse.Namespace) -> AssistantSettings:
    chosen = AssistantSettings(
        chat=endpoint(options, "chat"),
        speech=endpoint(options, "tts", options.tts_voice),
        transcription=endpoint(options, "stt"),
        realtime=endpoint(options, "assistant", options.assistant_voice),
        realtime_transcription=options.assistant_transcription,
        twilio_url=address("--assistant-twilio", options.assistant_twilio) if options.assistant_twilio else "",
        instructions=options.instructions,
        emotion_tool=options.chat_emotion == "tool",
    )
    if options.assistant and options.assistant not in offers(chosen):
        raise Refusal(f"--assistant {options.assistant} needs {NEEDS[options.assistant]}")
    return replace(chosen, default=options.assistant)


def address(flag: str, url: str) -> str:
    """As it is, if it can be one."""
    if split(url).scheme not in ("http", "https", "ws", "wss") or not split(url).netloc:
        raise Refusal(f"{flag} {url}: give an address such as https://host/v1")
    return url


def origin(url: str) -> str:
    """Of a page, as browsers tell it."""
    plain = f"{split(url).scheme}://{split(url).netloc}"
    if split(url).scheme not in ("http", "https") or url.lower() not in (plain, f"{plain}/"):
        raise Refusal(f"--allow-origin {url}: give a page's scheme and host only, such as https://example.org")
    return plain


def split(url: str) -> SplitResult:
    """In small letters; of no address at all nothing."""
    try:
        return urlsplit(url.lower())
    except ValueError:
        return SplitResult("", "", "", "", "")


def ice_address(scheme: str, url: str) -> str:
    """As it is, if it is a STUN or a TURN server's."""
    try:
        parts = parse_stun_turn_uri(url)
    except ValueError:
        parts = {}
    if parts.get("scheme") not in (scheme, f"{scheme}s") or not 0 < parts["port"] < 1 << 16:
        raise Refusal(f"--{scheme} {url}: give an address such as {scheme}:host:3478")
    return url


def endpoint(options: argparse.Namespace, slot: str, voice: str = "") -> Endpoint | None:
    """What `--SLOT-url` and `--SLOT-model` say, with the key from the environment."""
    url, model = getattr(options, f"{slot}_url"), getattr(options, f"{slot}_model")
    if not url:
        return None
    if not model:
        raise Refusal(f"--{slot}-url needs --{slot}-model too")
    name = f"LES_{slot.upper()}_KEY"
    try:
        return Endpoint(address(f"--{slot}-url", url), model, os.environ.get(name, "").strip(), voice)
    except ValueError as error:
        raise Refusal(f"${name}: {error}") from None
