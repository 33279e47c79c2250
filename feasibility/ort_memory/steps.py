"""What the runtime executes: steps that make and read values."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from feasibility.graph.value_types import Shape

    # Axes whose size a model leaves open, by the name of the input; others are declared.
    OpenAxes: TypeAlias = Mapping[str, frozenset[int]]


class Value(NamedTuple):
    """One tensor that is made while the model runs.

    Attributes:
        size_bytes: Its size in the layout that the runtime gives it; 0 where it is open.
        shape: Its logical shape.
        is_known: True if the runtime knows the shape before it runs, so that it may plan for
            another tensor of that shape to take its place.
    """

    size_bytes: int
    shape: Shape | None
    is_known: bool


class Step(NamedTuple):
    """One kernel call.

    Attributes:
        op_type: Operator, for people.
        reads: Values that it reads, constants left out.
        writes: Values that it makes.
        is_view: True if its first output is its first input under another shape.
        in_place: Position among `reads` of the value that its first output may replace;
            None if it always makes a new one.
        workspace_bytes: What it allocates for itself while it runs.
    """

    op_type: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    is_view: bool = False
    in_place: int | None = None
    workspace_bytes: int = 0


class Program(NamedTuple):
    """Steps in the order in which they run.

    Attributes:
        values: All values by name.
        steps: The steps.
        inputs: Values that the caller owns.
        outputs: Values that the caller gets.
        packed_bytes: Weights that kernels keep in the arena in a layout of their own.
    """

    values: Mapping[str, Value]
    steps: tuple[Step, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    packed_bytes: tuple[int, ...] = ()
