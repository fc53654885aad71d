"""How far each voice's own phone times lie from pocketsphinx's: `python -m engine.cdan.training.agreement`."""

import argparse
from difflib import SequenceMatcher

import numpy as np
from pocketsphinx import Decoder

from engine.cdan.training import augment, phones, texts
from engine.cdan.training.align import Unaligned, align, spoken_words
from engine.cdan.training.phones import PAUSE, Phone
from engine.cdan.training.studio import VOICES

ALIGNABLE = ("slt", "kal", "kal16", "ked", "hts", "hibari", "kokoro", "espeak")
"""English voices with times of their own."""
LEAST = 3  # phones in a row that both must name alike


def compared(name: str, sentences: int, seed: int) -> list[tuple[Phone, Phone]]:
    """(the voice's phone, the aligner's) wherever both say the same ones in a row."""
    decoder, voice = Decoder(lm=None, loglevel="FATAL"), VOICES[name]()
    rng, source, out = np.random.default_rng(seed), texts.sentences(seed), list[tuple[Phone, Phone]]()
    while sentences:
        text = next(source)
        words = spoken_words(decoder, text)
        said = voice.speak(text, rng) if words and len(text) < 90 else None
        if said is None or not said.phones:
            continue
        sound = augment.to_network_rate(said.samples, said.rate)
        try:
            heard = align(decoder, sound * np.float32(0.2 / augment.level(sound)), " ".join(words))
        except Unaligned:
            continue
        out += matched(said.phones, heard)
        sentences -= 1
    return out


def matched(ours: tuple[Phone, ...], theirs: tuple[Phone, ...]) -> list[tuple[Phone, Phone]]:
    """Pairs of equal phones, in runs of at least LEAST, pauses left out."""
    a, b = ([p for p in row if p.name != PAUSE] for row in (ours, theirs))
    blocks = SequenceMatcher(None, [p.name for p in a], [p.name for p in b], autojunk=False).get_matching_blocks()
    return [(a[m.a + i], b[m.b + i]) for m in blocks if m.size >= LEAST for i in range(m.size)]


def row(name: str, pairs: list[tuple[Phone, Phone]]) -> str:
    """Medians of start and end, ms after the aligner's, of closures and of all; in brackets the middle half's width."""
    cells = [name]
    for chosen in ([p for p in pairs if p[0].name in phones.BILABIAL], pairs):
        off = np.array([(a.start_s - b.start_s, a.end_s - b.end_s) for a, b in chosen]) * 1000
        width = np.percentile(off, 75, axis=0) - np.percentile(off, 25, axis=0)
        cells += [
            str(len(chosen)),
            *(f"{m:+.0f} ({w:.0f})" for m, w in zip(np.median(off, axis=0), width, strict=True)),
        ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the voices' phone times with pocketsphinx's alignment.")
    parser.add_argument("--sentences", type=int, default=25, help="of each voice")
    options = parser.parse_args()
    print("| voice | p b m | start ms (half within) | end ms | all phones | start ms | end ms |")
    print("|---|---|---|---|---|---|---|")
    for name in ALIGNABLE:
        print(row(name, compared(name, options.sentences, seed=5)), flush=True)


if __name__ == "__main__":
    main()
