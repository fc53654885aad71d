"""What the shipped graph does on voices it never heard: `python -m engine.cdan.training.evaluate` prints the tables.

Everything is read from the coefficients as they are served. The gap between the lips' middles is a weighted sum of them
(weights measured on the head); times are the voices' own or, for recordings, an aligner's.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from engine.audio import as_chunks
from engine.cdan import Cdan
from engine.cdan.training import align, augment, noises, texts
from engine.cdan.training.articulation import tracks
from engine.cdan.training.corpus import LEVEL, prosody
from engine.cdan.training.lips import GAP, OPEN_VOWEL, ROUND
from engine.cdan.training.phones import BILABIAL, CONSONANTS, PAUSE
from engine.cdan.training.voices import Flite, HibariVoice, Utterance
from engine.face.coefficients import FACE
from engine.face.les_map import LES_TO_FACE
from engine.les import AXES, EMOTIONS
from engine.units import CHUNK, FPS, SAMPLE_RATE

Floats = npt.NDArray[np.float32]
Coefficients = npt.NDArray[np.floating]

REST = np.zeros(len(AXES), np.float32)
OPEN_VOWELS = frozenset({"aa", "ae", "ah", "ao", "aw", "ay", "eh"})
ROUNDED, SPREAD = frozenset({"uw", "w", "ow", "ao", "sh", "ch", "jh"}), frozenset({"iy", "ih", "ey", "s", "z", "eh"})


def served(net: Cdan, sound: Floats, look_ahead: int, les: Floats = REST) -> tuple[Coefficients, Coefficients]:
    """Coefficients [T, 63] and prosody [T, 3] under a constant emotion [41]; frame t belongs to chunk t."""
    chunks = as_chunks(np.concatenate([sound, np.zeros(look_ahead * CHUNK, np.float32)]))
    state, faces, voices = net.open(), [], []
    for chunk in chunks:
        heard = net.step(chunk[None], les[None], [look_ahead], [state])
        state = heard.states[0]
        faces.append(heard.coefficients[0])
        voices.append(heard.prosody[0])
    return np.stack(faces)[look_ahead:], np.stack(voices)[look_ahead:]


@dataclass(frozen=True)
class Moment:
    """One phone as the face showed it."""

    name: str
    gap: float
    """Lips' opening at the phone's middle."""
    least: float
    """The smallest opening within the phone."""
    round: float


def moments(said: Utterance, face: Coefficients) -> Iterator[Moment]:
    """Every phone of an utterance at 16 kHz; values between frames are interpolated."""
    gap, width = face @ GAP, face @ ROUND
    frames = (np.arange(len(face)) + 0.5) / FPS
    for phone in said.phones:
        if phone.name != PAUSE and phone.end_s < frames[-1]:
            middle = 0.5 * (phone.start_s + phone.end_s)
            within = np.interp(np.linspace(phone.start_s, phone.end_s, 9), frames, gap)
            at = float(np.interp(middle, frames, gap)), float(within.min()), float(np.interp(middle, frames, width))
            yield Moment(phone.name, *at)


def auc(higher: list[float], lower: list[float]) -> float:
    """Chance that one of `higher` exceeds one of `lower`."""
    if not higher or not lower:
        return float("nan")
    ranks = rankdata(higher + lower)[: len(higher)]
    return float((ranks.sum() - len(higher) * (len(higher) + 1) / 2) / (len(higher) * len(lower)))


def lag_ms(said: Utterance, face: Coefficients) -> float:
    """How much later than the articulation model the gap moves: the shift that correlates best, steps of 10 ms."""
    loudness, _ = prosody(said)
    loudness = np.pad(loudness, (0, -len(loudness) % 4))
    model = tracks(said.phones, loudness)
    wanted = (model.speech @ GAP) * (1 - model.seal)
    count = min(len(wanted), len(face))
    t = np.arange(count) / FPS
    given = (face @ GAP)[:count]
    shifts = np.arange(-0.12, 0.121, 0.01)
    match = [np.corrcoef(np.interp(t - s, t, wanted[:count]), given)[0, 1] for s in shifts]
    return float(1000 * shifts[int(np.argmax(match))])


def row(name: str, spoken: list[Utterance], net: Cdan, look_ahead: int) -> str:
    """One line of the speech table."""
    faces = [served(net, said.samples, look_ahead)[0] for said in spoken]
    found = [m for said, face in zip(spoken, faces, strict=True) for m in moments(said, face)]

    def values(names: Iterable[str], of: str) -> list[float]:
        wanted = frozenset(names)
        return [getattr(m, of) for m in found if m.name in wanted]

    others = frozenset(CONSONANTS) - BILABIAL
    opened = values(OPEN_VOWELS, "gap")
    limit = 0.15 * float(np.mean(opened))
    cells = [
        auc(values(others, "gap"), values(BILABIAL, "gap")),
        auc(opened, values(BILABIAL, "gap")),
        auc(values(ROUNDED, "round"), values(SPREAD, "round")),
        float(np.mean(np.array(values(BILABIAL, "least")) < limit)),
        float(np.mean(np.array(values(others, "gap")) < limit)),
        float(np.median([lag_ms(said, face) for said, face in zip(spoken, faces, strict=True)])),
    ]
    numbers = " | ".join(f"{cell:.3f}" for cell in cells[:5])
    return f"| {name} | {look_ahead} | {len(values(BILABIAL, 'gap'))} | {numbers} | {cells[5]:.0f} |"


def stillness(name: str, sound: Floats, net: Cdan, look_ahead: int = 1) -> str:
    """One line of the stillness table, the first second left out; the gap against an open vowel's."""
    face, _ = served(net, sound, look_ahead)
    gap = (face[FPS:] @ GAP) / OPEN_VOWEL
    still = float(np.mean(np.abs(face[FPS:]).max(axis=1) == 0))
    return f"| {name} | {still:.3f} | {gap.mean():.4f} | {gap.std():.4f} | {np.abs(face[FPS:]).max():.3f} |"


def under(emotion: str, spoken: list[Utterance], net: Cdan) -> str:
    """One line of the table of emotions at level 1: closures and vowels, and the share of its own face that is kept."""
    les = np.array([EMOTIONS[emotion].get(axis, 0.0) for axis in AXES], np.float32)
    faces = [served(net, said.samples, 1, les)[0] for said in spoken]
    plain = [served(net, said.samples, 1)[0] for said in spoken]
    found = [m for said, face in zip(spoken, faces, strict=True) for m in moments(said, face)]
    shut = np.array([m.least for m in found if m.name in BILABIAL])
    opened = float(np.mean([m.gap for m in found if m.name in OPEN_VOWELS]))
    change = np.concatenate(faces).mean(axis=0) - np.concatenate(plain).mean(axis=0)
    own = np.clip(les @ LES_TO_FACE, 0, 1)
    mouth = np.array([name.startswith(("mouth", "jaw", "lip")) for name in FACE])
    kept = [f"{change[part] @ own[part] / (own[part] @ own[part]):.2f}" for part in (~mouth, mouth)]
    return f"| {emotion} | {np.mean(shut < 0.15 * opened):.3f} | {opened:.3f} | {kept[0]} | {kept[1]} |"


def spoken_by(voice: Flite | HibariVoice, count: int, seed: int) -> list[Utterance]:
    """Sentences at 16 kHz and the level of training."""
    random, source = np.random.default_rng(seed), texts.sentences(seed)
    out = []
    for _ in range(count):
        said = voice.speak(next(source), random)
        samples = augment.to_network_rate(said.samples, said.rate)
        out.append(Utterance(samples * (LEVEL / augment.level(samples)), SAMPLE_RATE, said.phones))
    return out


def noisy(spoken: list[Utterance], snr_db: float) -> list[Utterance]:
    """The same in pink noise."""
    random = np.random.default_rng(0)
    out = []
    for said in spoken:
        level = augment.level(said.samples) * 10 ** (-snr_db / 20)
        out.append(Utterance(said.samples + level * pink(len(said.samples), random), SAMPLE_RATE, said.phones))
    return out


def quiet(spoken: list[Utterance], gain_db: float) -> list[Utterance]:
    scale = np.float32(10 ** (gain_db / 20))
    return [Utterance(said.samples * scale, SAMPLE_RATE, said.phones) for said in spoken]


def pink(count: int, random: np.random.Generator) -> Floats:
    """[count] of unit level."""
    octaves = np.array([30.0, 8000.0])
    sound = noises.filtered(random.normal(size=count).astype(np.float32), -3 * np.log2(octaves / 1000), octaves)
    return np.asarray(sound / sound.std(), np.float32)


def hum(count: int) -> Floats:
    """[count] of unit level: 50 Hz."""
    return np.asarray(2**0.5 * np.sin(2 * np.pi * 50 / SAMPLE_RATE * np.arange(count)), np.float32)


def backgrounds() -> dict[str, Callable[[], Floats]]:
    """Twenty seconds each of what must leave the lips still."""
    count, random = 20 * SAMPLE_RATE, np.random.default_rng(7)
    return {
        "digital silence": lambda: np.zeros(count, np.float32),
        "pink noise, -50 dBFS": lambda: pink(count, random) * np.float32(10**-2.5),
        "pink noise, -30 dBFS": lambda: pink(count, random) * np.float32(10**-1.5),
        "white noise, -30 dBFS": lambda: random.normal(size=count).astype(np.float32) * np.float32(10**-1.5),
        "tones and chords, -26 dBFS": lambda: noises.unit(noises.music(count, np.random.default_rng(5))) * np.float32(0.05),
        "mains hum, -30 dBFS": lambda: hum(count) * np.float32(10**-1.5),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Print what the shipped network does on unseen voices and in silence.")
    parser.add_argument("--sentences", type=int, default=60, help="of each synthetic voice")
    options = parser.parse_args()
    net, count = Cdan(), options.sentences
    awb, rms = spoken_by(Flite("awb"), count, 11), spoken_by(Flite("rms"), count, 12)
    recorded = list(align.recordings())
    recorded = [Utterance(r.samples * (LEVEL / augment.level(r.samples)), r.rate, r.phones) for r in recorded]
    sets = {
        "known voice slt, unseen text": spoken_by(Flite("slt"), count, 13),
        "unseen voice awb": awb, "unseen voice rms": rms,
        "awb at 10 dB SNR": noisy(awb, 10), "awb 30 dB quieter": quiet(awb, -30),
        "recordings": recorded, "recordings at 10 dB SNR": noisy(recorded, 10),
    }  # fmt: skip
    print("| speech | look-ahead | p b m | / consonants | / open vowels | rounded / spread | closed | false | lag ms |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, spoken in sets.items():
        print(row(name, spoken, net, 1), flush=True)
    for look_ahead in (0, 2):
        print(row("unseen voice awb", awb, net, look_ahead), flush=True)
        print(row("recordings", recorded, net, look_ahead), flush=True)
    print("\n| emotion | closed | open vowel | upper face kept | mouth kept |\n|---|---|---|---|---|")
    for emotion in EMOTIONS:
        print(under(emotion, awb[:20], net), flush=True)
    print(
        "\n| background | frames exactly still | gap mean | gap spread | largest coefficient |\n|---|---|---|---|---|"
    )
    for name, sound in backgrounds().items():
        print(stillness(name, sound(), net), flush=True)


if __name__ == "__main__":
    main()
