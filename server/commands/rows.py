"""Many measurements as one row of a table."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Row:
    """Quantiles of many measurements, in milliseconds unless the name says otherwise."""

    name: str
    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, name: str, values: Sequence[float] | npt.NDArray[np.float32]) -> "Row":
        return cls(name, *(round(float(v), 2) for v in np.percentile(values, (50, 95, 99))))

    def __str__(self) -> str:
        return f"{self.name:<46}{self.p50:8.1f}{self.p95:8.1f}{self.p99:8.1f}"
