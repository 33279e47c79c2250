"""Profiles that differ in known ways, for comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec.structs import replace

from feasibility.compare.figures import Side
from feasibility.compare.subjects import Subject, model_subject, profile_subject
from feasibility.records.profile import OperatorProfile, Profile
from feasibility.records.workload import RuntimeSettings
from feasibility.units import MIB, MILLISECOND_NS
from tests import anatomy_samples, samples

ROUND_COUNT = 8


def node(name: str, op_type: str, time_ns: int = 1000, arena_bytes: int = MIB) -> OperatorProfile:
    return OperatorProfile(
        node=name,
        op_type=op_type,
        provider="CPUExecutionProvider",
        call_count=2,
        total_ns=2 * time_ns,
        bytes=MIB,
        arena_in_use_bytes=arena_bytes,
        run_count=2,
    )


def encoder(layer_count: int, *, is_fused: bool) -> tuple[OperatorProfile, ...]:
    """Layers of attention as single operators or fused, each followed by a Gelu."""
    nodes = [node("embed", "Gather")]
    for layer in range(layer_count):
        if is_fused:
            nodes.append(node(f"attention{layer}", "Attention", 9_000))
        else:
            names = ("query", "key", "value", "out")
            nodes += [node(f"{layer}/{name}/MatMul", "MatMul", 3_000) for name in names]
            nodes += [node(f"{layer}/{name}/Add", "Add", 500) for name in names[:2]]
        nodes.append(node(f"{layer}/gelu", "Gelu", 700))
    return tuple(nodes)


def reference() -> Profile:
    return replace(
        samples.profile(),
        anatomy=anatomy_samples.anatomy(),
        operators=encoder(12, is_fused=False),
        warnings=(),
    )


def changed(**memory_bytes: int) -> Profile:
    """The reference with fused attention, some memory figures, and half the file."""
    profile = reference()
    assert profile.memory is not None
    assert profile.anatomy is not None
    assert profile.default_allocator is not None
    parts = replace(profile.anatomy.loaded, total_bytes=90 * MIB, weights_bytes=69 * MIB)
    return replace(
        profile,
        model=replace(profile.model, name="fused.onnx", file_bytes=89_457_021, sha256="cd" * 32),
        memory=replace(
            profile.memory, **{f"{name}_bytes": size for name, size in memory_bytes.items()}
        ),
        default_allocator=replace(
            profile.default_allocator, load_peak_low_bytes=190 * MIB, load_peak_high_bytes=200 * MIB
        ),
        anatomy=replace(profile.anatomy, loaded=parts),
        operators=encoder(12, is_fused=True),
        workload=replace(profile.workload, settings=RuntimeSettings(prepacking=False)),
    )


def in_turns(profile: Profile, times_ms: Iterable[float], **memory_mib: float) -> Side:
    """A side that was measured now; times of its rounds, and memory of four processes."""
    times = tuple(round(each * MILLISECOND_NS) for each in times_ms)
    memory: Mapping[str, tuple[int, ...]] = {
        name: tuple(round((size + step / 100) * MIB) for step in (0, 1, 2, 1))
        for name, size in memory_mib.items()
    }
    return Side(profile, {"latency": times, **memory})  # type: ignore[dict-item]


def subject(name: str, profile: Profile | None = None) -> Subject:
    path = Path(name)
    return model_subject(path) if profile is None else profile_subject(path, profile)
