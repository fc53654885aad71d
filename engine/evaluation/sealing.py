"""`python -m engine.evaluation.sealing`: what each SEAL_HALF would do to closures, on voices for setting it.

Espeak's held-out variants, which no training heard, and statistical voices that it did hear, with texts of their own.
The face model's own landmarks are read: a minute of one core.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.audio import as_chunks
from engine.avatar import QUIET
from engine.cdan import CDAN_WEIGHTS
from engine.cdan.constants import SEAL_HALF
from engine.cdan.network import Cdan
from engine.cdan.training import augment, texts
from engine.cdan.training.export import load
from engine.cdan.training.phones import BILABIAL, PAUSE
from engine.cdan.training.studio import VOICES
from engine.cdan.training.voices import Utterance
from engine.evaluation import material
from engine.evaluation.judges import ModelJudge
from engine.evaluation.speaking import OPEN_VOWELS, OTHERS, STOPS, gather, observed, separation, shut, whole
from engine.evaluation.tables import markdown
from engine.les import AXES
from engine.tracks import rest
from engine.units import CHUNK, DEFAULT_LOOK_AHEAD, SAMPLE_RATE

SPEAKERS = {
    "espeak, held out": {"held": 40},
    "statistical, other texts": {"slt": 16, "hts": 8, "pico-us": 8, "pico-gb": 8},
}
"""Sentences of each voice."""
SEED = 7001
SNR_DB = (None, 20.0, 10.0)
HALVES = (0.32, 0.35, 0.38, 0.41, 0.44)
AT_ONCE = 10  # sentences heard together


def said(counts: dict[str, int]) -> list[Utterance]:
    """Sentences of 25 to 90 characters, often with another throat."""
    return [one for i, (name, count) in enumerate(counts.items()) for one in _said(name, count, SEED + i)]


def _said(name: str, count: int, seed: int) -> Iterator[Utterance]:
    rng, voice, source = np.random.default_rng(seed), VOICES[name](), texts.sentences(seed)
    while count:
        text = next(source)
        spoken = voice.speak(text, rng) if 25 < len(text) < 90 else None
        if spoken and sum(phone.name != PAUSE for phone in spoken.phones) > 15:
            samples = augment.another_speaker(augment.to_network_rate(spoken.samples, spoken.rate), rng)
            yield material.placed(Utterance(samples, SAMPLE_RATE, spoken.phones, spoken.voice))
            count -= 1


@torch.inference_mode()
def contexts(net: Cdan, spoken: Sequence[Utterance]) -> Tensor:
    """[utterances, T, width] what was heard of each, silence after the shorter ones."""
    before = QUIET + DEFAULT_LOOK_AHEAD
    frames = max(len(as_chunks(one.samples)) for one in spoken)
    pcm = torch.zeros(len(spoken), (before + frames) * CHUNK)
    for row, one in zip(pcm[:, QUIET * CHUNK :], spoken, strict=True):
        row[: len(one.samples)] = torch.from_numpy(np.array(one.samples))
    heard = []
    for first in range(0, len(pcm), AT_ONCE):
        some = pcm[first : first + AT_ONCE]
        state = net.init_state(len(some))
        sound, _ = net.spectra.step(some, state.samples)
        ahead = torch.full((len(some),), DEFAULT_LOOK_AHEAD, dtype=torch.int32)
        heard.append(net.listen(sound, ahead, state)[0][:, before:])
    return torch.cat(heard)


@torch.inference_mode()
def figures(net: Cdan, context: Tensor, spoken: Sequence[Utterance], half: float) -> list[str]:
    """Two AUCs, shares of closures and of k g n t d shut, were SEAL_HALF `half`: to the logit that is a shift."""
    shift, judge = math.log(SEAL_HALF / (1 - SEAL_HALF) / half * (1 - half)), ModelJudge()
    net.heads.bias[1] += shift
    faces = net.decode(context, torch.zeros(*context.shape[:2], len(AXES))).coefficients.numpy()
    net.heads.bias[1] -= shift
    still = judge.watch("model", rest()[None])
    seen = [
        observed(one, "model", judge.watch("model", whole(face[: len(as_chunks(one.samples))])), still)
        for one, face in zip(spoken, faces, strict=True)
    ]
    found = gather(seen)
    ranks = [separation(found, higher, BILABIAL, "opened") for higher in (OTHERS, OPEN_VOWELS)]
    shares = [shut(found, BILABIAL, "least"), shut(found, STOPS, "aperture")]
    return [f"{figure.value:.3f}" for figure in (*ranks, *shares)]


def rows(net: Cdan) -> Iterator[list[str]]:
    for label, counts in SPEAKERS.items():
        clean = said(counts)
        for snr in SNR_DB:
            spoken = clean if snr is None else material.noisy(clean, snr)
            context = contexts(net, spoken)
            for half in HALVES:
                place = "clean" if snr is None else f"{snr:g} dB SNR"
                yield [label, place, f"{half:.2f}", *figures(net, context, spoken, half)]


def main() -> None:
    parser = argparse.ArgumentParser(description="What each SEAL_HALF would do to closures.")
    parser.add_argument("--weights", type=Path, default=CDAN_WEIGHTS)
    torch.set_num_threads(1)
    header = ["voices", "condition", "half", "p b m / consonants", "/ open vowels", "closed", "k g n t d shut"]
    print(markdown(header, rows(load(parser.parse_args().weights))))


if __name__ == "__main__":
    main()
