"""Reads off the coefficients how far the lips are parted."""

import numpy as np
import numpy.typing as npt

from engine.face.coefficients import FACE

Floats = npt.NDArray[np.float32]


def weights(of: dict[str, float]) -> Floats:
    """[63]; a name without a side stands for both."""
    plain = [name.removesuffix("Left").removesuffix("Right") for name in FACE]
    return np.array([of.get(name, 0.0) for name in plain], np.float32)


GAP = weights({
    "jawOpen": 1.0, "mouthClose": -1.0, "mouthFunnel": 0.28, "mouthLowerDown": 0.12, "mouthUpperUp": 0.08,
    "mouthSmile": -0.1, "mouthRollUpper": -0.17, "mouthPress": -0.1, "lipBite": 0.05,
})  # fmt: skip
"""[63] how far each coefficient parts the middle of the inner lips, against jawOpen. A fit to what MediaPipe reads in
360 pictures of the default portraits speaking under emotions: apertures of 0.03 + 0.45 x GAP inter-ocular distances,
0.009 off (standard deviation); below 0.02 lips are shut."""
