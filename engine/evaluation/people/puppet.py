"""A person as Blender's scene: built once at rest, then posed by the same coefficients as the avatar."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from engine.evaluation.people import objects
from engine.evaluation.people.body import build
from engine.evaluation.people.cast import Hair, Person
from engine.evaluation.people.cloth import cloth_objects
from engine.evaluation.people.eyes import eye_objects
from engine.evaluation.people.hair import beard_hair, brow_hair, head_hair, lash_hair
from engine.evaluation.people.nodes import Nodes
from engine.evaluation.people.noise import fade, unit
from engine.evaluation.people.places import Skull, fields, points_of, skull_of, visible_quads
from engine.evaluation.people.skin import skin_material
from engine.evaluation.people.stage import camera_of, set_stage
from engine.evaluation.people.strands import Skin, Strands
from engine.evaluation.people.teeth import teeth_objects, tongue_object
from engine.face import load
from engine.face.coefficients import HEAD
from engine.face.source import Floats, Integers, data_dir

LEVELS = 2  # of the skin's subdivision
LASH_BLACK = (0.012, 0.009, 0.008)


@dataclass(frozen=True)
class Posture:
    """The face at one moment, the head not yet turned."""

    body: Floats
    """[V, 3]"""
    skin: Floats
    """[S, 3] how far each vertex of the fine skin moved."""


@dataclass(frozen=True)
class Thing:
    """Something that follows the face: where its points are in a posture."""

    object: Any
    points: Callable[[Posture], Floats]


class Puppet:
    """Replaces the whole scene by one person in a studio."""

    def __init__(self, person: Person) -> None:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        self._person = person
        self._body = build(person)
        self._points = points_of(self._body)
        self._coarse, fine, shown = self._bare_skin()
        self._rest = objects.vertices(fine.data)
        tree = cKDTree(self._rest)
        self._skin = Skin(self._rest, objects.normals(fine.data), objects.triangles(fine.data), tree)
        self._things = [Thing(fine, lambda posture: self._rest + posture.skin)]
        self._dress_skin(fine)
        self._add_eyes_and_teeth()
        cloth_objects(person, self._body, self._points, self._body.mesh.quads[shown], self._skin)
        set_stage(self._points, person.backdrop, self._hanging)

    def pose(self, coefficients: Mapping[str, float]) -> None:
        """Face and head; the names are `coefficients.NAMES`, what is absent rests."""
        face = {name: value for name, value in coefficients.items() if name not in HEAD}
        body = self._body.posed(face)
        objects.place(self._coarse, body[self._bare])
        posture = Posture(body, self._subdivided() - self._rest)
        for thing in self._things:
            points = thing.points(posture)
            objects.place(thing.object, self._turned(points.reshape(-1, 3), coefficients).reshape(points.shape))

    def _turned(self, points: Floats, coefficients: Mapping[str, float]) -> Floats:
        """[N, 3] the head turned on the neck about the base of the skull, less and less down to the collar."""
        yaw, pitch, roll = (coefficients.get(name, 0.0) for name in HEAD[:3])
        if not (yaw or pitch or roll):
            return points
        turn = Rotation.from_euler("ZXY", [-roll, -pitch, yaw], degrees=True).as_rotvec()
        pivot = self._points.eye + load().skull_pivot / self._body.scale
        chin = self._points.chin_y
        share = fade(points[:, 1], chin - 0.62, chin - 0.05)
        turned: Floats = Rotation.from_rotvec(share[:, None] * turn).apply(points - pivot) + pivot
        return turned

    def _bare_skin(self) -> tuple[Any, Any, Integers]:
        """The coarse skin, which is posed but not shown; the fine one, which is; quads that clothes may cover."""
        above, shown = visible_quads(self._body, self._points)
        mesh = self._body.mesh
        self._bare, faces = np.unique(mesh.quads[above], return_inverse=True)
        faces = faces.reshape(len(above), 4)
        coarse = objects.mesh("coarse", mesh.vertices[self._bare], faces, uv=_corner_uv()[above])
        objects.subdivide(coarse, LEVELS)
        coarse.hide_render = True
        fine = bpy.data.objects.new("skin", objects.divided(coarse))
        bpy.context.collection.objects.link(fine)
        return coarse, fine, shown

    def _subdivided(self) -> Floats:
        """[S, 3] the fine skin over the coarse one as it is now."""
        data = objects.divided(self._coarse)
        points = objects.vertices(data)
        bpy.data.meshes.remove(data)
        return points

    def _dress_skin(self, fine: Any) -> None:
        """Its material, and all the hair that grows on it."""
        person, points, rest = self._person, self._points, self._rest
        uv = objects.uv_of_vertices(fine.data)
        ear, inner, lips = (_mask(name) for name in ("ears", "inside-mouth", "lips"))
        skull = skull_of(person, points, rest, _at(ear, uv))
        for name, values in fields(person, points, skull, rest, _at(inner, uv)).items():
            objects.attribute(fine.data, name, values)
        objects.attribute(fine.data, "rest", rest)
        lash_roots, brow_roots = self._grow(skull)
        for name, roots, reach in (("lash_roots", lash_roots, 0.018), ("brow_roots", brow_roots, 0.022)):
            objects.attribute(fine.data, name, np.exp(-((cKDTree(roots).query(rest)[0] / reach) ** 2)))
        soft = gaussian_filter(lips, len(lips) / 400)
        picture = objects.picture("lips", np.repeat(soft[..., None], 3, 2), "Non-Color")
        fine.data.materials.clear()
        fine.data.materials.append(skin_material(person, picture))

    def _grow(self, skull: Skull) -> tuple[Floats, Floats]:
        """All hair; the roots [N, 3] of the upper lashes and of the brows."""
        person, points, skin = self._person, self._points, self._skin
        head, brow, lash = hair_material(person.hair), brow_material(person.hair), _lash_material()
        on_head = [self._rooted(strands, head) for strands in head_hair(person, points, skull, skin)]
        self._things += on_head
        self._hanging = [thing.object for thing in on_head] if person.hair.style == "long" else []
        self._things += [self._rooted(strands, head) for strands in beard_hair(person, points, skin)]
        brows = brow_hair(person, points, skin)
        self._things += [self._rooted(strands, brow) for strands in brows]
        rings = {name: self._body.mesh.vertices[ring] for name, ring in self._body.rings.items()}
        rows = lash_hair(person, points, rings)
        for strands, eye in rows:
            self._things.append(self._on_lid(strands, eye, lash))
        return np.concatenate([strands.roots for strands, _ in rows[::2]]), np.concatenate([s.roots for s in brows])

    def _rooted(self, strands: Strands, material: Any) -> Thing:
        """Hair that goes where its root goes."""
        at = self._skin.tree.query(strands.roots)[1]
        made = objects.strands("hair", strands.points, strands.radii, material, strands.shade)
        return Thing(made, lambda posture: strands.points + posture.skin[at][:, None])

    def _on_lid(self, strands: Strands, eye: Floats, material: Any) -> Thing:
        """Lashes, which also turn with the lid about the eye's centre."""
        at = self._skin.tree.query(strands.roots)[1]
        made = objects.strands("lashes", strands.points, strands.radii, material)

        def moved(posture: Posture) -> Floats:
            arm, new = strands.roots - eye, strands.roots + posture.skin[at] - eye
            axis = np.cross(unit(arm), unit(new))
            sine = np.linalg.norm(axis, axis=1, keepdims=True)
            turn = Rotation.from_rotvec(axis / (sine + 1e-12) * np.arcsin(np.clip(sine, 0, 1)))
            bristles = strands.points - strands.roots[:, None]
            turned = np.stack([turn.apply(bristles[:, knot]) for knot in range(bristles.shape[1])], 1)
            points: Floats = turned + (eye + new)[:, None]
            return points

        return Thing(made, moved)

    def _add_eyes_and_teeth(self) -> None:
        body, rest = self._body, self._body.mesh.vertices
        camera = camera_of(self._points)
        for index, letter in enumerate("lr"):
            group = body.group(f"helper-{letter}-eye")
            made = eye_objects(
                self._person, self._points.eyes[index], self._points.radii[index], camera, 1 if letter == "l" else -1
            )
            self._things += [Thing(obj, _rigid_with(rest, group, points)) for obj, points in made]
        for obj, points, group in teeth_objects(body, self._person.seed):
            self._things.append(Thing(obj, _rigid_with(rest, group, points)))
        tongue, used = tongue_object(body)
        self._things.append(Thing(tongue, lambda posture: posture.body[used]))


def hair_material(hair: Hair, name: str = "hair", rough: float = 0.25) -> Any:
    """Blender's hair, a share of it white."""
    t = Nodes(name)
    random = t.add("HairInfo").outputs["Random"]
    white = t.math("LESS_THAN", random, hair.grey)
    along = t.add("HairInfo").outputs["Intercept"]
    melanin = t.total(hair.melanin, t.product(t.attribute("shade"), -0.11), t.product(along, along, -hair.bleached))
    inputs = {"Melanin": t.blend(white, melanin, 0.03), "Melanin Redness": hair.redness, "Random": random}
    inputs |= {"Roughness": rough, "Radial Roughness": 0.38, "Random Color": 0.30, "Random Roughness": 0.2, "Coat": 0.0}
    return t.surface(t.add("BsdfHairPrincipled", inputs, parametrization="MELANIN"))


def brow_material(hair: Hair) -> Any:
    """Darker than the head's, and later grey; so few hairs over skin would look red if they were lighter."""
    melanin = max(0.86, 0.3 + 0.7 * hair.melanin)
    return hair_material(Hair("crop", melanin, 0.2 * hair.redness, grey=0.6 * hair.grey), "brow", 0.4)


def _lash_material() -> Any:
    t = Nodes("lash")
    inputs = {"Base Color": LASH_BLACK, "Roughness": 0.55, "Specular IOR Level": 0.25}
    return t.surface(t.add("BsdfPrincipled", inputs))


def _rigid_with(rest: Floats, group: Integers, points: Floats) -> Callable[[Posture], Floats]:
    """Points that go as a stiff whole with some vertices of the body (Kabsch 1976)."""
    middle = rest[group].mean(0)

    def moved(posture: Posture) -> Floats:
        to = posture.body[group]
        turn, _ = Rotation.align_vectors(to - to.mean(0), rest[group] - middle)
        out: Floats = turn.apply(points - middle) + to.mean(0)
        return out

    return moved


def _corner_uv() -> Floats:
    """[Q, 4, 2] the base mesh's texture coordinates at each quad's corners."""
    uv: list[list[float]] = []
    quads: list[list[int]] = []
    for line in (data_dir() / "mpfb2/3dobjs/base.obj").read_text().splitlines():
        match line.split():
            case ["vt", u, v]:
                uv.append([float(u), float(v)])
            case ["f", *corners]:
                quads.append([int(corner.split("/")[1]) - 1 for corner in corners])
    at_corners: Floats = np.array(uv)[np.array(quads)]
    return at_corners


def _mask(name: str) -> Floats:
    """[h, w] one of the source's drawings of a region, 0 to 1."""
    with Image.open(data_dir() / f"mpfb2/textures/mpfb_{name}.jpg") as image:
        return np.asarray(image.convert("L"), float) / 255


def _at(picture: Floats, uv: Floats) -> Floats:
    """[N] the picture's value at texture coordinates [N, 2], v up."""
    height, width = picture.shape
    row = np.clip(((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
    col = np.clip((uv[:, 0] * width).astype(int), 0, width - 1)
    values: Floats = picture[row, col]
    return values
