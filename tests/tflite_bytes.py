"""TensorFlow Lite files written by hand, a table at a time."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from feasibility.model_file.tflite_file import OPERATOR_NAMES

FLOAT, INT32, INT8, FLOAT16 = 0, 2, 9, 1


@dataclass(frozen=True)
class Scalar:
    """A number with the `struct` format of its field."""

    form: str
    value: int


# A table by field number, a text, bytes, a vector of 32-bit numbers, or one of tables and texts.
Item: TypeAlias = "dict[int, Scalar | Item] | str | bytes | tuple[int, ...] | list[Item]"


def flatbuffer(root: Item, identifier: bytes = b"TFL3") -> bytes:
    """A file with that root table. Parents lie before children, as offsets must be positive."""
    data = bytearray(8)
    struct.pack_into("<I4s", data, 0, _put(data, root), identifier)
    return bytes(data)


def _put(data: bytearray, item: Item) -> int:
    """Appends an item and returns its position."""
    data.extend(bytes(-(len(data) + 4) % 16))
    at = len(data)
    match item:
        case str():
            text = item.encode()
            data += struct.pack("<I", len(text)) + text + b"\0"
        case bytes():
            data += struct.pack("<I", len(item)) + item
        case tuple():
            data += struct.pack(f"<I{len(item)}i", len(item), *item)
        case list():
            data += struct.pack("<I", len(item)) + bytes(4 * len(item))
            for index, child in enumerate(item):
                _point(data, at + 4 + 4 * index, child)
        case dict():
            return _put_table(data, item)
    return at


def _put_table(data: bytearray, fields: dict[int, Scalar | Item]) -> int:
    count = max(fields, default=-1) + 1
    layout = len(data)
    slots = [4 + 8 * index + 4 if index in fields else 0 for index in range(count)]
    data += struct.pack(f"<HH{count}H", 4 + 2 * count, 8 + 8 * count, *slots)
    data.extend(bytes(-len(data) % 8))
    at = len(data)
    data += struct.pack("<i4x", at - layout) + bytes(8 * count)
    for index, value in fields.items():
        slot = at + slots[index]
        if isinstance(value, Scalar):
            struct.pack_into(f"<{value.form}", data, slot, value.value)
        else:
            _point(data, slot, value)
    return at


def _point(data: bytearray, slot: int, child: Item) -> None:
    struct.pack_into("<I", data, slot, _put(data, child) - slot)


@dataclass(frozen=True)
class Tensor:
    """A tensor; with `data` it is a constant, with `buffer` it has that of another."""

    name: str
    shape: tuple[int, ...]
    kind: int = FLOAT
    data: bytes = b""
    signature: tuple[int, ...] = ()
    buffer: int | None = None
    external: int = 0


def weight(name: str, *shape: int, kind: int = FLOAT) -> Tensor:
    """A constant of ones."""
    size = {FLOAT: 4, INT32: 4, INT8: 1, FLOAT16: 2}[kind]
    count = 1
    for dim in shape:
        count *= dim
    return Tensor(name, shape, kind, b"\1" * (count * size))


@dataclass(frozen=True)
class Operator:
    """An operator by its name in the schema; others, and those after CUSTOM:, are custom ones."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[int, Scalar | Item] | None = None


@dataclass(frozen=True)
class Subgraph:
    """A graph; inputs and outputs are positions of tensors."""

    tensors: Sequence[Tensor]
    operators: Sequence[Operator]
    inputs: tuple[int, ...] = (0,)
    outputs: tuple[int, ...] = ()


def tflite_bytes(*subgraphs: Subgraph, extra: dict[int, Scalar | Item] | None = None) -> bytes:
    """A whole file; `extra` are further fields of its root table."""
    buffers: list[Item] = [{}]
    names: list[str] = []
    graphs: list[Item] = []
    for subgraph in subgraphs:
        tensors: list[Item] = []
        for tensor in subgraph.tensors:
            position = tensor.buffer or 0
            if tensor.data:
                position = len(buffers)
                buffers.append({0: tensor.data})
            fields: dict[int, Scalar | Item] = {
                0: tensor.shape,
                1: Scalar("b", tensor.kind),
                2: Scalar("I", position),
                3: tensor.name,
                10: Scalar("I", tensor.external),
            }
            if tensor.signature:
                fields[7] = tensor.signature
            tensors.append(fields)
        operators: list[Item] = []
        for operator in subgraph.operators:
            if operator.name not in names:
                names.append(operator.name)
            fields = {
                0: Scalar("I", names.index(operator.name)),
                1: operator.inputs,
                2: operator.outputs,
            }
            if operator.options is not None:
                fields[4] = operator.options
            operators.append(fields)
        graphs.append({0: tensors, 1: subgraph.inputs, 2: subgraph.outputs, 3: operators})
    root: dict[int, Scalar | Item] = {
        0: Scalar("I", 3),
        1: [_code(name) for name in names],
        2: graphs,
        3: "made by hand",
        4: buffers,
    }
    return flatbuffer(root | (extra or {}))


def _code(name: str) -> Item:
    if name not in OPERATOR_NAMES:
        return {0: Scalar("b", 32), 1: name.removeprefix("CUSTOM:"), 3: Scalar("i", 32)}
    number = OPERATOR_NAMES.index(name)
    return {0: Scalar("b", min(number, 127)), 3: Scalar("i", number)}
