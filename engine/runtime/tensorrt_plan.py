"""A TensorRT plan (a built engine) and the manifest beside it: from what, by what and for what it was built.

A plan runs on the GPU and with the library that it was built for, and on nothing else. One that does not fit is refused
in one line before any of it is loaded.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from engine.places import data_home
from engine.runtime.network import Signature, TensorSpec

BUILD = "python -m trt_build build"
METHOD = 1  # raised when `trt_build.build` sets other flags or halves otherwise: plans of before are built anew


class PlanRefused(Exception):
    """A plan that must not be loaded here; the message is one line that says why and what to do."""


@dataclass(frozen=True)
class Machine:
    """What a plan would run on."""

    library: str
    """"tensorrt" or "tensorrt_rtx"."""
    version: str
    """The library's own, in full: plans of another patch release are not read."""
    gpu: str
    """The card's name; empty where there is none."""
    capability: str
    """Of its compute units: "8.9"; empty where there is no card."""


@dataclass(frozen=True)
class Manifest:
    """What lies beside a plan, as JSON."""

    graph: str
    """The ONNX file's name."""
    graph_sha256: str
    """Of the graph in full precision, as it ships: a new graph makes the plan stale."""
    plan_sha256: str
    library: str
    version: str
    gpu: str
    """Empty: any card of these capabilities."""
    capabilities: tuple[str, ...]
    precision: str
    """"fp32", or "fp16": matrix products in half precision where the check allowed it."""
    batches: tuple[int, ...]
    """The largest batch of each profile, ascending."""
    signature: Signature
    method: int = METHOD
    """Of building: flags and precisions."""

    def refusal(self, machine: Machine, graph_sha256: str, plan_sha256: str) -> str | None:
        """Why the plan must not be loaded, or None."""
        plan = f"{Path(self.graph).stem}.plan"
        if plan_sha256 != self.plan_sha256:
            return f"{plan} is not the file its manifest describes: run {BUILD}"
        if graph_sha256 != self.graph_sha256:
            return f"{plan} was built from another {self.graph}: run {BUILD}"
        if self.method != METHOD:
            return f"{plan} was built by another method than today's: run {BUILD}"
        if (machine.library, machine.version) != (self.library, self.version):
            return (
                f"{plan} was built by {self.library} {self.version}, here is {machine.library} {machine.version}:"
                f" run {BUILD}"
            )
        if machine.capability not in self.capabilities or self.gpu not in ("", machine.gpu):
            built_for = f"{self.gpu or 'any card'} (compute capability {', '.join(self.capabilities)})"
            here = f"{machine.gpu} ({machine.capability})" if machine.gpu else "no NVIDIA GPU"
            return f"{plan} was built for {built_for}, here is {here}: run {BUILD}"
        return None

    def to_json(self) -> str:
        plain = {**asdict(self), "signature": signature_to_plain(self.signature)}
        return json.dumps(plain, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """PlanRefused if it is no manifest of ours; unknown and missing keys are errors."""
        try:
            plain = json.loads(text)
            if plain.keys() != {field.name for field in fields(cls)}:
                raise ValueError("other keys")
            plain["capabilities"], plain["batches"] = tuple(plain["capabilities"]), tuple(plain["batches"])
            return cls(**{**plain, "signature": signature_from_plain(plain["signature"])})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise PlanRefused(f"the plan's manifest can't be read ({error}): run {BUILD}") from error


def plans_home() -> Path:
    """Where plans are built and looked for unless told otherwise."""
    return data_home() / "plans"


def write_plan(folder: Path, plan: bytes, manifest: Manifest) -> Path:
    """NAME.plan and NAME.json; the manifest comes last, so that a half-written pair is refused."""
    path = folder / f"{Path(manifest.graph).stem}.plan"
    path.with_suffix(".json").unlink(missing_ok=True)
    path.write_bytes(plan)
    path.with_suffix(".json").write_text(manifest.to_json())
    return path


def read_plan(path: Path, machine: Machine, graph: Path) -> tuple[bytes, Manifest]:
    """The plan at `path`, if it was built from `graph` for `machine`; PlanRefused if not."""
    try:
        plan, text = path.read_bytes(), path.with_suffix(".json").read_text()
    except OSError as error:
        raise PlanRefused(f"{error.filename} can't be read: run {BUILD}") from error
    manifest = Manifest.from_json(text)
    reason = manifest.refusal(machine, sha256(graph.read_bytes()), sha256(plan))
    if reason:
        raise PlanRefused(reason)
    return plan, manifest


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def signature_to_plain(signature: Signature) -> dict[str, list[dict[str, Any]]]:
    """For JSON; a free size is null."""
    return {
        side: [{"name": spec.name, "shape": list(spec.shape), "dtype": spec.dtype.name} for spec in specs]
        for side, specs in (("inputs", signature.inputs), ("outputs", signature.outputs))
    }


def signature_from_plain(plain: Mapping[str, list[dict[str, Any]]]) -> Signature:
    """The inverse."""
    inputs, outputs = (
        tuple(TensorSpec(spec["name"], tuple(spec["shape"]), np.dtype(spec["dtype"])) for spec in plain[side])
        for side in ("inputs", "outputs")
    )
    return Signature(inputs, outputs)
