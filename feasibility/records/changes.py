"""Which changes of a model and of how it is loaded have a name?"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

LoadingChange: TypeAlias = Literal[
    "external-data",
    "optimised-offline",
    "prepacked-offline",
    "prepacking-off",
    "pattern-off",
    "arena-off",
]
"""A change of how a model is stored or loaded; its arithmetic stays the same."""
Changes: TypeAlias = tuple[LoadingChange, ...]
Precision: TypeAlias = Literal[
    "fp16", "int8-dynamic", "int8-static", "int8-weights", "int4-weights"
]
"""A change of the arithmetic; outputs differ from those of the original."""
PRECISIONS: Final[tuple[Precision, ...]] = get_args(Precision)
GraphChange: TypeAlias = Literal["merged-weights"]
"""A change of the graph that keeps the arithmetic."""
ChangeCode: TypeAlias = LoadingChange | GraphChange | Literal["steady-allocator"] | Precision
FileChange: TypeAlias = ChangeCode | Literal["transformer-fused"]
"""A change that `rewrite/` makes; `fit` does not try the last one, which lowers no memory."""
ComparedChange: TypeAlias = FileChange | Literal["optimizer-off"]
"""A change that `compare --changes` takes."""
# The optimizer writes weights into an external file itself, and packed weights beside them.
INCLUDES: Final[dict[ChangeCode, tuple[ChangeCode, ...]]] = {
    "optimised-offline": ("external-data",),
    "prepacked-offline": ("optimised-offline", "external-data"),
}

_OPTIMISED_OUTSIDE: Final[Changes] = ("optimised-offline", "external-data")
# Changes that lower memory, the smallest first, for reports that offer one. `fit` asks for all.
USUAL_CHANGES: Final[tuple[Changes, ...]] = (
    ("external-data",),
    ("external-data", "prepacking-off"),
    _OPTIMISED_OUTSIDE,
    (*_OPTIMISED_OUTSIDE, "prepacking-off"),
)
_PREPACKED: Final[Changes] = ("prepacked-offline",)
# Every way to store a model and to load it.
ALL_CHANGES: Final[tuple[Changes, ...]] = tuple(
    (*stored, *packed, *run)
    for stored in ((), ("external-data",), _OPTIMISED_OUTSIDE)
    for packed in ((), ("prepacking-off",), ("prepacked-offline",))
    for run in ((), ("pattern-off",), ("arena-off",))
    if (stored or packed or run) and (stored == _OPTIMISED_OUTSIDE or packed != _PREPACKED)
)
