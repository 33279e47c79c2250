"""The arena node by node, from the trace that ONNX Runtime writes of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Final

_WIDTHS: Final = {
    "bool": 1,
    "int8": 1,
    "uint8": 1,
    "int16": 2,
    "uint16": 2,
    "float16": 2,
    "bfloat16": 2,
    "int32": 4,
    "uint32": 4,
    "float": 4,
    "int64": 8,
    "uint64": 8,
    "double": 8,
}


@dataclass(frozen=True, slots=True)
class ArenaStep:
    """One call of one node.

    Args:
        node: Its name.
        op_type: Its operator.
        in_use_bytes: Arena in use after it, before its inputs are freed.
        grown_bytes: How much more that is than before it; may be negative.
        high_bytes: Most that was in use at any moment until then.
        parameter_bytes: Weights that it reads in their plain form.
        input_sizes: Bytes of each tensor that it reads.
        output_sizes: Bytes of each tensor that it makes.
    """

    node: str
    op_type: str
    in_use_bytes: int
    grown_bytes: int
    high_bytes: int
    parameter_bytes: int = 0
    input_sizes: tuple[int, ...] = ()
    output_sizes: tuple[int, ...] = ()


def read_step(name: str, args: Mapping[str, Any]) -> ArenaStep | None:
    """The step that one event of the trace tells of; None where this build does not say."""
    try:
        return ArenaStep(
            node=name,
            op_type=str(args.get("op_name", "")),
            in_use_bytes=int(args["mem_bytes_in_use"]),
            grown_bytes=int(args["mem_in_use_delta"]),
            high_bytes=int(args["mem_in_use_peak"]),
            parameter_bytes=int(args.get("parameter_size", 0)),
            input_sizes=tuple(_sizes(args.get("input_type_shape", ()))),
            output_sizes=tuple(_sizes(args.get("output_type_shape", ()))),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _sizes(described: Iterable[Mapping[str, Iterable[int]]]) -> Iterable[int]:
    """Bytes of tensors from entries such as `{"float": [1, 64]}`; other types count nothing."""
    for entry in described:
        for word, shape in entry.items():
            yield _WIDTHS.get(word, 0) * prod(int(dim) for dim in shape)
