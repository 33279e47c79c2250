"""Which function makes a change of a model's files?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from feasibility.records.changes import ChangeCode
from feasibility.records.workload import InputPlan
from feasibility.rewrite.forked.eight_bits import quantize_dynamic, quantize_static
from feasibility.rewrite.forked.half_precision import halve
from feasibility.rewrite.forked.optimise import optimise
from feasibility.rewrite.forked.quantize_blocks import quantize_blocks


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """What the functions need to know.

    Args:
        what: First part of the messages of errors.
        for_this_machine: Whether the result may use what only this instruction set has.
        reduce_range: Whether 8-bit weights take 7 bits.
        samples: Inputs for calibration, each with its seed.
        keep_float: Names of nodes that stay in float.
    """

    source: Path
    what: str
    for_this_machine: bool
    reduce_range: bool
    samples: tuple[tuple[InputPlan, int], ...]
    keep_float: tuple[str, ...]


def apply_change(change: ChangeCode, request: ChangeRequest, target: Path) -> None:
    """Writes the changed model and its data file.

    Raises:
        FeasibilityError: The change does not apply, or a file cannot be read or written.
    """
    _FUNCTIONS[change](request, target)


def _optimise(request: ChangeRequest, target: Path) -> None:
    optimise(request.source, target, request.what, for_this_machine=request.for_this_machine)


def _pack(request: ChangeRequest, target: Path) -> None:
    optimise(
        request.source,
        target,
        request.what,
        for_this_machine=request.for_this_machine,
        packs=True,
    )


def _halve(request: ChangeRequest, target: Path) -> None:
    halve(request.source, target, request.what, keep_float=request.keep_float)


def _quantize_dynamic(request: ChangeRequest, target: Path) -> None:
    quantize_dynamic(
        request.source,
        target,
        request.what,
        reduce_range=request.reduce_range,
        keep_float=request.keep_float,
    )


def _quantize_static(request: ChangeRequest, target: Path) -> None:
    quantize_static(
        request.source,
        target,
        request.what,
        samples=request.samples,
        reduce_range=request.reduce_range,
        keep_float=request.keep_float,
    )


def _quantize_weights(request: ChangeRequest, target: Path, *, bits: int) -> None:
    quantize_blocks(request.source, target, request.what, bits=bits, keep_float=request.keep_float)


_FUNCTIONS: Final[dict[ChangeCode, Callable[[ChangeRequest, Path], None]]] = {
    "optimised-offline": _optimise,
    "prepacked-offline": _pack,
    "fp16": _halve,
    "int8-dynamic": _quantize_dynamic,
    "int8-static": _quantize_static,
    "int8-weights": partial(_quantize_weights, bits=8),
    "int4-weights": partial(_quantize_weights, bits=4),
}
