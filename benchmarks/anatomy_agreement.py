"""How much memory does the anatomy explain, do its instruments agree, and how long do they take?

For every model: the part that nothing accounts for; what memray saw asked for against what
the C library says is in use; and the time of the memray pass, its capture read, against a
plain child that does the same work, with the time of the other children of the anatomy.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from benchmarks._common import print_table, warm_page_cache
from feasibility.measure.instruments.memray_capture import read_phase
from feasibility.measure.measure_model import measure_model
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.passes import local_passes
from feasibility.records.anatomy import MemoryParts
from feasibility.records.profile import Profile
from feasibility.records.workload import InputPlan
from feasibility.units import MIB, SECOND_NS
from feasibility.zoo import architectures as zoo

MODELS = ("mobilenet-v2", "minilm-l6", "resnet18-fastai", "resnet101")
ROUND_COUNT = 3


def main() -> None:
    """Prints three tables; models may be named as arguments, or given as paths."""
    attributed, agreement, cost = [], [], []
    for name in sys.argv[1:] or MODELS:
        path = Path(name) if name.endswith(".onnx") else zoo.build(name)
        warm_page_cache(path)
        profile = measure_model(path, MeasureOptions(run_count=3, warmup_count=0))
        attributed += attribution_rows(path.name, profile)
        agreement += agreement_rows(path.name, profile)
        cost += cost_rows(path, InputPlan(inputs=profile.workload.inputs))
    print_table(("memory", "total", "unattributed", "share"), attributed)
    print_table(("allocated after loading", "C library", "memray", "difference"), agreement)
    heading = ("seconds", "plain", "memray", "limit", "no prepacking", "no arena", "timeline")
    print_table(heading, cost)


def attribution_rows(name: str, profile: Profile) -> list[tuple[str, ...]]:
    """What is left over after loading and at the inference peak."""
    anatomy = profile.anatomy
    assert anatomy is not None
    assert anatomy.inference_peak is not None
    moments = (("loaded", anatomy.loaded), ("peak", anatomy.inference_peak))
    return [(f"{name}, {moment}", *leftover(parts)) for moment, parts in moments]


def leftover(parts: MemoryParts) -> tuple[str, str, str]:
    """The total, what is unattributed of it, and its share."""
    share = 100 * parts.unattributed_bytes / max(parts.total_bytes, 1)
    left_mib = parts.unattributed_bytes / MIB
    return f"{parts.total_bytes / MIB:.1f} MiB", f"{left_mib:.2f} MiB", f"{share:.2f} %"


def agreement_rows(name: str, profile: Profile) -> list[tuple[str, ...]]:
    """What the C library has in use against what was asked of it."""
    anatomy = profile.anatomy
    assert anatomy is not None
    if anatomy.allocated_bytes is None or anatomy.requested_bytes is None:
        return []
    given, asked = anatomy.allocated_bytes, anatomy.requested_bytes
    more = f"{100 * (given - asked) / max(asked, 1):+.2f} %"
    return [(name, f"{given / MIB:.2f} MiB", f"{asked / MIB:.2f} MiB", more)]


def cost_rows(path: Path, plan: InputPlan) -> list[tuple[str, ...]]:
    """Best times of a plain child, of memray on the same work, and of the other children."""
    passes = local_passes(path, MeasureOptions())
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUND_COUNT):
            prefix = f"{folder}/capture-"
            (plain,) = passes.repeats(plan, range(1, 2))
            memray, without_prepacking = passes.memray(plan, prefix, width=1)
            recorded, without_arena = passes.timeline(plan, f"{folder}/log", width=1)
            started_ns = time.monotonic_ns()
            read_phase(Path(f"{prefix}load.bin"), "load")
            read_phase(Path(f"{prefix}inference.bin"), "inference")
            read_ns = time.monotonic_ns() - started_ns
            rounds.append(
                (
                    plain.wall_ns,
                    memray.wall_ns + read_ns,
                    2 * plain.wall_ns + SECOND_NS // 2,
                    without_prepacking.wall_ns,
                    without_arena.wall_ns,
                    recorded.wall_ns,
                )
            )
    best = (min(column) for column in zip(*rounds, strict=True))
    return [(path.name, *(f"{figure / SECOND_NS:.2f}" for figure in best))]


if __name__ == "__main__":
    main()
