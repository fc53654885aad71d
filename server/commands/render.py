"""`les-avatar render`: a voice or a coefficient track drives a portrait into a film file, or a folder of pictures."""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from engine.audio import AudioError, load_audio
from engine.avatar import Avatar, Stream
from engine.background import Background
from engine.film import Film, Rgb, Stills
from engine.les import Les, LesError, parse
from engine.motion import MotionAmounts
from engine.portrait import Portrait
from engine.renderer import CpuRenderer
from engine.tracks import (
    Coefficients,
    EmotionEvent,
    TrackError,
    add_source,
    read_coefficients,
    read_emotions,
    write_coefficients,
    write_units,
)
from engine.units import CHUNK, FPS
from server.commands import Refusal
from server.commands.sources import checked_size, chosen_background, open_portrait

Frame = tuple[Rgb, Coefficients, Les | None]
"""What is seen, the face and, where a voice drives it, the facial units."""


def run(options: argparse.Namespace) -> int:
    size = checked_size(options.size)
    background = chosen_background(options.background)
    if not (options.audio or options.coefficients):
        raise Refusal(
            "give --audio, a voice, or --coefficients, a track of the face; or both, and the voice is only heard"
        )
    for path in filter(None, (options.save_coefficients, options.save_units)):
        _check_writable(path)
    draw = _from_coefficients if options.coefficients else _from_voice
    try:
        _write(options, size, background.clear, draw(options, size, background))
    except (AudioError, LesError, TrackError, ValueError) as error:
        raise Refusal(str(error)) from None
    except OSError as error:
        raise Refusal(f"can't use {error.filename or options.output}: {error.strerror}") from None
    return 0


def _check_writable(path: Path) -> None:
    """Refuses what would fail only after the film is drawn."""
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise Refusal(f"can't write {path}: name a file in a folder that exists and may be written")


def _write(options: argparse.Namespace, size: int, alpha: bool, pictures: Iterator[Frame]) -> None:
    path: Path = options.output
    with Film(path, size, options.audio, alpha=alpha) if path.suffix else Stills(path) as out:
        rows: list[Coefficients] = []
        units: list[Les] = []
        for rgb, coefficients, emotion in pictures:
            out.add(rgb)
            rows.append(coefficients)
            units += [] if emotion is None else [emotion]
    if options.save_coefficients:
        with options.save_coefficients.open("w", newline="") as file:
            write_coefficients(file, rows)
    if options.save_units:
        with options.save_units.open("w", newline="") as file:
            write_units(file, units)


def _from_voice(options: argparse.Namespace, size: int, background: Background) -> Iterator[Frame]:
    if options.relative:
        raise Refusal("--relative goes with --coefficients")
    events = _emotions(options)
    samples = load_audio(options.audio)
    avatar = Avatar(look_ahead=options.look_ahead)
    portrait = open_portrait(options.portrait)
    stream = avatar.open(portrait, seed=options.seed, size=size)
    stream.stand_before(background, cut_out=background.clear)
    if options.no_motion:
        stream.set_motion(MotionAmounts(head=0, gaze=0, blink=0))
    frames = -(-len(samples) // CHUNK)
    padded = np.zeros((frames + avatar.look_ahead, CHUNK), np.float32)
    padded.reshape(-1)[: len(samples)] = samples
    return _driven(avatar, stream, padded, events)


def _driven(avatar: Avatar, stream: Stream, chunks: Coefficients, events: list[EmotionEvent]) -> Iterator[Frame]:
    """The pictures that belong to the sound: the first `look_ahead` ones, before its beginning, are dropped."""
    for number, chunk in enumerate(chunks):
        at = (number - avatar.look_ahead) / FPS
        while events and events[0].time_s <= max(at, 0):
            event = events.pop(0)
            stream.set_emotion(event.target, transition_s=event.transition_s, hold_s=event.hold_s)
        picture = avatar.step_one(stream, chunk)
        if at >= 0:
            yield picture.rgb, picture.coefficients, picture.les


def _emotions(options: argparse.Namespace) -> list[EmotionEvent]:
    if options.emotion_track:
        return read_emotions(options.emotion_track)
    return [EmotionEvent(0, parse(options.emotion), 0)] if options.emotion else []


def _from_coefficients(options: argparse.Namespace, size: int, background: Background) -> Iterator[Frame]:
    if options.emotion or options.emotion_track or options.save_units:
        raise Refusal(
            "--emotion and --save-units go with --audio alone; a coefficient track holds the whole face already"
        )
    frames = read_coefficients(options.coefficients)
    portrait: Portrait = open_portrait(options.portrait)
    background.check(portrait)
    renderer, plate = CpuRenderer(size), background.plate(portrait, size)
    for frame in frames:
        face = add_source(frame, portrait.source) if options.relative else frame
        drawn = renderer.cut_out(portrait, face) if background.clear else renderer.render(portrait, face, plate)
        yield drawn, face, None
