"""`python -m engine.refiner.strangers -o DIR`: rendered people to learn from, whom no evaluation knows.

Each is made by chance and shows mixtures of the truth's expressions. It needs what
`engine.evaluation.people` needs.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from engine.evaluation.people.__main__ import rendered
from engine.evaluation.people.cast import CAST, Colour, Hair, Person, Skin
from engine.evaluation.people.puppet import Puppet
from engine.evaluation.people.stage import Quality, set_quality
from engine.evaluation.people.window import FACE, pasted
from engine.refiner.mixtures import mixture

QUALITY = Quality(size=512, samples=4)


def stranger(random: np.random.Generator) -> Person:
    """Shape, age and colours by chance; short hair, which is the quickest to draw."""
    european, asian, african = random.dirichlet((1, 1, 1)).tolist()
    details = sorted({name for person in CAST.values() for name in person.details})
    return Person(
        seed=int(random.integers(1000)),
        race={"caucasian": european, "asian": asian, "african": african},
        female=float(random.integers(2)),
        old=float(random.uniform(0.05, 0.6)),
        details={name: float(random.uniform(0, 0.5)) for name in details if random.random() < 0.3},
        skin=_skin(CAST["anna"].skin, CAST["zola"].skin, african, random),
        hair=Hair("crop", melanin=float(random.uniform(0.2, 1)), redness=float(random.uniform(0, 0.4)), length_dm=0.18),
        iris=_colour(random, 0.02, 0.2),
        cloth=_colour(random, 0.04, 0.4),
        backdrop=(0.45, 0.46, 0.45),
        brow=float(random.uniform(0.8, 1.4)),
    )


def shoot_all(person: Person, folder: Path, count: int, random: np.random.Generator) -> None:
    """neutral.png, `count` mixtures, and expressions.json of what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    puppet, told = Puppet(person), {"neutral": {"units": ""}}
    set_quality(QUALITY, person.seed)
    puppet.pose({})
    neutral = rendered()
    neutral.save(folder / "neutral.png")
    for i in range(count):
        mixed = mixture(random)
        puppet.pose(mixed)
        name = f"mixture_{i:02d}"
        pasted(neutral, rendered(FACE), FACE).save(folder / f"{name}.png")
        told[name] = {"units": ",".join(f"{unit}={value}" for unit, value in mixed.items())}
        (folder / "expressions.json").write_text(json.dumps(told, indent=1))


def _skin(fair: Skin, dark: Skin, share: float, random: np.random.Generator) -> Skin:
    """Colours `share` of the way, each a little off it."""
    pairs = ((fair.base, dark.base), (fair.red, dark.red), (fair.dark, dark.dark), (fair.lip, dark.lip))
    base, red, under, lip = (_mixed(a, b, share * random.uniform(0.8, 1)) for a, b in pairs)
    return Skin(base, red, under, lip, freckles=float(random.uniform(0, 0.5)), dense=share > 0.5)


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = np.average([one, other], 0, [1 - share, share]).tolist()
    return red, green, blue


def _colour(random: np.random.Generator, least: float, most: float) -> Colour:
    red, green, blue = random.uniform(least, most, 3).tolist()
    return red, green, blue


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--first", type=int, default=0, help="number of the first of them")
    parser.add_argument("--pictures", type=int, default=10)
    options = parser.parse_args()
    for number in range(options.first, options.first + options.people):
        random = np.random.default_rng(number)
        shoot_all(stranger(random), options.output / f"stranger_{number}", options.pictures, random)


if __name__ == "__main__":
    main()
