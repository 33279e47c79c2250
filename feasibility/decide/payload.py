"""Bytes that one request to a server sends and fetches."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

from feasibility.decide.network import Payload
from feasibility.records.base import TensorSpec
from feasibility.records.profile import Profile
from feasibility.records.workload import InputSpec

_BITS: Final = re.compile(r"[a-z]+?(\d+)(?:_.*|e\dm\d.*)?", re.ASCII)


def payload_of(profile: Profile) -> Payload:
    """Bytes of the inputs that were fed and of the outputs, as plain tensors."""
    inputs = [_input_bytes(spec) for spec in profile.workload.inputs]
    dims = profile.workload.dims
    outputs = [_output_bytes(spec, dims) for spec in profile.model.outputs]
    return Payload(_sum(inputs), _sum(outputs))


def element_bits(dtype: str) -> int | None:
    """Bits of one element; None for texts, whose length is their own."""
    if dtype == "bool":
        return 8
    match = _BITS.fullmatch(dtype)
    return int(match[1]) if match else None


def _input_bytes(spec: InputSpec) -> int | None:
    if spec.fill.kind == "absent":
        return 0
    return _bytes(spec.dtype, spec.shape) if spec.kind in ("tensor", "optional") else None


def _output_bytes(spec: TensorSpec, dims: Mapping[str, int]) -> int | None:
    if spec.kind != "tensor" or spec.shape is None:
        return None
    sizes = [dims.get(dim) if isinstance(dim, str) else dim for dim in spec.shape]
    known = tuple(size for size in sizes if size is not None)
    return _bytes(spec.dtype, known) if len(known) == len(sizes) else None


def _bytes(dtype: str, shape: tuple[int, ...]) -> int | None:
    bits = element_bits(dtype)
    return None if bits is None else -(-math.prod(shape) * bits // 8)


def _sum(sizes: list[int | None]) -> int | None:
    """Sum of the sizes; None if there are none or one is not known."""
    known = [size for size in sizes if size is not None]
    return sum(known) if sizes and len(known) == len(sizes) else None
