"""What is each change of a model called, what does it do, and what does it cost?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from feasibility.records.changes import ChangeCode


class ChangeText(NamedTuple):
    """Words for one change.

    Attributes:
        short: Its name in tables; empty for what all changed models have.
    """

    title: str
    short: str
    effect: str
    cost: str


CHANGE_TEXTS: Final[dict[ChangeCode, ChangeText]] = {
    "external-data": ChangeText(
        "external data",
        "external",
        "the weights are in a file beside the model, which the runtime maps; the kernel can evict "
        "their pages, and loading needs no second copy",
        "one more file; the first run reads the weights from disk",
    ),
    "optimised-offline": ChangeText(
        "optimised offline",
        "optimised",
        "the runtime's optimizer ran before; loading converts no weights",
        "the file is for this instruction set and this version of ONNX Runtime or a newer one",
    ),
    "prepacked-offline": ChangeText(
        "prepacked offline",
        "packed",
        "the weights are also in the file in the layout that kernels read fastest, so no copies "
        "are in memory that must stay",
        "the file is larger, and for this kind of processor; another one makes its own copies",
    ),
    "prepacking-off": ChangeText(
        "prepacking off",
        "-prepack",
        "kernels read the weights where they are, without copies in a faster layout",
        "runs are slower",
    ),
    "pattern-off": ChangeText(
        "memory pattern off",
        "-pattern",
        "activations are not placed in one block from the second run on",
        "usually none",
    ),
    "arena-off": ChangeText(
        "arena off",
        "-arena",
        "activations come from the C library, which returns freed memory to the system",
        "runs can be slower",
    ),
    "steady-allocator": ChangeText(
        "trim threshold fixed",
        "",
        "glibc returns freed memory to the system (MALLOC_TRIM_THRESHOLD_ or mallopt)",
        "loading can be slower",
    ),
    "fp16": ChangeText(
        "half precision",
        "fp16",
        "weights have 16 bits in the file",
        "on a CPU, memory does not become lower; outputs differ slightly",
    ),
    "int8-dynamic": ChangeText(
        "int8, dynamic",
        "int8-dynamic",
        "weights have 8 bits; activations are quantized while the model runs",
        "outputs differ; convolutions usually become slower",
    ),
    "int8-static": ChangeText(
        "int8, static",
        "int8-static",
        "weights and activations have 8 bits, with ranges from samples",
        "outputs differ; needs samples of real inputs",
    ),
    "int8-weights": ChangeText(
        "int8 weights",
        "int8-weights",
        "weights of matrix products have 8 bits; the arithmetic stays in float",
        "outputs differ slightly",
    ),
    "int4-weights": ChangeText(
        "int4 weights",
        "int4-weights",
        "weights of matrix products have 4 bits; the arithmetic stays in float",
        "outputs differ",
    ),
}


def changes_text(changes: Iterable[ChangeCode]) -> str:
    """Titles of changes, as a list; `as it is` for none."""
    return ", ".join(CHANGE_TEXTS[code].title for code in changes) or "as it is"
