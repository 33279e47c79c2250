"""Which changes of a model and of how it is loaded have a name?"""

from __future__ import annotations

from typing import Literal, TypeAlias

LoadingChange: TypeAlias = Literal[
    "external-data", "optimised-offline", "prepacking-off", "pattern-off", "arena-off"
]
"""A change of how a model is stored or loaded; its arithmetic stays the same."""
Changes: TypeAlias = tuple[LoadingChange, ...]
Precision: TypeAlias = Literal[
    "fp16", "int8-dynamic", "int8-static", "int8-weights", "int4-weights"
]
"""A change of the arithmetic; outputs differ from those of the original."""
ChangeCode: TypeAlias = LoadingChange | Literal["steady-allocator"] | Precision
