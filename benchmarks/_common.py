"""What do several benchmarks use?

A benchmark prints ratios of things that ran in turns on one machine within minutes. What
the machine was doing meanwhile it did to both; no figure here holds for another machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from feasibility.records.workload import InputPlan

HERE = Path(__file__).parent
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Spending:
    """Wall time and highest resident memory of one command."""

    wall_ns: int
    peak_bytes: int
    exit_code: int


def spend(argv: Sequence[str]) -> Spending:
    """What one run of the command costs."""
    launcher = [sys.executable, "-I", "-S", str(HERE / "_spend.py"), *argv]
    result = subprocess.run(launcher, capture_output=True, text=True, check=True)
    return Spending(*map(int, result.stdout.split()))


def alternate(rounds: int, *contenders: Callable[[], T]) -> list[tuple[T, ...]]:
    """Results of all contenders, round by round; every other round runs them backwards."""
    results = []
    for number in range(rounds):
        order = range(len(contenders)) if number % 2 == 0 else reversed(range(len(contenders)))
        found = {index: contenders[index]() for index in order}
        results.append(tuple(found[index] for index in range(len(contenders))))
    return results


def median_ratio(pairs: Sequence[tuple[float, float]]) -> float:
    """Median over the pairs of the first figure to the second."""
    return median(first / second for first, second in pairs)


def run_bare(
    path: Path,
    plan: InputPlan,
    *,
    warmup_ns: int = 0,
    sampling_ns: int = 0,
    cgroup: Path | None = None,
    environment: Mapping[str, str] | None = None,
    engine: str = "onnxruntime",
    outputs: Sequence[str] = (),
) -> dict[str, Any]:
    """Figures of the model from an independent child process; see `_bare.py`.

    Args:
        path: The model.
        plan: Its inputs; each is filled with its lowest value.
        warmup_ns: Duration of the warm-up runs, which do not count.
        sampling_ns: Duration of the runs that count; at least two runs.
        cgroup: A cgroup for the child to move into and to read.
        environment: Variables on top of the inherited ones, MALLOC_* left out.
        engine: A key of its `ENGINES`.
        outputs: Names of the outputs, for engines that need them.
    """
    request = {
        "engine": engine,
        "model": str(path),
        "outputs": outputs,
        "inputs": [
            {
                "name": each.name,
                "dtype": each.dtype,
                "shape": each.shape,
                "value": each.fill.low,
            }
            for each in plan.inputs
        ],
        "warmup_ns": warmup_ns,
        "sampling_ns": sampling_ns,
        "cgroup": None if cgroup is None else str(cgroup),
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    result = subprocess.run(
        [sys.executable, "-P", str(HERE / "_bare.py"), json.dumps(request)],
        env=kept | dict(environment or {}),
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(result.stdout)


def warm_page_cache(path: Path) -> None:
    """Reads the file, so that no contender pays for the disk."""
    with path.open("rb") as file:
        while file.read(1 << 20):
            pass


def print_table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints columns, the first to the left and the rest to the right."""
    widths = [max(len(row[i]) for row in (heading, *rows)) for i in range(len(heading))]
    for row in (heading, *rows):
        first = row[0].ljust(widths[0])
        rest = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        print("  ".join((first, *rest)), flush=True)
    print(flush=True)
