"""A torch module as an executor: what runs on a GPU where there is no plan for it."""

from collections.abc import Mapping

import torch
from torch import Tensor

from engine.runtime.network import Launch, Signature


class Module:
    """`engine.runtime.gpu.Executor`: positional inputs and outputs in the signature's order.

    Not capturable: a module may make constants on the host as it goes, which a recording forbids.
    """

    largest = None

    def __init__(self, module: torch.nn.Module, signature: Signature, device: str = "cuda") -> None:
        self._module = module.eval().to(device)
        self._signature = signature

    @property
    def signature(self) -> Signature:
        return self._signature

    def workspace(self, most: int) -> int:
        """Torch allocates as it goes."""
        return 0

    def prepare(self, batch: int, tensors: Mapping[str, Tensor], workspace: Tensor, stream: int) -> Launch:
        inputs = [tensors[spec.name] for spec in self._signature.inputs]
        targets = [tensors[spec.name] for spec in self._signature.outputs]

        @torch.inference_mode()
        def run() -> None:
            outputs = self._module(*inputs)
            for target, value in zip(targets, outputs if isinstance(outputs, tuple) else (outputs,), strict=True):
                target.copy_(value)

        return Launch(run, capturable=False)
