"""Where the memory is: one kernel figure divided by what several instruments say of it.

Pure arithmetic. What the kernel and the C library count themselves is taken first, what is
inferred afterwards, and what is left over is called unattributed. docs/memory.md says why
each part is measured as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from feasibility.measure.instruments.memray_capture import PhaseAllocations
from feasibility.measure.instruments.ort_profile import Trace
from feasibility.measure.memory_figures import ChildMemory
from feasibility.measure.memory_surveys import Moments
from feasibility.records.anatomy import Anatomy, ChangedSetting, MemoryParts, SettingEffect

# From this size on glibc gives a block a mapping of its own, once its thresholds are fixed.
LARGE_BLOCK_BYTES: Final = 128 * 1024


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that is known of where the memory is.

    Args:
        kernel: Kernel figures of the steady child.
        steady: The same child in detail.
        input_sizes: Bytes of each input that is fed.
        trace: The runtime's profile; None if that pass failed.
        load: memray's figures of loading; None if that pass failed.
        without_prepacking: A child with prepacking off; None if it failed.
        without_arena: A child with the arena off and its details; None if it failed.
        defaults: Children with the default allocator.
    """

    kernel: ChildMemory
    steady: Moments
    input_sizes: tuple[int, ...] = ()
    trace: Trace | None = None
    load: PhaseAllocations | None = None
    without_prepacking: ChildMemory | None = None
    without_arena: tuple[ChildMemory, Moments] | None = None
    defaults: Sequence[ChildMemory] = ()


class _Remainder:
    """What has not been attributed yet; nothing can be taken that is not there."""

    def __init__(self, total_bytes: int) -> None:
        self.left_bytes = total_bytes

    def take(self, claim_bytes: int) -> int:
        """As much of the claim as is left."""
        taken = max(0, min(claim_bytes, self.left_bytes))
        self.left_bytes -= taken
        return taken


def anatomy(evidence: Evidence) -> Anatomy:
    """Where the memory is after loading and at the inference peak."""
    loaded, heap = evidence.steady.loaded, evidence.steady.loaded.heap
    parts = loaded_parts(evidence)
    default_kept = [
        max(0, child.resident_anonymous_bytes - evidence.kernel.resident_anonymous_bytes)
        + parts.retained_bytes
        for child in evidence.defaults
    ]
    effects: tuple[tuple[ChangedSetting, ChildMemory | None], ...] = (
        ("prepacking-off", evidence.without_prepacking),
        ("arena-off", evidence.without_arena[0] if evidence.without_arena else None),
    )
    return Anatomy(
        loaded=parts,
        inference_peak=peak_parts(evidence, parts),
        allocated_bytes=None if heap is None else heap.in_use_bytes,
        requested_bytes=None if evidence.load is None else evidence.load.kept_bytes,
        mapped_bytes=None if evidence.load is None else evidence.load.mapped_bytes,
        untouched_bytes=None if heap is None else loaded.untouched_bytes,
        default_retained_low_bytes=min(default_kept, default=None),
        default_retained_high_bytes=max(default_kept, default=None),
        settings=tuple(_effect(name, child) for name, child in effects if child is not None),
    )


def loaded_parts(evidence: Evidence) -> MemoryParts:
    """The resident memory after loading, divided."""
    now, rest = evidence.steady.loaded, _Remainder(evidence.kernel.resident_bytes)
    library = rest.take(now.library_bytes)
    model_file = rest.take(now.model_file_bytes)
    retained = rest.take(now.kept_bytes)
    tensors, others = _heap_parts(evidence)
    prepacked = rest.take(min(_prepacked_bytes(evidence), tensors))
    weights = rest.take(tensors - prepacked)
    objects = rest.take(others)
    return MemoryParts(
        total_bytes=evidence.kernel.resident_bytes,
        weights_bytes=weights,
        prepacked_bytes=prepacked,
        objects_bytes=objects,
        retained_bytes=retained,
        model_file_bytes=model_file,
        library_bytes=library,
        unattributed_bytes=rest.left_bytes,
    )


def peak_parts(evidence: Evidence, loaded: MemoryParts) -> MemoryParts:
    """The inference peak, divided: what loading left, and what the runs added to it."""
    before, now = evidence.steady.loaded, evidence.steady.done
    total_bytes = evidence.kernel.inference_peak_bytes
    rest = _Remainder(total_bytes)
    library = rest.take(now.library_bytes)
    model_file = rest.take(now.model_file_bytes)
    transient = rest.take(total_bytes - now.resident_bytes)
    retained = rest.take(now.kept_bytes)
    prepacked = rest.take(loaded.prepacked_bytes)
    weights = rest.take(loaded.weights_bytes)
    grown = (now.small_bytes or 0) - (before.small_bytes or 0)
    objects = rest.take(loaded.objects_bytes + grown)
    inputs = rest.take(sum(s for s in evidence.input_sizes if s >= LARGE_BLOCK_BYTES))
    in_use, idle = _arena(evidence, rest, inputs)
    return MemoryParts(
        total_bytes=total_bytes,
        weights_bytes=weights,
        prepacked_bytes=prepacked,
        arena_in_use_bytes=in_use,
        arena_idle_bytes=idle,
        inputs_bytes=inputs,
        objects_bytes=objects,
        retained_bytes=retained,
        transient_bytes=transient,
        model_file_bytes=model_file,
        library_bytes=library,
        unattributed_bytes=rest.left_bytes,
    )


def arena_start_bytes(trace: Trace | None) -> int | None:
    """Arena in use before the first node ran, which is what prepacking put there."""
    if trace is None or not trace.steps:
        return None
    first = trace.steps[0]
    return max(0, first.in_use_bytes - first.grown_bytes)


def _arena(evidence: Evidence, rest: _Remainder, inputs_bytes: int) -> tuple[int, int]:
    """Touched bytes of the arena, in use and idle.

    What the arena takes is what the runs add with it and do not add without it. Without
    that second child it is what the runs added in large blocks, inputs left out.
    """
    if evidence.without_arena is not None:
        added = evidence.steady.growth_bytes - evidence.without_arena[1].growth_bytes
    else:
        added = evidence.steady.growth_bytes - inputs_bytes
    touched = rest.take(added)
    trace, start = evidence.trace, arena_start_bytes(evidence.trace)
    if trace is None or trace.arena_in_use_peak_bytes is None or start is None:
        return touched, 0
    in_use = max(0, min(touched, trace.arena_in_use_peak_bytes - start))
    return in_use, touched - in_use


def _heap_parts(evidence: Evidence) -> tuple[int, int]:
    """Touched bytes in tensors, and bytes in everything else on the heap, after loading.

    The C library says how much there is in all, headers and rounding included, and memray
    how much of it was asked for as tensors. Where one of them is mute the other stands in:
    large blocks for tensors, or what was asked for in place of what was given.
    """
    now, load = evidence.steady.loaded, evidence.load
    if now.heap is None:
        if load is None:
            return 0, 0
        return load.kept_tensor_bytes, load.kept_bytes - load.kept_tensor_bytes
    tensors = (
        now.heap.mapped_bytes
        if load is None
        else min(load.kept_tensor_bytes, now.heap.in_use_bytes)
    )
    return max(0, tensors - now.untouched_bytes), now.heap.in_use_bytes - tensors


def _prepacked_bytes(evidence: Evidence) -> int:
    """Re-laid weights: what the arena held before the first node ran.

    Where the runtime does not say, it is what prepacking adds to the private memory. That
    is less where the originals were freed in exchange.
    """
    start = arena_start_bytes(evidence.trace)
    if start is not None:
        return start
    if evidence.without_prepacking is None:
        return 0
    with_it = evidence.kernel.resident_anonymous_bytes
    return max(0, with_it - evidence.without_prepacking.resident_anonymous_bytes)


def _effect(setting: ChangedSetting, child: ChildMemory) -> SettingEffect:
    return SettingEffect(
        setting=setting,
        load_peak_bytes=child.load_peak_bytes,
        resident_bytes=child.resident_bytes,
        resident_anonymous_bytes=child.resident_anonymous_bytes,
        inference_peak_bytes=child.inference_peak_bytes,
        inference_anonymous_bytes=child.inference_anonymous_bytes,
    )
