"""The names of the renderer's portrait inputs, in the graphs' order. A prepared portrait holds exactly these arrays."""

MAPS: tuple[str, ...] = (
    "source", "iod", "pivot", "face_maps", "mouth_maps", "eye_maps", "mouth_gap", "eye_gap", "lash_turn",
    "frame_pose", "mouth_pose", "eye_pose", "mouth_at", "eye_at", "mouth_hole", "sprite_box", "sprite_depth",
    "sprite_moves", "shade_mix", "shade_maps", "shade_tint",
)  # fmt: skip
"""Floats; `engine.renderer.fields.FieldInputs` says what each is."""

PICTURES: tuple[str, ...] = (
    "person", "background", "lower", "lids", "shut", "lashes", "mouth_pictures", "whites", "irises",
)  # fmt: skip
"""Bytes; `engine.renderer.module.Pictures` says what each is."""

FIELDS: tuple[str, ...] = ("person", "mouth", "mouth_to", "eyes", "eyes_to", "lashes", "sprites", "shut", "shade")
"""The fields, in order; `engine.renderer.fields.FieldOutputs`."""
