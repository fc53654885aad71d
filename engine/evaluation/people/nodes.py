"""Materials as expressions: each call adds a node to a tree and returns the socket that holds its result."""

from collections.abc import Mapping
from typing import Any

import bpy

Socket = Any
"""A node's output, or a plain value: a number, or a colour as three numbers."""


class Nodes:
    """The node tree of one new material."""

    def __init__(self, name: str) -> None:
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self._tree = self.material.node_tree
        self._tree.nodes.clear()
        self._out = self._tree.nodes.new("ShaderNodeOutputMaterial")

    def add(self, kind: str, inputs: Mapping[Any, Socket] | None = None, **settings: Any) -> Any:
        """A node of Blender's type `ShaderNode<kind>`; inputs by name or number."""
        node = self._tree.nodes.new("ShaderNode" + kind)
        for name, value in settings.items():
            setattr(node, name, value)
        for key, value in (inputs or {}).items():
            self._connect(node.inputs[key], value)
        return node

    def surface(self, shader: Any) -> Any:
        """Ends the tree; the finished material."""
        self._connect(self._out.inputs[0], shader.outputs[0])
        return self.material

    def _connect(self, socket: Any, value: Socket) -> None:
        if isinstance(value, bpy.types.NodeSocket):
            self._tree.links.new(value, socket)
        elif socket.type == "RGBA" and len(value) == 3:
            socket.default_value = (*value, 1)
        else:
            socket.default_value = value

    def attribute(self, name: str) -> Socket:
        """A number that the mesh has at each vertex."""
        return self.add("Attribute", attribute_name=name).outputs["Fac"]

    def attribute_vector(self, name: str) -> Socket:
        return self.add("Attribute", attribute_name=name).outputs["Vector"]

    def place(self) -> Socket:
        """Where the object's own space has the point."""
        return self.add("TexCoord").outputs["Object"]

    def math(self, operation: str, a: Socket, b: Socket = 0.0) -> Socket:
        return self.add("Math", {0: a, 1: b}, operation=operation).outputs[0]

    def product(self, *factors: Socket) -> Socket:
        out, *rest = factors
        for factor in rest:
            out = self.math("MULTIPLY", out, factor)
        return out

    def total(self, *terms: Socket) -> Socket:
        out, *rest = terms
        for term in rest:
            out = self.math("ADD", out, term)
        return out

    def less(self, a: Socket, b: Socket) -> Socket:
        return self.math("SUBTRACT", a, b)

    def mix(self, share: Socket, a: Socket, b: Socket, mode: str = "MIX") -> Socket:
        """Colours."""
        return self.add("MixRGB", {0: share, 1: a, 2: b}, blend_type=mode).outputs[0]

    def blend(self, share: Socket, a: Socket, b: Socket) -> Socket:
        """Numbers."""
        return self.add("Mix", {0: share, 2: a, 3: b}).outputs[0]

    def ramp(self, x: Socket, start: float, end: float, low: float = 0.0, high: float = 1.0) -> Socket:
        """Smoothly from `low` where x is `start` to `high` where it is `end`."""
        inputs = {0: x, 1: start, 2: end, 3: low, 4: high}
        return self.add("MapRange", inputs, interpolation_type="SMOOTHSTEP").outputs[0]

    def noise(self, at: Socket, scale: float, detail: float = 3, roughness: float = 0.55) -> Socket:
        """About 0.5; `scale` features a decimetre."""
        inputs = {"Vector": at, "Scale": scale, "Detail": detail, "Roughness": roughness}
        return self.add("TexNoise", inputs).outputs[0]

    def cells(self, at: Socket, scale: float) -> tuple[Socket, Socket]:
        """Distance to the nearest of scattered points, and a random colour of that point."""
        node = self.add("TexVoronoi", {"Vector": at, "Scale": scale, "Randomness": 1.0})
        return node.outputs["Distance"], node.outputs["Color"]

    def channel(self, colour: Socket, index: int) -> Socket:
        return self.add("SeparateColor", {0: colour}).outputs[index]

    def bump(self, height: Socket, distance: float, strength: float = 1.0) -> Socket:
        return self.add("Bump", {"Strength": strength, "Distance": distance, "Height": height}).outputs[0]

    def image(self, picture: Any, uv: Socket) -> Socket:
        node = self.add("TexImage", {"Vector": uv}, interpolation="Cubic")
        node.image = picture
        return node.outputs[0]

    def uv(self) -> Socket:
        return self.add("UVMap", uv_map="uv").outputs[0]
