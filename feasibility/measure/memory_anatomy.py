"""Where is the memory? Divides the kernel's figures into weights, arena, libraries and so on.

Pure arithmetic. Parts that the kernel and the C library count are taken first, inferred parts
after them, and the rest is unattributed. docs/memory.md says how each part is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from feasibility.measure.instruments.memray_capture import PhaseAllocations
from feasibility.measure.instruments.ort_profile import Trace
from feasibility.measure.memory_figures import ChildMemory, Surveys
from feasibility.records.anatomy import Anatomy, ChangedSetting, MemoryParts, SettingEffect

# With fixed thresholds, glibc gives every block of at least this size its own mapping.
LARGE_BLOCK_BYTES: Final = 128 * 1024


@dataclass(frozen=True, slots=True)
class MemorySources:
    """What the instruments measured; None for a pass that failed.

    `kernel` and `steady` are figures of the steady child. `input_sizes` are in bytes.
    """

    kernel: ChildMemory
    steady: Surveys
    input_sizes: tuple[int, ...] = ()
    trace: Trace | None = None
    load: PhaseAllocations | None = None
    without_prepacking: ChildMemory | None = None
    without_arena: tuple[ChildMemory, Surveys] | None = None
    defaults: Sequence[ChildMemory] = ()


class _Remainder:
    """Bytes that are not attributed yet."""

    def __init__(self, total_bytes: int) -> None:
        self.left_bytes = total_bytes

    def take(self, claim_bytes: int) -> int:
        """As much of the claim as is left."""
        taken = max(0, min(claim_bytes, self.left_bytes))
        self.left_bytes -= taken
        return taken


def anatomy(sources: MemorySources) -> Anatomy:
    """Where the memory is after loading and at the inference peak."""
    loaded, heap = sources.steady.loaded, sources.steady.loaded.heap
    parts = loaded_parts(sources)
    default_kept = [
        max(0, child.resident_anonymous_bytes - sources.kernel.resident_anonymous_bytes)
        + parts.retained_bytes
        for child in sources.defaults
    ]
    effects: tuple[tuple[ChangedSetting, ChildMemory | None], ...] = (
        ("prepacking-off", sources.without_prepacking),
        ("arena-off", sources.without_arena[0] if sources.without_arena else None),
    )
    return Anatomy(
        loaded=parts,
        inference_peak=peak_parts(sources, parts),
        allocated_bytes=None if heap is None else heap.in_use_bytes,
        requested_bytes=None if sources.load is None else sources.load.kept_bytes,
        mapped_bytes=None if sources.load is None else sources.load.mapped_bytes,
        untouched_bytes=None if heap is None else loaded.untouched_bytes,
        default_retained_low_bytes=min(default_kept, default=None),
        default_retained_high_bytes=max(default_kept, default=None),
        settings=tuple(_effect(name, child) for name, child in effects if child is not None),
    )


def loaded_parts(sources: MemorySources) -> MemoryParts:
    """Resident memory after loading, divided into parts."""
    now, rest = sources.steady.loaded, _Remainder(sources.kernel.resident_bytes)
    tensors, others = _heap_parts(sources)
    prepacked = min(_prepacked_bytes(sources), tensors)
    # Arguments are evaluated in order: what is taken first is certain to be there.
    return MemoryParts(
        total_bytes=sources.kernel.resident_bytes,
        library_bytes=rest.take(now.library_bytes),
        model_file_bytes=rest.take(now.model_file_bytes),
        retained_bytes=rest.take(now.retained_bytes),
        prepacked_bytes=rest.take(prepacked),
        weights_bytes=rest.take(tensors - prepacked),
        objects_bytes=rest.take(others),
        unattributed_bytes=rest.left_bytes,
    )


def peak_parts(sources: MemorySources, loaded: MemoryParts) -> MemoryParts:
    """The inference peak, divided into parts that loading left and parts that the runs added."""
    before, now = sources.steady.loaded, sources.steady.done
    total_bytes = sources.kernel.inference_peak_bytes
    rest = _Remainder(total_bytes)
    grown = now.small_bytes - before.small_bytes
    parts = {
        "library_bytes": rest.take(now.library_bytes),
        "model_file_bytes": rest.take(now.model_file_bytes),
        "transient_bytes": rest.take(total_bytes - now.resident_bytes),
        "retained_bytes": rest.take(now.retained_bytes),
        "prepacked_bytes": rest.take(loaded.prepacked_bytes),
        "weights_bytes": rest.take(loaded.weights_bytes),
        "objects_bytes": rest.take(loaded.objects_bytes + grown),
        "inputs_bytes": rest.take(sum(s for s in sources.input_sizes if s >= LARGE_BLOCK_BYTES)),
    }
    in_use, idle = _arena(sources, rest, parts["inputs_bytes"])
    return MemoryParts(
        total_bytes=total_bytes,
        arena_in_use_bytes=in_use,
        arena_idle_bytes=idle,
        unattributed_bytes=rest.left_bytes,
        **parts,
    )


def _arena(sources: MemorySources, rest: _Remainder, inputs_bytes: int) -> tuple[int, int]:
    """Touched bytes of the arena, in use and idle.

    The touched bytes are the growth during the runs with the arena, less the growth without it.
    If the child without the arena failed, the inputs are subtracted instead.
    """
    if sources.without_arena is not None:
        added = sources.steady.growth_bytes - sources.without_arena[1].growth_bytes
    else:
        added = sources.steady.growth_bytes - inputs_bytes
    touched = rest.take(added)
    trace = sources.trace
    if trace is None or trace.arena_in_use_peak_bytes is None or not trace.steps:
        return touched, 0
    start_bytes = trace.steps[0].before_bytes
    in_use = max(0, min(touched, trace.arena_in_use_peak_bytes - start_bytes))
    return in_use, touched - in_use


def _heap_parts(sources: MemorySources) -> tuple[int, int]:
    """Touched bytes in tensors, and bytes in everything else on the heap, after loading.

    The C library counts the whole heap, headers and rounding included; memray counts the tensors.
    If memray's figures are missing, large blocks count as tensors. If the C library's are missing,
    memray's requests count as the heap.
    """
    now, load = sources.steady.loaded, sources.load
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


def _prepacked_bytes(sources: MemorySources) -> int:
    """Prepacked weights: the arena in use before the first node ran.

    If the runtime does not report it: the anonymous memory that prepacking adds, which is less
    if the original weights were freed.
    """
    if sources.trace is not None and sources.trace.steps:
        return sources.trace.steps[0].before_bytes
    if sources.without_prepacking is None:
        return 0
    with_it = sources.kernel.resident_anonymous_bytes
    return max(0, with_it - sources.without_prepacking.resident_anonymous_bytes)


def _effect(setting: ChangedSetting, child: ChildMemory) -> SettingEffect:
    figures = {name: getattr(child, name) for name in SettingEffect.__struct_fields__[1:]}
    return SettingEffect(setting=setting, **figures)
