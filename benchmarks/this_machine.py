"""How far is latency projected with `devices this` from latency measured on this machine?

Projected as though each model had only been measured elsewhere: from its work alone, without
its time here. Further models can be named:

    .venv/bin/python -m benchmarks.this_machine [MODEL.onnx ...]
"""

from __future__ import annotations

import math
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median

from msgspec.structs import replace

from benchmarks._common import print_table
from feasibility.catalogue.load_catalogue import THIS_ID
from feasibility.commands.devices_this import measure_this_machine
from feasibility.facts.read_model import facts_for
from feasibility.measure.inputs_that_run import first_that_runs, read_to_run
from feasibility.measure.latency_percentiles import percentile
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.passes import local_passes
from feasibility.measure.profiled_model import profiled_model
from feasibility.predict.latency.coefficients import shipped_coefficients
from feasibility.predict.latency.likely_seconds import int8_ratio, likely_cpu_seconds
from feasibility.predict.latency.measured_rates import measured_spread
from feasibility.predict.latency.model_work import work_of_model
from feasibility.predict.projected_latency import DEFAULT_RUNTIME
from feasibility.records.device import Device
from feasibility.records.profile import ProfiledModel
from feasibility.runners.child_protocol import Done
from feasibility.units import SECOND_NS, format_duration
from feasibility.zoo import architectures as zoo

MODELS = ("yamnet", "mobilenet-v2", "resnet18-fastai", "minilm-l6", "resnet101", "bert-base")
RUN_COUNT = 10


def main() -> None:
    """Prints how well two measurements of the machine agree, then one row per model."""
    began = time.monotonic()
    devices = [measure_this_machine(THIS_ID, None, None, quiet=True) for _ in range(2)]
    took_s = (time.monotonic() - began) / 2
    agreement = sorted(ratios(*map(rates_by_name, devices)))
    middle, worst = median(agreement), agreement[-1]
    paths = [*(zoo.build(name) for name in MODELS), *map(Path, sys.argv[1:])]
    rows: list[tuple[str, ...]] = []
    found: dict[tuple[str, int], list[float]] = defaultdict(list)
    for path in paths:
        row = [path.name]
        for threads in (1, 2):
            model, ns = timed(path, threads)
            projected_ns = projected(model, devices[0], threads)
            found[sort_of(model), threads].append(projected_ns / ns)
            by_family = projected(model, replace(devices[0], measured=None), threads)
            found[f"{sort_of(model)}, by the core's family", threads].append(by_family / ns)
            row += [format_duration(ns), format_duration(round(projected_ns))]
            row.append(f"{projected_ns / ns:.2f}")
        rows.append(tuple(row))
    header = ("model", "1 thread", "projected", "ratio", "2 threads", "projected", "ratio")
    print_table(header, rows)
    print(f"`devices this` took {took_s:.0f} s; its rates in two runs differ by a factor of "
          f"{middle:.3f} (median), {worst:.3f} (most)")  # fmt: skip
    for (sort, threads), ratios_of_models in sorted(found.items()):
        print(f"{sort}, {threads} thread(s): {summary(ratios_of_models, measured_spread(threads))}")


def sort_of(model: ProfiledModel) -> str:
    """Whether the model is quantised."""
    return "int8" if model.weight_dtype in ("int8", "uint8") else "fp32"


def projected(model: ProfiledModel, device: Device, threads: int) -> float:
    """Nanoseconds projected from the model's work alone."""
    work = work_of_model(model)
    assert work is not None, model.path
    known = shipped_coefficients()
    runtime = DEFAULT_RUNTIME
    seconds = likely_cpu_seconds(work, device, threads, known.cpu, runtime=runtime, is_half=False)
    assert seconds is not None
    if sort_of(model) == "int8":
        seconds *= int8_ratio(work, device, threads, known.int8, runtime=runtime)
    return seconds * SECOND_NS


def rates_by_name(device: Device) -> Mapping[str, int]:
    """Every rate under a name of its own."""
    assert device.measured is not None
    found = {}
    for rates in device.measured.rates:
        for kind, figure in rates.operations_per_s.items():
            found[f"{rates.thread_count} {kind}"] = figure.value
        found[f"{rates.thread_count} caches"] = rates.activation_bytes_per_s.value
        found[f"{rates.thread_count} memory"] = rates.bandwidth_bytes_per_s.value
    return found


def ratios(first: Mapping[str, int], second: Mapping[str, int]) -> Iterable[float]:
    """The larger of each pair of rates by the smaller."""
    pairs = ((first[name], second[name]) for name in first)
    return (max(pair) / min(pair) for pair in pairs)


def timed(path: Path, threads: int) -> tuple[ProfiledModel, int]:
    """The model's work and its median latency."""
    options = MeasureOptions(threads=threads, run_count=RUN_COUNT)
    passes = local_passes(path, options)
    reading = read_to_run(path, options)
    plan, result = first_that_runs(reading, passes.plain, passes)
    done = result.event(Done)
    assert done is not None
    model = profiled_model(facts_for(plan, reading))
    return model, percentile(sorted(done.samples_ns), 50)


def summary(found: list[float], spread: float) -> str:
    """Median error, the worst factor, and how many lie inside the interval."""
    logs = [abs(math.log(ratio)) for ratio in found]
    inside = sum(log <= math.log(spread) for log in logs)
    return (
        f"median error {math.expm1(median(logs)):.0%}, worst factor {math.exp(max(logs)):.2f}, "
        f"{inside} of {len(logs)} within the interval's factor {spread}"
    )


if __name__ == "__main__":
    main()
