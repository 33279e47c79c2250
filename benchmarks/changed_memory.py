"""Compares memory modelled after changes of loading with memory that the kernel counts.

Every set of changes that `fit` knows is made for each model, also with merged weights if it holds
some twice. Each runs in one fresh process with the steady allocator. docs/memory-model.md contains
the output.

    python -m benchmarks.changed_memory MODEL...
"""

from __future__ import annotations

import platform
import sys
from collections import defaultdict
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.memory_model import LEAST_BYTES, OPTIONS
from feasibility.errors import FeasibilityError, UselessChangeError
from feasibility.fit.candidate_runs import CandidateRuns
from feasibility.fit.candidates import modelled_figures
from feasibility.fit.changes import ordered
from feasibility.fit.files import Files
from feasibility.measure.inputs_that_run import first_that_runs, read_to_run
from feasibility.measure.memory_figures import memory_of
from feasibility.measure.passes import local_passes
from feasibility.records.changes import ALL_CHANGES
from feasibility.rewrite.rewrite_model import rewrite_model
from feasibility.temporary_folders import scratch_folder
from feasibility.units import MIB

LEAST_FLOOR_BYTES = 10 * MIB


def main() -> None:
    """Print a line per model and set of changes, and a summary of the errors."""
    errors: defaultdict[str, list[float]] = defaultdict(list)
    for name in sys.argv[1:]:
        try:
            compare(Path(name), errors)
        except FeasibilityError as error:
            print(error.message, flush=True)
    for what, found in sorted(errors.items()):
        sizes = sorted(map(abs, found))
        within = sum(size <= 0.1 for size in sizes)
        print(
            f"{what:60} {len(sizes):4} figures: median {median(sizes):.1%}, within 10 %: "
            f"{within / len(sizes):.0%}, {min(found):+.1%} to {max(found):+.1%}"
        )


def compare(path: Path, errors: defaultdict[str, list[float]]) -> None:
    """Print the figures of one model, and note their errors if it is large enough."""
    isa = platform.machine()
    reading = read_to_run(path, OPTIONS, all_changes=True)
    passes = local_passes(path, OPTIONS)
    plan, _ = first_that_runs(reading, passes.steady, passes)
    with scratch_folder() as folder:
        files = Files(
            original=reading,
            folder=folder,
            rewrite=lambda source, target, change, _: rewrite_model(
                source, target, change, isa=isa, plan=plan
            ),
            read=partial(read_to_run, options=OPTIONS, all_changes=True),
            is_portable=False,
        )
        loading = ((), *ALL_CHANGES)
        merged = (("merged-weights", *changes) for changes in loading)
        for changes in map(ordered, (*loading, *merged)):
            try:
                variant = files.variant(changes)
                files.keep(changes)
                result = CandidateRuns(variant, changes, OPTIONS, plan).passes.steady(plan)
            except UselessChangeError:
                break
            except FeasibilityError as error:
                print(f"{path.name:32.32} {'+'.join(changes):60} {error.message}", flush=True)
                continue
            model = next((each for each in variant.modelled(changes) if each.isa == isa), None)
            if model is None or result.ending != "done":
                print(f"{path.name:32.32} {'+'.join(changes):60} left out", flush=True)
                continue
            seen, figures = memory_of(result), modelled_figures(model)
            peak = seen.peak_bytes
            print(
                f"{path.name:32.32} {'+'.join(changes) or 'as is':60} "
                f"load {seen.load_peak_bytes / MIB:7.1f} / {figures.load_peak_bytes / MIB:7.1f}  "
                f"run {seen.inference_peak_bytes / MIB:7.1f} / "
                f"{figures.inference_peak_bytes / MIB:7.1f}  floor {seen.floor_bytes / MIB:7.1f} / "
                f"{(figures.floor_bytes or 0) / MIB:7.1f} MiB",
                flush=True,
            )
            if peak < LEAST_BYTES:
                continue
            error_ratio = figures.peak_bytes / peak - 1
            errors["+".join(changes) or "as is"].append(error_ratio)
            if not changes:
                continue
            errors["peak, all changes"].append(error_ratio)
            if seen.floor_bytes > LEAST_FLOOR_BYTES and figures.floor_bytes is not None:
                error_ratio = figures.floor_bytes / seen.floor_bytes - 1
                errors["memory that must stay, all changes"].append(error_ratio)


if __name__ == "__main__":
    main()
