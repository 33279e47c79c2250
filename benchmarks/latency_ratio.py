"""Does the plain pass measure the same median latency as a bare loop in its own process?"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from benchmarks._common import alternate, median_ratio, print_table, run_bare
from feasibility.measure.inputs_that_run import read_to_run
from feasibility.measure.latency_percentiles import latency_summary
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.passes import Passes, local_passes
from feasibility.records.workload import InputPlan
from feasibility.runners.child_protocol import Done
from feasibility.units import SECOND_NS, format_duration
from feasibility.zoo import architectures as zoo

# YAMNet takes less than a millisecond, where the clock and the call weigh too much.
MODELS = ("mobilenet-v2", "minilm-l6", "resnet18-fastai", "resnet101")
PAIR_COUNT = 5


def main() -> None:
    """Prints one row per model."""
    rows = []
    for name in MODELS:
        path = zoo.build(name)
        passes = local_passes(path, MeasureOptions())
        plan = read_to_run(path, passes.options).plans[0]
        pairs = alternate(
            PAIR_COUNT,
            partial(plain_median_ns, passes, plan),
            partial(bare_median_ns, path, plan),
        )
        each = " ".join(f"{ours / bare:.3f}" for ours, bare in pairs)
        bare_ns = round(sorted(bare for _, bare in pairs)[PAIR_COUNT // 2])
        rows.append((name, f"{median_ratio(pairs):.3f}", each, format_duration(bare_ns)))
    print_table(("plain pass against a bare loop", "ratio", "each pair", "bare median"), rows)


def plain_median_ns(passes: Passes, plan: InputPlan) -> int:
    """Median of one plain pass."""
    done = passes.plain(plan).event(Done)
    assert done is not None
    return latency_summary(done.samples_ns).median_ns


def bare_median_ns(path: Path, plan: InputPlan) -> int:
    """Median of one bare loop with the allocator as it comes."""
    return run_bare(path, plan, warmup_ns=SECOND_NS // 2, sampling_ns=SECOND_NS)["median_ns"]


if __name__ == "__main__":
    main()
