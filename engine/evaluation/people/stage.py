"""A soft studio: a large key light, a broad fill, rims and hair light, a plain backdrop, and a portrait lens."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Vector

from engine.evaluation.people import objects
from engine.evaluation.people.cast import Colour
from engine.evaluation.people.nodes import Nodes
from engine.evaluation.people.places import Points
from engine.evaluation.people.window import WHOLE, Window
from engine.face.source import Floats

LENS_DM = 19.0  # from the origin: far enough for a portrait's perspective
SHOWN_DM = 3.4  # of the person, from edge to edge
WARM, COOL, WHITE = (1.0, 0.96, 0.91), (0.93, 0.96, 1.0), (1.0, 0.98, 0.95)


@dataclass(frozen=True)
class Quality:
    size: int = 1024
    samples: int = 24
    noise: float = 0.04
    """A pixel this sure needs no further sample."""


def camera_of(points: Points) -> Floats:
    return np.array([0, points.eye[1] - 0.20, LENS_DM])


def set_stage(points: Points, backdrop: Colour, hanging: list[Any]) -> None:
    """Lights, backdrop and camera for a person who stands at the origin; `hanging` are strands of long hair."""
    y = points.eye[1] - 0.30
    face = (0, y, 1.2)
    _light((-5.2, y + 3.8, 7.0), face, 3.8, 1700, WARM, mirrored=True)
    _light((6.5, y + 0.6, 8.0), face, 6.5, 300, COOL)
    _light((-0.6, y + 2.6, 12.0), face, 1.6, 220, WHITE)
    _light((0, y - 4.5, 6), face, 4.5, 85, WHITE)
    _light((-5, y + 4.2, -5.5), (0, y + 0.4, 0), 2.4, 190, WARM, mirrored=True)
    _light((5.5, y + 3.8, -5), (0, y + 0.2, 0), 2.4, 140, COOL, mirrored=True)
    _light((-1.0, y + 6.0, 2.5), (0, y + 1.0, 0), 2.2, 150, WHITE, mirrored=True)
    if hanging:
        _only_for(hanging, _light((1.2, y - 1.4, 9.0), (0, y - 0.6, 0), 5.0, 1300, WHITE, mirrored=True))
    world = bpy.data.worlds.new("world")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs[0].default_value = (0.60, 0.61, 0.63, 1)
    world.node_tree.nodes["Background"].inputs[1].default_value = 0.25
    bpy.context.scene.world = world
    _backdrop(backdrop, y)
    _camera(points, y)


Spot = tuple[float, float, float]


def _light(at: Spot, target: Spot, size: float, watts: float, colour: Colour, mirrored: bool = False) -> Any:
    """A square lamp; skin and hair shine with those that are mirrored."""
    data = bpy.data.lights.new("light", "AREA")
    data.energy, data.size, data.color = watts, size, colour
    light = bpy.data.objects.new("light", data)
    bpy.context.collection.objects.link(light)
    light.location = at
    light.rotation_euler = (Vector(target) - Vector(at)).to_track_quat("-Z", "Y").to_euler()
    light.visible_camera, light.visible_glossy = False, mirrored
    light.visible_transmission = at[2] > 0  # or thin hair before it turns yellow
    return light


def _only_for(things: list[Any], light: Any) -> None:
    """The light falls on nothing else: without it hair in the shadow beside the neck is black."""
    lit = bpy.data.collections.new("lit")
    for thing in things:
        lit.objects.link(thing)
    light.light_linking.receiver_collection = lit


def _backdrop(colour: Colour, y: float) -> None:
    """Lit by itself alone: brighter behind the head."""
    t = Nodes("backdrop")
    near = t.add("Mapping", {"Vector": t.place(), "Scale": (0.16, 0.16, 0.16)}).outputs[0]
    glow = t.add("TexGradient", {"Vector": near}, gradient_type="SPHERICAL").outputs[1]
    r, g, b = colour
    shade = t.mix(glow, (0.25 * r, 0.25 * g, 0.27 * b), colour)
    emission = t.add("Emission", {0: shade, 1: 0.8})
    corners = np.array([[-30, -30, 0], [30, -30, 0], [30, 30, 0], [-30, 30, 0]], float)
    wall = objects.mesh("backdrop", corners, [(0, 1, 2, 3)], t.surface(emission))
    wall.location = (-1.2, y + 0.6, -14)
    wall.visible_diffuse = wall.visible_glossy = wall.visible_shadow = False


def _camera(points: Points, y: float) -> None:
    data = bpy.data.cameras.new("camera")
    camera = bpy.data.objects.new("camera", data)
    bpy.context.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    at = camera_of(points)
    camera.location = at.tolist()
    camera.rotation_euler = (-np.arctan2(at[1] - y, at[2] - 1.0), 0, 0)
    data.sensor_width, data.clip_end = 36, 200
    data.lens = 36 * (at[2] - 1.2) / SHOWN_DM
    data.dof.use_dof = True
    data.dof.focus_distance = at[2] - points.nose[2] + 0.22
    data.dof.aperture_fstop = 50.0  # f/5, as the scene's unit is a tenth of a metre


def set_quality(quality: Quality, seed: int, threads: int = 1) -> None:
    scene: Any = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.resolution_x = scene.render.resolution_y = quality.size
    scene.render.threads_mode, scene.render.threads = "FIXED", threads
    scene.render.image_settings.file_format = "PNG"
    scene.render.use_persistent_data = True
    cycles = scene.cycles
    cycles.device, cycles.samples, cycles.seed = "CPU", quality.samples, seed
    cycles.use_adaptive_sampling, cycles.adaptive_threshold = True, quality.noise
    cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
    cycles.denoising_input_passes = "RGB_ALBEDO_NORMAL"
    cycles.max_bounces, cycles.transparent_max_bounces, cycles.sample_clamp_indirect = 4, 8, 4
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.pixel_filter_type, cycles.filter_width = "BLACKMAN_HARRIS", 1.35
    scene.cycles_curves.shape, scene.cycles_curves.subdivisions = "RIBBONS", 2
    scene.view_settings.view_transform, scene.view_settings.look = "AgX", "AgX - Medium High Contrast"


def shoot(path: Path, window: Window = WHOLE) -> None:
    """Renders what the camera sees, or a window of it alone, into a PNG."""
    render = bpy.context.scene.render
    render.filepath = str(path.resolve())
    render.use_border = render.use_crop_to_border = window != WHOLE
    render.border_min_x, render.border_max_x, render.border_min_y, render.border_max_y = window
    bpy.ops.render.render(write_still=True)
