"""Arrays into Blender's objects and back: meshes, strands and pictures."""

from collections.abc import Iterable, Sequence
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from engine.face.source import Floats, Integers


def mesh(
    name: str,
    vertices: Floats,
    faces: Iterable[Sequence[int]] | Integers,
    material: Any = None,
    uv: Floats | None = None,
) -> Any:
    """A smooth object in the scene; `uv` [faces, corners, 2]."""
    data = bpy.data.meshes.new(name)
    shown = [(face, _distinct(face)) for face in map(list, faces)]
    data.from_pydata(vertices.tolist(), [], [[int(face[k]) for k in corners] for face, corners in shown])
    if uv is not None:
        at = np.concatenate([uv[i, corners] for i, (_, corners) in enumerate(shown)])
        data.uv_layers.new(name="uv").data.foreach_set("uv", at.astype(np.float32).ravel())
    data.polygons.foreach_set("use_smooth", np.ones(len(data.polygons), bool))
    if material is not None:
        data.materials.append(material)
    return _in_scene(name, data)


def _distinct(face: Sequence[int]) -> list[int]:
    """Which corners a face needs: a quad may repeat one."""
    return [k for k, vertex in enumerate(face) if vertex not in face[:k]]


def _in_scene(name: str, data: Any) -> Any:
    made = bpy.data.objects.new(name, data)
    bpy.context.collection.objects.link(made)
    return made


def divided(obj: Any) -> Any:
    """The mesh that the object's modifiers make of it, as new data."""
    bpy.context.view_layer.update()
    graph = bpy.context.evaluated_depsgraph_get()
    return bpy.data.meshes.new_from_object(obj.evaluated_get(graph))


def subdivide(obj: Any, levels: int) -> None:
    """Adds Catmull and Clark's subdivision, for the view and the render."""
    modifier = obj.modifiers.new("subdivided", "SUBSURF")
    modifier.levels = modifier.render_levels = levels
    modifier.uv_smooth = "PRESERVE_BOUNDARIES"


def vertices(data: Any) -> Floats:
    """[V, 3]"""
    return _read(data.vertices, "co")


def normals(data: Any) -> Floats:
    """[V, 3]"""
    return _read(data.vertices, "normal")


def _read(items: Any, name: str) -> Floats:
    out = np.zeros(len(items) * 3, np.float32)
    items.foreach_get(name, out)
    return out.reshape(-1, 3).astype(float)


def place(obj: Any, points: Floats) -> None:
    """Moves the points of a mesh [V, 3] or of strands [N, K, 3]."""
    flat = np.ascontiguousarray(points, np.float32).ravel()
    if obj.type == "MESH":
        obj.data.vertices.foreach_set("co", flat)
        obj.data.update()
    else:
        obj.data.position_data.foreach_set("vector", flat)
        obj.data.update_tag()


def attribute(data: Any, name: str, values: Floats) -> None:
    """A number [V] or a vector [V, 3] at each vertex."""
    kind, slot = ("FLOAT_VECTOR", "vector") if values.ndim == 2 else ("FLOAT", "value")
    data.attributes.new(name, kind, "POINT").data.foreach_set(slot, values.astype(np.float32).ravel())


def uv_of_vertices(data: Any) -> Floats:
    """[V, 2] one texture coordinate of each vertex."""
    corner, uv = np.zeros(len(data.loops), np.int32), np.zeros(len(data.loops) * 2, np.float32)
    data.loops.foreach_get("vertex_index", corner)
    data.uv_layers[0].data.foreach_get("uv", uv)
    out = np.zeros((len(data.vertices), 2))
    out[corner] = uv.reshape(-1, 2)
    return out


def triangles(data: Any) -> Integers:
    """[T, 3]"""
    data.calc_loop_triangles()
    out = np.zeros(len(data.loop_triangles) * 3, np.int32)
    data.loop_triangles.foreach_get("vertices", out)
    return out.reshape(-1, 3).astype(np.int64)


def strands(name: str, points: Floats, radii: Floats, material: Any, shade: Floats | None = None) -> Any:
    """Hairs: points [N, K, 3], radii [N, K]; the material may read "shade" [N], which is 0 without."""
    count, knots = radii.shape
    data = bpy.data.hair_curves.new(name)
    data.add_curves([knots] * count)
    data.position_data.foreach_set("vector", points.astype(np.float32).ravel())
    radius = data.attributes.get("radius") or data.attributes.new("radius", "FLOAT", "POINT")
    radius.data.foreach_set("value", radii.astype(np.float32).ravel())
    if shade is not None:
        data.attributes.new("shade", "FLOAT", "CURVE").data.foreach_set("value", shade.astype(np.float32))
    data.materials.append(material)
    return _in_scene(name, data)


def picture(name: str, pixels: npt.NDArray[Any], colour_space: str = "sRGB") -> Any:
    """An image of [h, w, 3] values, 0 to 1."""
    height, width = pixels.shape[:2]
    made = bpy.data.images.new(name, width, height, alpha=False)
    made.colorspace_settings.name = colour_space
    rgba = np.ones((height, width, 4), np.float32)
    rgba[..., :3] = pixels
    made.pixels.foreach_set(rgba[::-1].ravel())
    made.pack()
    return made
