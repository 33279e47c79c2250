"""Which changes of a model are there, and how do they combine?

Left out, because no model that was tried gained from them: an arena that grows only as much as
it must, arena shrinkage, a separate allocator for weights. Bytes of ONNX Runtime's own format
used in place crash its loader.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from feasibility.records.changes import PRECISIONS, ChangeCode, LoadingChange, Precision
from feasibility.records.workload import STEADY_ENVIRONMENT, RuntimeSettings

AS_IS: Final = "as-is"
JOIN: Final = "+"

ChangeSet: TypeAlias = tuple[ChangeCode, ...]


class Change(NamedTuple):
    """One change.

    Attributes:
        weight: How much it asks of the people who deploy the model; a search starts with the
            lowest sum. A setting asks least, then another file, then other arithmetic.
        kind: What changes: a setting of the process, the files, the graph, or the arithmetic.
    """

    weight: int
    kind: Literal["setting", "file", "graph", "precision"]


# In the order in which they are applied to a model.
CHANGES: Final[dict[ChangeCode, Change]] = {
    **dict.fromkeys(PRECISIONS, Change(100, "precision")),
    "merged-weights": Change(30, "graph"),
    "prepacked-offline": Change(6, "file"),
    "optimised-offline": Change(20, "file"),
    "external-data": Change(10, "file"),
    "steady-allocator": Change(1, "setting"),
    "pattern-off": Change(2, "setting"),
    "arena-off": Change(3, "setting"),
    "prepacking-off": Change(4, "setting"),
}


def ordered(changes: Iterable[str]) -> ChangeSet:
    """The changes of the table among these names, in the order in which they are applied."""
    wanted = frozenset(changes)
    return tuple(code for code in CHANGES if code in wanted)


def weight(changes: Iterable[ChangeCode]) -> int:
    """How much changes ask of the people who deploy the model."""
    return sum(CHANGES[code].weight for code in changes)


def file_changes(changes: Iterable[str]) -> ChangeSet:
    """The changes that write another file, in the order in which they are applied."""
    return tuple(code for code in ordered(changes) if CHANGES[code].kind != "setting")


def graph_changes(changes: Iterable[ChangeCode]) -> ChangeSet:
    """The changes that make another graph, whose facts are read again."""
    return tuple(code for code in ordered(changes) if CHANGES[code].kind in ("graph", "precision"))


def loading_changes(changes: Iterable[ChangeCode]) -> tuple[LoadingChange, ...]:
    """The changes whose memory is modelled, in the order of the model."""
    wanted = frozenset(changes)
    return tuple(code for code in get_args(LoadingChange) if code in wanted)


def precision_of(changes: Iterable[ChangeCode]) -> Precision | None:
    """The change of the arithmetic; None if it stays the same."""
    return next((code for code in PRECISIONS if code in tuple(changes)), None)


def settings_of(changes: Iterable[str]) -> RuntimeSettings:
    """How the runtime is set up for changed files."""
    wanted = frozenset(changes)
    return RuntimeSettings(
        # The runtime would do the same work again, and memory for it would be needed.
        optimization_level="disabled" if "optimised-offline" in wanted else "all",
        prepacking="prepacking-off" not in wanted,
        arena="arena-off" not in wanted,
        memory_pattern=not wanted & {"pattern-off", "arena-off"},
        environment=STEADY_ENVIRONMENT if "steady-allocator" in wanted else {},
    )


def recipe_of(changes: Iterable[str]) -> str:
    """Name of a set of changes, as profiles state it."""
    return JOIN.join(changes) or AS_IS
