"""How far is memory modelled from the graph from memory that the kernel counts?

Each model is loaded and run in one fresh process with the steady allocator: here and, with `--on`,
under emulation of 64-bit Arm. Then figures projected from here to Arm are compared too. Without
arguments the models of the demo are used.

    python -m benchmarks.memory_model [--on emulate:aarch64] [--dim NAME=N] [--work F] [MODEL...]

`--work` scales the open dims that matter most, so that one run has F times the default work; it
can be given several times. docs/memory-model.md contains its output.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from feasibility.errors import FeasibilityError, ModelError
from feasibility.measure.inputs_that_run import read_to_run
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.memory_figures import ChildMemory, memory_of
from feasibility.measure.passes import Passes
from feasibility.measure.profiled_model import profiled_model
from feasibility.predict.projected_memory import from_graph, modelled_on
from feasibility.records.model_reading import ModelReading
from feasibility.runners.host import ceiling_bytes
from feasibility.runners.named_runners import runner_named
from feasibility.runners.session import LocalSession, Session
from feasibility.units import MIB
from feasibility.zoo import architectures as zoo

# Smaller models are mostly the runtime itself.
LEAST_BYTES = 20 * MIB
OPTIONS = MeasureOptions(timeout_s=600.0)


@dataclass(frozen=True)
class Peaks:
    """Highest memory while loading and while running."""

    load: int
    run: int

    @property
    def peak(self) -> int:
        """Highest of both."""
        return max(self.load, self.run)


def main() -> None:
    """Print a line per model and size, and a summary of the errors."""
    parser = argparse.ArgumentParser(description="Compare modelled with measured memory.")
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL")
    parser.add_argument("--on", dest="runner")
    parser.add_argument("--dim", action="append", default=[], metavar="NAME=N")
    parser.add_argument("--work", action="append", default=[], type=float, metavar="F")
    chosen = parser.parse_args()
    dims = {name: int(size) for name, size in (text.rsplit("=", 1) for text in chosen.dim)}
    paths = chosen.models or [zoo.build(entry.name) for entry in zoo.entries() if entry.in_demo]
    errors: defaultdict[str, list[float]] = defaultdict(list)
    inside: list[bool] = []
    for path in paths:
        for work in chosen.work or [1.0]:
            try:
                compare(path, chosen.runner, dims, work, errors, inside)
            except FeasibilityError as error:
                print(error.message, flush=True)
    for what, found in errors.items():
        print(summary(what, found))
    if inside:
        print(f"inside the interval of `check`: {sum(inside)} of {len(inside)} peaks on x86_64")


def scaled(dims: Mapping[str, int], work: float) -> dict[str, int]:
    """The sizes with `work` times the product: of two image sides, or of the largest size."""
    largest = sorted(dims, key=lambda name: -dims[name])
    sides = [name for name in largest if dims[name] == dims[largest[0]] and dims[name] > 1][:2]
    step = 32 if sides and all(dims[name] % 32 == 0 for name in sides) else 1
    factor = math.pow(work, 1 / max(len(sides), 1))
    changed = {name: max(step, round(dims[name] * factor / step) * step) for name in sides}
    if not sides and largest:
        changed = {largest[0]: max(1, round(dims[largest[0]] * work))}
    return {**dims, **changed}


def compare(
    path: Path,
    runner: str | None,
    dims: Mapping[str, int],
    work: float,
    errors: defaultdict[str, list[float]],
    inside: list[bool],
) -> None:
    """Print one model's figures; note its errors and its interval if it is large enough."""
    options = replace(OPTIONS, dims=dims)
    reading = read_to_run(path, options)
    if work != 1.0:
        if not reading.facts.dims:
            return
        options = replace(options, dims=scaled(reading.facts.dims, work))
        reading = read_to_run(path, options)
    here = measured(reading, path, options, LocalSession())
    pairs = {"x86_64": (here, modelled(reading, "x86_64"))}
    if runner is not None:
        # An emulator reads the files where they are.
        with runner_named(runner).connect(lambda: ()) as session:
            there = measured(reading, path, options, session)
        pairs["aarch64"] = (there, modelled(reading, "aarch64"))
        by_isa = {isa: pair[1] for isa, pair in pairs.items()}
        pairs["carried over"] = (
            there,
            Peaks(
                here.load + by_isa["aarch64"].load - by_isa["x86_64"].load,
                here.run + by_isa["aarch64"].run - by_isa["x86_64"].run,
            ),
        )
    sizes = " ".join(f"{name}={size}" for name, size in reading.facts.dims.items())
    for name, (seen, model_) in pairs.items():
        print(
            f"{path.name:40.40} {name:12} load {seen.load / MIB:7.1f} / {model_.load / MIB:7.1f}"
            f"   run {seen.run / MIB:7.1f} / {model_.run / MIB:7.1f} MiB  {sizes}",
            flush=True,
        )
        if seen.peak < LEAST_BYTES:
            continue
        for what in ("load", "run", "peak"):
            errors[f"{name} {what}"].append(getattr(model_, what) / getattr(seen, what) - 1)
    if here.peak >= LEAST_BYTES:
        inside.append(is_inside(reading, here.peak))


def is_inside(reading: ModelReading, peak_bytes: int) -> bool:
    """Whether a peak on x86-64 is in the interval that `check` states from the graph alone."""
    model_ = profiled_model(reading.facts)
    memory = modelled_on(model_, "x86_64")
    assert memory is not None
    peak = from_graph(model_, memory).peak
    return peak.low <= peak_bytes <= peak.high


def measured(reading: ModelReading, path: Path, options: MeasureOptions, session: Session) -> Peaks:
    """Figures of one process, with the first inputs that the model accepts."""
    passes = Passes(path.absolute(), options, session, ceiling_bytes())
    for plan in reading.plans:
        result = passes.steady(plan)
        if result.ending == "done":
            return _peaks(memory_of(result))
    raise ModelError(f"{path.name} is left out", "it does not run")


def _peaks(memory: ChildMemory) -> Peaks:
    return Peaks(memory.load_peak_bytes, memory.inference_peak_bytes or memory.resident_bytes)


def modelled(reading: ModelReading, isa: str) -> Peaks:
    """Figures modelled from the graph."""
    memory = modelled_on(profiled_model(reading.facts), isa)
    if memory is None:
        raise ModelError(f"{reading.facts.name} is left out", "its graph is not modelled")
    return Peaks(memory.load_peak_bytes, memory.inference_peak_bytes)


def summary(what: str, errors: Sequence[float]) -> str:
    """The errors over all models and sizes."""
    sizes = sorted(abs(error) for error in errors)
    within = [
        f"{sum(size <= share for size in sizes) / len(sizes):.0%} within {share:.1%}"
        for share in (0.025, 0.1, 0.15)
    ]
    return (
        f"{what:18} {len(sizes):3} figures over 20 MiB: median {median(sizes):.1%}, "
        f"{', '.join(within)}, {min(errors):+.1%} to {max(errors):+.1%}"
    )


if __name__ == "__main__":
    main()
