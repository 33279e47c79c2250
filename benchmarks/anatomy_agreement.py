"""How much of the memory the anatomy accounts for, whether its instruments agree, what they cost.

For every model: the part that nothing accounts for; what memray saw asked for against what
the C library says is in use; the time of the memray pass against a plain pass that does the
same work; and the time that the passes of the anatomy add.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks._common import print_table, warm_page_cache
from feasibility import zoo
from feasibility.measure.host import ceiling_bytes
from feasibility.measure.options import MeasureOptions
from feasibility.measure.passes import Passes
from feasibility.measure.run import measure_model
from feasibility.probe.memray_file import read_phase
from feasibility.probe.place import LocalPlace
from feasibility.records.anatomy import MemoryParts
from feasibility.records.profile import Profile
from feasibility.records.workload import InputPlan
from feasibility.units import MIB

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
    print_table(("unattributed", "of", "bytes", "percent"), attributed)
    print_table(("allocated after loading", "C library", "memray", "percent"), agreement)
    print_table(("seconds", "plain", "memray", "limit", "with details"), cost)


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
    """Best times of a plain pass with the same work, of memray, and of all that explains."""
    passes = Passes(path.absolute(), MeasureOptions(), LocalPlace(), ceiling_bytes())
    with tempfile.TemporaryDirectory() as folder:
        prefix, log = f"{folder}/capture-", f"{folder}/log"

        def memray(width: int) -> None:
            passes.memray(plan, prefix, width=width)
            read_phase(Path(f"{prefix}load.bin"), "load")
            read_phase(Path(f"{prefix}inference.bin"), "inference")

        def plain() -> None:
            passes.repeats(plan, range(1, 2))

        def timeline() -> None:
            passes.timeline(plan, log, width=2)

        base, alone = best_s(plain), best_s(lambda: memray(1)) - best_s(plain)
        beside, over_time = best_s(lambda: memray(2)), best_s(timeline)
    limit = 2 * base + 0.5
    figures = (base, alone, limit, beside + over_time)
    return [(path.name, *(f"{figure:.2f}" for figure in figures))]


def best_s(job: Callable[[], None]) -> float:
    """Shortest of a few times of the job."""
    times = []
    for _ in range(ROUND_COUNT):
        started = time.monotonic()
        job()
        times.append(time.monotonic() - started)
    return min(times)


if __name__ == "__main__":
    main()
