"""Protobuf messages written by hand, for files that no library would write."""

from __future__ import annotations


def varint(value: int) -> bytes:
    """An unsigned varint; negative numbers as protobuf writes them."""
    value %= 2**64
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def number(field: int, value: int) -> bytes:
    """A varint field."""
    return varint(field << 3) + varint(value)


def message(field: int, *parts: bytes) -> bytes:
    """A length-delimited field: a message, a string, bytes or a packed list."""
    body = b"".join(parts)
    return varint(field << 3 | 2) + varint(len(body)) + body


def model(*graph_parts: bytes) -> bytes:
    """A model of IR version 8 and operator set 17 with that graph."""
    return number(1, 8) + message(8, number(2, 17)) + message(7, *graph_parts)


def tensor(name: str, data_type: int, dims: list[int], *data: bytes) -> bytes:
    """A `TensorProto` without its field's header."""
    sizes = b"".join(number(1, dim) for dim in dims)
    return sizes + number(2, data_type) + message(8, name.encode()) + b"".join(data)
