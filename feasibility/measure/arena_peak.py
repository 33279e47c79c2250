"""Which tensors filled the arena at its peak? Follows its blocks through the runtime's trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from feasibility.measure.instruments.ort_profile import ArenaStep
from feasibility.records.anatomy import ArenaPeak, HeldTensor
from feasibility.units import rounded_up

MAX_TENSOR_COUNT: Final = 32
# The arena rounds every request up to this many bytes.
_GRAIN_BYTES: Final = 256
# Number of blocks whose combinations are tried for one freed amount.
_CANDIDATE_COUNT: Final = 24


@dataclass(frozen=True, slots=True)
class _Block:
    """A block of the arena: the node that took it, its size, and the size of its tensor."""

    step: ArenaStep
    size_bytes: int
    tensor_bytes: int


def arena_peak(steps: Sequence[ArenaStep]) -> ArenaPeak | None:
    """The step at which the arena was fullest, and the blocks then; None without steps.

    A step takes one block for each output. Bytes freed between two steps are matched with the
    blocks by size. If a wrong match left too many blocks, the oldest of them are not listed.
    """
    if not steps:
        return None
    start = steps[0].before_bytes
    highest = max(step.high_bytes for step in steps)
    index = next(i for i, step in enumerate(steps) if step.high_bytes == highest)
    held: list[_Block] = []
    previous: ArenaStep | None = None
    unmatched_bytes = 0  # freed, but not matched with a block yet
    for step in steps[: index + 1]:
        before = start if previous is None else previous.in_use_bytes
        freed_bytes = max(0, before + step.grown_bytes - step.in_use_bytes)
        unmatched_bytes = _free(held, freed_bytes, unmatched_bytes, previous)
        held += _taken(step)
        previous = step
    peak = steps[index]
    in_use = max(0, highest - start)
    scratch = min(in_use, max(0, highest - peak.in_use_bytes))
    newest_first = range(len(held) - 1, -1, -1)
    listed = [held[index] for index in sorted(_at_most(held, newest_first, in_use - scratch))]
    return ArenaPeak(
        node=peak.node,
        op_type=peak.op_type,
        in_use_bytes=in_use,
        prepacked_bytes=start,
        scratch_bytes=scratch,
        tensors=tuple(
            HeldTensor(
                producer=block.step.node, op_type=block.step.op_type, size_bytes=block.size_bytes
            )
            for block in sorted(listed, key=lambda block: -block.size_bytes)[:MAX_TENSOR_COUNT]
        ),
    )


def _taken(step: ArenaStep) -> list[_Block]:
    """The blocks that a step leaves: one per output if the sizes add up, otherwise one."""
    if step.grown_bytes <= 0:
        return []
    sizes = [_rounded(size) for size in step.output_sizes]
    if len(sizes) > 1 and sum(sizes) == step.grown_bytes:
        pairs = zip(sizes, step.output_sizes, strict=True)
        return [_Block(step, size, tensor) for size, tensor in pairs]
    return [_Block(step, step.grown_bytes, max(step.output_sizes, default=0))]


def _free(
    held: list[_Block], freed_bytes: int, unmatched_bytes: int, after: ArenaStep | None
) -> int:
    """Removes freed blocks, first those that `after` has read; returns the bytes not matched."""
    if freed_bytes + unmatched_bytes == 0:
        return 0
    read = () if after is None else after.input_sizes
    order = sorted(
        range(len(held)), key=lambda index: (held[index].tensor_bytes in read, index), reverse=True
    )
    sought_bytes = freed_bytes + unmatched_bytes
    chosen = (
        _exactly(held, order, freed_bytes)
        or _exactly(held, order, sought_bytes)
        or _at_most(held, order, sought_bytes)
    )
    left_bytes = sought_bytes - sum(held[index].size_bytes for index in chosen)
    for index in sorted(chosen, reverse=True):
        del held[index]
    return left_bytes


def _exactly(held: Sequence[_Block], order: Sequence[int], size_bytes: int) -> tuple[int, ...]:
    """The first one, two or three blocks in order whose sizes add up to the size."""
    for count in (1, 2, 3):
        for indices in combinations(order[:_CANDIDATE_COUNT], count):
            if sum(held[index].size_bytes for index in indices) == size_bytes:
                return indices
    return ()


def _at_most(held: Sequence[_Block], order: Sequence[int], size_bytes: int) -> tuple[int, ...]:
    """Blocks in order, as long as they fit into the size."""
    chosen = []
    for index in order:
        if held[index].size_bytes <= size_bytes:
            chosen.append(index)
            size_bytes -= held[index].size_bytes
    return tuple(chosen)


def _rounded(size_bytes: int) -> int:
    return max(_GRAIN_BYTES, rounded_up(size_bytes, _GRAIN_BYTES))
