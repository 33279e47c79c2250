"""Which values share memory, and when is it allocated and freed?

ONNX Runtime decides this before it runs. A view uses the memory of its input. Some kernels write
over an input that no other node reads. A value of known shape takes the memory of an earlier
value of the same shape that is no longer needed; that memory stays allocated between the two.
Source: the allocation planner of ONNX Runtime (onnxruntime/core/framework/allocation_planner.cc).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

    from feasibility.ort_memory.steps import NamedShape, Program, Step

    _Kind: TypeAlias = tuple[NamedShape, int]

# The runtime does not compare the shapes of values in the blocked layout.
BLOCKED_PREFIX = "blocked:"


class Event(NamedTuple):
    """Memory that one step allocates and frees.

    Attributes:
        taken: Values that get their own memory, with their sizes.
        kept: Those of them that the caller gets.
        unplanned: Those of them that later runs allocate on their own: the kept ones, and results
            of bodies.
        workspace: Sizes of what the step allocates and frees itself.
        later_workspace: The same in later runs. A branch then has one block, as the graph has.
        released: Values whose memory is freed after the step.
    """

    taken: tuple[tuple[str, int], ...]
    kept: frozenset[str]
    unplanned: frozenset[str]
    workspace: tuple[int, ...]
    later_workspace: tuple[int, ...]
    released: tuple[str, ...]


def plan(program: Program) -> tuple[Event, ...]:
    """What each step of a program allocates and frees, in order."""
    planner = _Planner(program)
    own = [planner.own_values(step) for step in program.steps]
    released = planner.releases()
    outputs = frozenset(program.outputs)
    return tuple(
        Event(
            taken=tuple((name, program.values[name].size_bytes) for name in names),
            kept=outputs.intersection(names),
            unplanned=frozenset(names) if step.makes_results else outputs.intersection(names),
            workspace=step.workspace,
            later_workspace=(sum(step.workspace),) if step.op_type == "If" else step.workspace,
            released=tuple(released.get(index, ())),
        )
        for index, (step, names) in enumerate(zip(program.steps, own, strict=True))
    )


def most_in_use_bytes(events: Iterable[Event]) -> int:
    """The most memory that is in use at one time, which is what a run needs without an arena."""
    sizes: dict[str, int] = {}
    in_use = most = 0
    for event in events:
        sizes.update(event.taken)
        in_use += sum(size for _, size in event.taken)
        most = max(most, in_use + sum(event.workspace))
        in_use -= sum(sizes.pop(name, 0) for name in event.released)
    return most


class _Planner:
    """State of the decisions, step by step."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._outputs = frozenset(program.outputs)
        self._inputs = frozenset(program.inputs)
        self._owner: dict[str, str] = {}
        # Values that no step reads any more, by what another value must have in common with them.
        self._free: defaultdict[_Kind, list[str]] = defaultdict(list)
        self._reads_left: Counter[str] = Counter(program.inputs)
        self._reads_left.update(program.outputs)
        for step in program.steps:
            self._reads_left.update(step.reads)

    def own_values(self, step: Step) -> list[str]:
        """Values of a step that get their own memory."""
        own = []
        for position, name in enumerate(step.writes):
            taken_over = None if name in self._outputs else self._place(step, position, name)
            # A broken graph may give one name to two values.
            if taken_over is None or taken_over == name:
                own.append(name)
            else:
                self._owner[name] = taken_over
                self._reads_left[taken_over] += self._reads_left[name]
        for name in step.reads:
            owner = self._owner_of(name)
            self._reads_left[owner] -= 1
            if not self._reads_left[owner]:
                self._release(owner)
        for name in own:
            if not self._reads_left[name]:
                self._release(name)
        return own

    def releases(self) -> dict[int, list[str]]:
        """Owners by the last step that uses their memory."""
        last: dict[str, int] = {}
        for index, step in enumerate(self._program.steps):
            for name in (*step.reads, *step.writes):
                last[self._owner_of(name)] = index
        released: dict[int, list[str]] = {}
        for name, index in last.items():
            if name not in self._inputs and name not in self._outputs:
                released.setdefault(index, []).append(name)
        return released

    def _place(self, step: Step, position: int, name: str) -> str | None:
        """The owner of the memory that a value reuses; None if it gets its own."""
        if position == 0 and step.reads and step.is_view:
            return self._owner_of(step.reads[0])
        if position == 0 and step.in_place is not None:
            source = step.reads[step.in_place]
            owner = self._owner_of(source)
            is_last = self._reads_left[owner] == 1 and owner not in self._inputs
            if is_last and owner not in self._outputs and self._is_alike(source, name):
                return owner
        kind = self._kind(name)
        free = None if kind is None else self._free.get(kind)
        return free.pop() if free else None

    def _release(self, name: str) -> None:
        kind = self._kind(name)
        if kind is not None:
            self._free[kind].append(name)

    def _is_alike(self, one: str, other: str) -> bool:
        kind = self._kind(one)
        return kind is not None and kind == self._kind(other)

    def _kind(self, name: str) -> _Kind | None:
        """What two values must have in common; None if the runtime does not know it."""
        value = self._program.values[name]
        return (value.shape, value.size_bytes) if value.is_known and value.shape else None

    def _owner_of(self, name: str) -> str:
        while name in self._owner:
            name = self._owner[name]
        return name
