"""What every backend promises: tensors by name, shape and dtype checked at the border.

State travels as ordinary tensors: an input `<field>_in` has its counterpart in the output `<field>_out`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class TensorSpec:
    """A tensor at a network's border."""

    name: str
    shape: tuple[int | None, ...]
    """`None` where the size is free (the batch, usually)."""
    dtype: np.dtype[Any]

    def check(self, value: Array) -> None:
        """ValueError if `value` has another dtype, rank or size."""
        if value.dtype != self.dtype or not _fits(value.shape, self.shape):
            raise ValueError(
                f"tensor {self.name!r} must be {self.dtype}{list(self.shape)}, not {value.dtype}{list(value.shape)}"
            )


@lru_cache(maxsize=1024)  # a network asks the same at every step
def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(want in (None, got) for want, got in zip(wanted, shape, strict=True))


@dataclass(frozen=True)
class Signature:
    """Everything a caller needs to know of a network."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def check(self, inputs: Mapping[str, Array]) -> None:
        """ValueError if a name is missing or unknown, or a tensor does not fit."""
        expected = {spec.name for spec in self.inputs}
        if expected != inputs.keys():
            missing, unknown = sorted(expected - inputs.keys()), sorted(inputs.keys() - expected)
            raise ValueError(f"wrong inputs: missing {missing}, unknown {unknown}")
        for spec in self.inputs:
            spec.check(inputs[spec.name])


class Network(Protocol):
    """A network on some backend. Calls from one thread at a time."""

    @property
    def signature(self) -> Signature: ...

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name. The arrays are the caller's to keep."""
        ...


class Launch(NamedTuple):
    """A network bound to its tensors."""

    run: Callable[[], None]
    """Once, on the stream."""
    capturable: bool
    """Whether that may be recorded: it allocates nothing of its own and never waits."""


def initial_state(signature: Signature, batch: int = 1) -> dict[str, Array]:
    """Zeros for every `<field>_in`; free sizes become `batch`."""
    return {
        spec.name: np.zeros([batch if n is None else n for n in spec.shape], spec.dtype)
        for spec in signature.inputs
        if spec.name.endswith("_in")
    }


def next_state(outputs: Mapping[str, Array]) -> dict[str, Array]:
    """The `<field>_out` of one step as the `<field>_in` of the next."""
    return {name[:-4] + "_in": value for name, value in outputs.items() if name.endswith("_out")}
