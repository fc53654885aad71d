"""The names of the face model's coefficients, in order: a public interface of CSV files, streams and 3D clients."""

ARKIT: tuple[str, ...] = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft",
    "eyeWideLeft",
    "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight", "eyeSquintRight",
    "eyeWideRight",
    "jawForward", "jawLeft", "jawRight", "jawOpen",
    "mouthClose", "mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight",
    "mouthSmileLeft", "mouthSmileRight",
    "mouthFrownLeft", "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight",
    "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
"""Apple's 52 blend shapes in Apple's order. Left and right are the person's own."""

EXTRA: tuple[str, ...] = (
    "browInnerUpLeft", "browInnerUpRight",  # AU L1, R1: ARKit has only both together
    "nasolabialDeepenerLeft", "nasolabialDeepenerRight",  # AU 11
    "sharpLipPullerLeft", "sharpLipPullerRight",  # AU 13
    "lipTightener",  # AU 23
    "lipBite",  # AU 32
    "nostrilDilatorLeft", "nostrilDilatorRight",  # AU 38
    "nostrilCompressor",  # AU 39
)  # fmt: skip
"""Units of the Facial Action Coding System that ARKit has no shape for."""

HEAD: tuple[str, ...] = ("headYaw", "headPitch", "headRoll", "headX", "headY", "headScale")
"""Head pose relative to the portrait: degrees (yaw positive to the person's left, pitch up, roll to the person's left
shoulder), inter-ocular distances (right and down in the picture positive), and a factor (1 at rest)."""

FACE: tuple[str, ...] = ARKIT + EXTRA
NAMES: tuple[str, ...] = FACE + HEAD
INDEX: dict[str, int] = {name: i for i, name in enumerate(NAMES)}

GAZE_DEGREES: tuple[float, float] = (25.0, 17.0)
"""How far an eye turns where an eyeLook coefficient is 1: in or out, up or down."""
