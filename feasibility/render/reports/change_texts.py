"""What is each change of a model called, what does it do, and what does it cost?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from feasibility.records.changes import INCLUDES, ChangeCode


class ChangeText(NamedTuple):
    """Words for one change.

    Attributes:
        short: Its name in tables.
    """

    title: str
    short: str
    effect: str
    cost: str


CHANGE_TEXTS: Final[dict[ChangeCode, ChangeText]] = {
    "external-data": ChangeText(
        "external data",
        "external",
        "the weights are in a file beside the model, and the runtime maps this file. The kernel "
        "can evict the pages of the file, and loading needs no second copy",
        "one more file; the first run reads the weights from disk",
    ),
    "optimised-offline": ChangeText(
        "optimised offline",
        "optimised",
        "the runtime's optimizer has changed the file already, so it does not run while loading",
        "the file is for this instruction set, and for this version of ONNX Runtime or a newer one",
    ),
    "prepacked-offline": ChangeText(
        "prepacked offline",
        "prepacked",
        "the file also has the weights in the layout that kernels read fastest, so kernels make no "
        "copies that must stay in memory",
        "a larger file, for this kind of processor",
    ),
    "prepacking-off": ChangeText(
        "prepacking off",
        "no prepack",
        "kernels make no copies of the weights in a faster layout",
        "runs are slower",
    ),
    "pattern-off": ChangeText(
        "memory pattern off",
        "no pattern",
        "the runtime does not place all activations in one block",
        "usually none",
    ),
    "arena-off": ChangeText(
        "arena off",
        "no arena",
        "activations come from the C library, which returns freed memory to the system",
        "runs can be slower",
    ),
    "steady-allocator": ChangeText(
        "steady allocator",
        "steady allocator",
        "glibc with a fixed trim threshold returns freed memory to the system (variable "
        "MALLOC_TRIM_THRESHOLD_, or mallopt)",
        "loading can be slower",
    ),
    "merged-weights": ChangeText(
        "weights merged",
        "merged",
        "a weight that the model holds twice is stored once, also if the second copy is "
        "transposed. All weights are in a file beside the model",
        "one more file; the model may use the operator FusedMatMul of ONNX Runtime, which other "
        "runtimes may not have",
    ),
    "fp16": ChangeText(
        "half precision",
        "fp16",
        "weights have 16 bits in the file",
        "outputs differ slightly; on a CPU, the model needs no less memory",
    ),
    "int8-dynamic": ChangeText(
        "dynamic int8",
        "dynamic int8",
        "weights have 8 bits; activations are quantized in each run",
        "outputs differ; convolutions usually become slower",
    ),
    "int8-static": ChangeText(
        "static int8",
        "static int8",
        "weights and activations have 8 bits; samples gave the ranges of the activations",
        "outputs differ; it needs samples of real inputs",
    ),
    "int8-weights": ChangeText(
        "int8 weights",
        "int8 weights",
        "weights of matrix products have 8 bits; kernels may round activations to 8 bits too",
        "outputs differ slightly",
    ),
    "int4-weights": ChangeText(
        "int4 weights",
        "int4 weights",
        "weights of matrix products have 4 bits; kernels may round activations to 8 bits too",
        "outputs differ",
    ),
}


def main_changes(changes: Sequence[ChangeCode]) -> tuple[ChangeCode, ...]:
    """Changes without those that another one includes.

    The steady allocator is left out too, unless it is the only change: all changed models have it.
    """
    included = {each for code in changes for each in INCLUDES.get(code, ())}
    if len(changes) > 1:
        included.add("steady-allocator")
    return tuple(code for code in changes if code not in included)


def changes_text(changes: Iterable[ChangeCode]) -> str:
    """Titles of changes, as a list; `as it is` for none."""
    return ", ".join(CHANGE_TEXTS[code].title for code in changes) or "as it is"
