"""Do memory and time of another engine agree with a bare child that uses it directly?

Both run in turns: the steady pass and a bare child with the same allocator setting, then the plain
pass and a bare loop. A figure of memory agrees within 3 % or 2 MiB, the median of the ratios of
time within 3 %. The exit code is 1 if a figure does not agree. Other work on the machine slows
both processes, but not equally. Then processor time is more reliable than wall time.

    python -m benchmarks.engine_agreement [--engine NAME] [--pairs N] MODEL...

A model is a file or a name of the zoo. Use many pairs to compare times on a busy machine.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from msgspec.structs import replace

from benchmarks._common import alternate, median_ratio, print_table, run_bare, warm_page_cache
from feasibility.measure.converted_model import converted_model
from feasibility.measure.inputs_that_run import first_that_runs, read_to_run
from feasibility.measure.latency_percentiles import latency_summary
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.memory_figures import memory_of
from feasibility.measure.passes import Passes, passes_over
from feasibility.records.workload import STEADY_ENVIRONMENT, Fill, InputPlan
from feasibility.runners.child_protocol import Done
from feasibility.runners.engines import ENGINES, engine_named
from feasibility.units import MIB, SECOND_NS
from feasibility.zoo import architectures as zoo

MODELS: Final = ("mobilenet-v2", "minilm-l6", "resnet101")
BARE: Final = ("openvino", "litert", "mnn")
FIGURES: Final = (
    "load_peak_bytes",
    "resident_bytes",
    "resident_anonymous_bytes",
    "inference_peak_bytes",
    "inference_anonymous_bytes",
)
TIMES: Final = ("median_ns", "processor_ns")
MEMORY_PAIR_COUNT: Final = 3
AGREES_RATIO: Final = 0.03
AGREES_BYTES: Final = 2 * MIB


def main() -> int:
    """Prints two tables per model; 0 if all figures agree, otherwise 1."""
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*")
    parser.add_argument("--engine", choices=BARE, default="openvino")
    parser.add_argument("--pairs", type=int, default=15)
    asked = parser.parse_args()
    if asked.engine == "litert" and not asked.models:
        parser.error("the zoo has no .tflite files; name some")
    options = MeasureOptions(engine=engine_named(asked.engine))
    answers = []
    for name in asked.models or MODELS:
        path = Path(name) if Path(name).exists() else zoo.build(name)
        with loadable(path, options) as (passes, plan):
            warm_page_cache(passes.model_path)
            answers.append(print_memory(path.stem, passes, plan))
            if asked.pairs:
                answers.append(print_time(path.stem, passes, plan, asked.pairs))
    return 0 if all(answers) else 1


@contextlib.contextmanager
def loadable(path: Path, options: MeasureOptions) -> Iterator[tuple[Passes, InputPlan]]:
    """Passes over the model in the format of the engine, and the inputs of the bare child."""
    assert options.engine is not None
    reading = read_to_run(path, options)
    with contextlib.ExitStack() as stack:
        if ENGINES[options.engine].converts:
            reading = stack.enter_context(converted_model(reading, options)).reading
        passes = passes_over(reading, options)
        plan, _ = first_that_runs(reading, passes.steady, passes)
        yield passes, constant(plan)


def constant(plan: InputPlan) -> InputPlan:
    """The plan with the inputs of the bare child: all elements are the lowest value."""
    inputs = (replace(each, fill=Fill(kind="constant", low=each.fill.low)) for each in plan.inputs)
    return replace(plan, inputs=tuple(inputs))


def print_memory(name: str, passes: Passes, plan: InputPlan) -> bool:
    """Prints each memory figure, the median of several pairs; returns whether all agree."""
    pairs = alternate(
        MEMORY_PAIR_COUNT, partial(tool_memory, passes, plan), partial(bare_memory, passes, plan)
    )
    rows = []
    for figure in FIGURES:
        ours, bare = (round(median(each[side][figure] for each in pairs)) for side in (0, 1))
        agrees = abs(ours - bare) <= max(AGREES_BYTES, AGREES_RATIO * bare)
        rows.append(
            (
                figure,
                f"{ours / MIB:.2f} MiB",
                f"{bare / MIB:.2f} MiB",
                f"{(ours - bare) / MIB:+.2f} MiB",
                f"{ours / bare:.4f}",
                "yes" if agrees else "NO",
            )
        )
    heading = f"{name}: memory with {passes.options.engine}"
    print_table((heading, "tool", "bare child", "more", "ratio", "agrees"), rows)
    return all(row[-1] == "yes" for row in rows)


def print_time(name: str, passes: Passes, plan: InputPlan, pair_count: int) -> bool:
    """Prints the median ratios of wall and processor time; returns whether both agree."""
    pairs = alternate(
        pair_count, partial(tool_times, passes, plan), partial(bare_times, passes, plan)
    )
    rows = []
    for figure in TIMES:
        of_figure = [(ours[figure], bare[figure]) for ours, bare in pairs]
        ratios = sorted(ours / bare for ours, bare in of_figure)
        ratio, quarter = median_ratio(of_figure), len(ratios) // 4
        rows.append(
            (
                figure,
                f"{median(ours for ours, _ in of_figure) / 1e6:.3g} ms",
                f"{median(bare for _, bare in of_figure) / 1e6:.3g} ms",
                f"{ratio:.4f}",
                f"{ratios[quarter]:.3f} to {ratios[-1 - quarter]:.3f}",
                f"{ratios[0]:.3f} to {ratios[-1]:.3f}",
                "yes" if abs(ratio - 1) <= AGREES_RATIO else "NO",
            )
        )
    heading = f"{name}: time with {passes.options.engine}, {pair_count} pairs"
    columns = (heading, "tool", "bare loop", "ratio", "middle half", "all pairs", "agrees")
    print_table(columns, rows)
    return all(row[-1] == "yes" for row in rows)


def tool_memory(passes: Passes, plan: InputPlan) -> Mapping[str, int]:
    """Figures of one steady pass."""
    found = memory_of(passes.finished(passes.steady(plan)))
    return {figure: getattr(found, figure) for figure in FIGURES}


def bare_memory(passes: Passes, plan: InputPlan) -> Mapping[str, int]:
    """The same figures of one bare child."""
    return run_bare(
        passes.model_path,
        plan,
        environment=STEADY_ENVIRONMENT,
        engine=passes.engine.child,
        outputs=passes.output_names,
    )


def tool_times(passes: Passes, plan: InputPlan) -> Mapping[str, int]:
    """Times of one plain pass."""
    done = passes.finished(passes.plain(plan)).sent(Done)
    return {
        "median_ns": latency_summary(done.samples_ns).median_ns,
        "processor_ns": round(median(done.processor_ns)),
    }


def bare_times(passes: Passes, plan: InputPlan) -> Mapping[str, int]:
    """Times of one bare loop with the allocator as it comes."""
    return run_bare(
        passes.model_path,
        plan,
        warmup_ns=SECOND_NS // 4,
        sampling_ns=SECOND_NS,
        engine=passes.engine.child,
        outputs=passes.output_names,
    )


if __name__ == "__main__":
    sys.exit(main())
