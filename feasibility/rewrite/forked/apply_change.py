"""Which function makes a change of a model's files?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from feasibility.records.changes import FileChange
from feasibility.rewrite.change_request import ChangeRequest
from feasibility.rewrite.forked.eight_bits import quantize_dynamic, quantize_static
from feasibility.rewrite.forked.fused_transformer import fuse_transformer
from feasibility.rewrite.forked.half_precision import halve
from feasibility.rewrite.forked.merge_weights import merge_weights
from feasibility.rewrite.forked.optimise import optimise
from feasibility.rewrite.forked.quantize_blocks import quantize_blocks

_FUNCTIONS: Final[dict[FileChange, Callable[[ChangeRequest], None]]] = {
    "optimised-offline": partial(optimise, packs=False),
    "prepacked-offline": partial(optimise, packs=True),
    "merged-weights": merge_weights,
    "transformer-fused": fuse_transformer,
    "fp16": halve,
    "int8-dynamic": quantize_dynamic,
    "int8-static": quantize_static,
    "int8-weights": partial(quantize_blocks, bits=8),
    "int4-weights": partial(quantize_blocks, bits=4),
}


def apply_change(change: FileChange, request: ChangeRequest) -> None:
    """Writes the changed model and its data file.

    Raises:
        FeasibilityError: The change does not apply, or a file cannot be read or written.
    """
    _FUNCTIONS[change](request)
