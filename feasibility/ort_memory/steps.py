"""What is a program of the runtime? Steps that read and compute values."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    # Names of the axes with an open size, by the name of the input.
    OpenAxes: TypeAlias = Mapping[str, Mapping[int, str]]
    # The shape of a value as the runtime knows it, with the names of open axes.
    NamedShape: TypeAlias = tuple[int | str | None, ...]

_WITH_BODIES: Final = frozenset({"If", "Loop"})


class Stage(IntEnum):
    """When a node comes into being: with the file, or in an optimisation while loading."""

    READ = 0
    MERGED = 1
    BLOCKED = 2
    UNBLOCKED = 3


class Value(NamedTuple):
    """One tensor that is computed while the model runs.

    Attributes:
        size_bytes: Its size in its layout; 0 if unknown.
        is_known: True if the runtime knows the shape before it runs, so that another tensor
            of that shape can reuse the memory.
    """

    size_bytes: int
    shape: NamedShape | None
    is_known: bool


class Step(NamedTuple):
    """One kernel call.

    Attributes:
        reads: Values that it reads, without constants.
        is_view: True if its first output is its first input with another shape.
        in_place: Position in `reads` of the value that its first output may overwrite.
        workspace: Buffers that the kernel allocates while it runs.
        age: The stage of loading that creates its node, and the position among these nodes.
    """

    op_type: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    is_view: bool = False
    in_place: int | None = None
    workspace: tuple[int, ...] = ()
    age: tuple[Stage, int] = (Stage.READ, 0)

    @property
    def makes_results(self) -> bool:
        """Whether the step runs a body that allocates its own results."""
        return self.op_type in _WITH_BODIES


class Program(NamedTuple):
    """Steps in execution order.

    Attributes:
        inputs: Values that the caller owns.
        outputs: Values that the caller gets.
        scratch_bytes: The largest memory that a kernel needs outside the arena.
        packed_bytes: Weights that kernels keep in the arena in their own layout.
    """

    values: Mapping[str, Value]
    steps: tuple[Step, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    scratch_bytes: int = 0
    packed_bytes: tuple[int, ...] = ()
