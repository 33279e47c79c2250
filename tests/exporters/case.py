"""One model to export: how to make it, what to call it with, and which dims stay open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Case:
    """A model and an example call.

    Args:
        name: Start of the file names.
        make: Makes the module and its example inputs, by name, in the order of the call.
        outputs: Names of the outputs.
        open_dims: For each input or output the name of each open dim.
        opset: Operator set for the TorchScript exporter; the other one chooses its own.
    """

    name: str
    make: Callable[[], tuple[nn.Module, dict[str, Tensor]]]
    outputs: tuple[str, ...]
    open_dims: dict[str, dict[int, str]] = field(default_factory=dict)
    opset: int = 17
