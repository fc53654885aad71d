"""Skin: colour by place, pores, creases of the lips, furrows and spots of age; light goes in and comes out again."""

from typing import Any

from engine.evaluation.people.cast import Colour, Person, Skin
from engine.evaluation.people.nodes import Nodes, Socket

FRESH, FLESH, LASH_ROOTS = (0.50, 0.20, 0.17), (0.30, 0.06, 0.055), (0.06, 0.034, 0.026)
STUBBLE = (0.11, 0.08, 0.07)


def skin_material(person: Person, lips: Any) -> Any:
    """Reads the attributes of `places.fields`, "rest" and "lash_roots"; `lips` is the picture of where the red is."""
    skin, t = person.skin, Nodes("skin")
    at = t.attribute_vector("rest")
    lip = t.product(t.ramp(t.image(lips, t.uv()), 0.15, 0.85), t.attribute("lips_near"))
    creases = t.noise(t.add("Mapping", {"Vector": at, "Scale": (1.0, 0.16, 0.35)}).outputs[0], 60)
    wet, inner = t.attribute("wet"), t.attribute("inner")
    colour = _complexion(t, skin, at)
    if skin.wrinkles:
        furrowed = t.product(_furrow(t, at), t.attribute("furrow"), 0.55 * skin.wrinkles)
        colour = t.mix(furrowed, colour, _scaled(skin.dark, 0.9, 0.75, 0.75))
    colour = _hair_shadow(t, person, at, colour)
    hidden = t.total(t.attribute("scalp"), t.product(t.attribute("brow_roots"), 0.7))
    colour = _lips(t, skin, at, colour, lip, creases)
    colour = t.mix(inner, colour, FLESH)
    colour = t.mix(t.product(t.attribute("lash_roots"), min(1.0, 0.6 * person.lash)), colour, LASH_ROOTS)
    colour = t.mix(wet, colour, tuple(0.5 * (a + b) for a, b in zip(FRESH, skin.base, strict=True)))
    # Before dark skin the same light glares, and its highlight turns pores into flakes.
    gloss, matt = (0.25, 0.48) if skin.dense else (1.0, 0.38)
    uneven = t.product(t.noise(at, 30, 4, 0.7), 0.22)
    rough = t.total(uneven, t.ramp(t.attribute("oily"), 0, 1, matt, matt - 0.13 * gloss))
    for where, value in ((lip, 0.50 if skin.dense else 0.32), (wet, 0.15), (inner, 0.22)):
        rough = t.blend(where, rough, value)
    return t.surface(
        t.add(
            "BsdfPrincipled",
            {
                "Base Color": colour,
                "Roughness": rough,
                "IOR": 1.4,
                # Light that came in beside hair would come out red beneath it.
                "Subsurface Weight": t.ramp(hidden, 0.0, 0.5, 1.0, 0.15),
                "Subsurface Radius": (1.0, 0.45, 0.3) if skin.dense else (1.0, 0.35, 0.2),
                "Subsurface Scale": 0.012 if skin.dense else 0.017,
                "Normal": t.bump(_relief(t, skin, at, lip, creases), 0.0050),
                "Coat Weight": t.product(t.attribute("oily"), t.ramp(t.noise(at, 4), 0.3, 0.7, 0.08, 0.26), gloss),
                "Coat Roughness": 0.32,
                "Sheen Weight": 0.02,
                "Sheen Roughness": 0.5,
            },
            subsurface_method="RANDOM_WALK",
        )
    )


def _complexion(t: Nodes, skin: Skin, at: Socket) -> Socket:
    middling, fine = t.noise(at, 9, 4, 0.6), t.noise(at, 46, 3, 0.6)
    red = t.total(t.attribute("red"), t.product(t.less(middling, 0.5), 0.75))
    colour = t.mix(t.product(t.attribute("sallow"), 0.55), skin.base, _scaled(skin.base, 0.99, 0.98, 0.80))
    colour = t.mix(t.product(t.ramp(red, 0, 1), 0.78), colour, skin.red)
    colour = t.mix(t.product(t.attribute("tired"), 0.38), colour, _scaled(skin.base, 0.70, 0.74, 0.88))
    colour = t.mix(t.product(t.attribute("dark"), 0.45), colour, skin.dark)
    colour = t.mix(
        t.product(t.ramp(t.noise(at, 2.2, 4), 0.45, 0.75), 0.45), colour, _scaled(skin.base, 1.04, 1.02, 0.86)
    )
    colour = t.mix(t.product(t.ramp(t.noise(at, 3.6, 4, 0.65), 0.48, 0.72), 0.30), colour, skin.red)
    colour = t.mix(t.product(t.ramp(fine, 0.48, 0.78), 0.28), colour, _scaled(skin.red, 0.95, 0.95, 0.95))
    colour = t.mix(
        t.product(_spots(t, at, 26.0, 0.22, 0.72), t.attribute("freckled"), skin.freckles), colour, skin.dark
    )
    if skin.wrinkles:
        spots = _spots(t, at, 9.0, 0.30, 0.80)
        colour = t.mix(t.product(spots, t.noise(at, 30), 0.75 * skin.wrinkles), colour, skin.dark)
    mole_distance, mole = t.cells(at, 5.3)
    moles = t.product(t.ramp(mole_distance, 0.05, 0.028), t.ramp(t.channel(mole, 1), 0.86, 0.88))
    return t.mix(t.product(moles, 0.5), colour, _scaled(skin.dark, 0.45, 0.45, 0.45))


def _spots(t: Nodes, at: Socket, scale: float, size: float, rare: float) -> Socket:
    distance, which = t.cells(at, scale)
    return t.product(t.ramp(distance, size, 0.05), t.ramp(t.channel(which, 0), rare, rare + 0.23))


def _hair_shadow(t: Nodes, person: Person, at: Socket, colour: Socket) -> Socket:
    """What short hair lets through: roots under the skin."""
    share = (1 - 0.6 * person.hair.grey) * min(1.0, 0.35 + 0.65 * person.hair.melanin)
    if person.beard:
        roots = t.product(t.attribute("beard"), t.ramp(t.noise(at, 95, 2, 0.6), 0.35, 0.7, 0.6, 1.0))
        colour = t.mix(t.product(roots, 0.38 * person.beard.density * share), colour, STUBBLE)
    colour = t.mix(t.product(t.attribute("brow_roots"), 0.28 * share), colour, STUBBLE)
    return t.mix(t.product(t.attribute("scalp"), 0.80 * share), colour, (0.03, 0.021, 0.016))


def _lips(t: Nodes, skin: Skin, at: Socket, colour: Socket, lip: Socket, creases: Socket) -> Socket:
    red = t.mix(t.ramp(creases, 0.35, 0.7), skin.lip, _scaled(skin.lip, 1.25, 1.35, 1.35))
    return t.mix(t.product(lip, t.ramp(t.noise(at, 14), 0.2, 0.6, 0.58, 0.84)), colour, red)


def _relief(t: Nodes, skin: Skin, at: Socket, lip: Socket, creases: Socket) -> Socket:
    """Heights in units of the bump's distance."""
    pores = t.product(t.ramp(t.cells(at, 62.0)[0], 0.0, 0.42), t.ramp(t.attribute("porous"), 0, 1, 0.2, 0.5))
    fine = t.product(t.ramp(t.cells(at, 110.0)[0], 0.0, 0.45), 0.45)
    height = t.total(pores, fine, t.product(t.noise(at, 24, 4, 0.6), 1.3), t.product(t.noise(at, 9, 4, 0.6), 1.2))
    height = t.product(height, 0.48 if skin.dense else 1.0)
    height = t.product(height, t.less(1.0, t.product(lip, 0.8)))
    height = t.total(height, t.product(creases, lip, 1.8 if skin.dense else 3.0))
    if skin.wrinkles:
        height = t.less(height, t.product(_furrow(t, at), t.attribute("furrow"), 3.2 * skin.wrinkles))
        height = t.total(height, t.product(t.noise(at, 18, 2, 0.7), 1.5 * skin.wrinkles))
    return height


def _furrow(t: Nodes, at: Socket) -> Socket:
    """1 along a furrow: where the phase is whole, bent and broken by noise."""
    phase = t.total(t.attribute("phase"), t.product(t.less(t.noise(at, 6, 3), 0.5), 1.1))
    from_line = t.math("ABSOLUTE", t.less(t.math("FRACT", phase), 0.5))  # 0.5 on a line, 0 half-way between two
    return t.product(t.ramp(from_line, 0.18, 0.5), t.ramp(t.noise(at, 5, 3), 0.38, 0.62, 0.1, 1.0))


def _scaled(colour: Colour, r: float, g: float, b: float) -> Colour:
    return colour[0] * r, colour[1] * g, colour[2] * b
