"""The reference backend: the torch module the exported graphs are checked against. Needs torch installed."""

from collections.abc import Mapping

import torch

from engine.runtime.network import Array, Signature


class TorchNetwork:
    """A module whose positional inputs and outputs follow `signature`'s order."""

    def __init__(self, module: torch.nn.Module, signature: Signature, device: str = "cpu") -> None:
        self._module = module.eval().to(device)
        self._signature = signature
        self._device = device

    @property
    def signature(self) -> Signature:
        return self._signature

    @torch.inference_mode()
    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self._signature.check(inputs)
        tensors = [torch.from_numpy(inputs[spec.name]).to(self._device) for spec in self._signature.inputs]
        outputs = self._module(*tensors)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        names = [spec.name for spec in self._signature.outputs]
        return {name: value.cpu().numpy() for name, value in zip(names, outputs, strict=True)}
