"""How often do budgets fail without a change, and how often do they miss a change?

Two files of one model that differ in a comment stand for an unchanged model, since equal files
would be passed without measuring. A second process keeps one processor busy meanwhile, unless
`--no-company` says that the machine is busy enough already.

    python -m benchmarks.budget_false_alarms --unchanged 100 --changed 20
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from benchmarks._common import print_table
from feasibility.budget.budget_file import Budget, BudgetedWorkload
from feasibility.budget.budgeted_models import BudgetedModel
from feasibility.budget.check_model import Baseline, Check
from feasibility.budget.metrics import METRICS
from feasibility.budget.model_under_test import ModelUnderTest
from feasibility.budget.parse_limit import parse_limit
from feasibility.reading_cache import NO_CACHE
from feasibility.records.budget import Metric, ModelBudget

WIDTH, ROWS = 512, 32
BUSY = "while True: pass"


def main() -> None:
    """Prints one row per experiment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--unchanged", type=int, default=100, metavar="N")
    parser.add_argument("--changed", type=int, default=20, metavar="N")
    parser.add_argument("--no-company", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, company(is_wanted=not options.no_company):
        folder = Path(name)
        base = write_model(folder / "base.onnx", 20)
        heavy = write_model(folder / "heavy.onnx", 64)
        experiments = (
            ("unchanged", base, write_model(folder / "same.onnx", 20, "same"), options.unchanged),
            ("1.5x slower", base, write_model(folder / "slow.onnx", 30), options.changed),
            ("3 % heavier", heavy, write_model(folder / "heavier.onnx", 66), options.changed),
        )
        limits: dict[str, dict[Metric, str]] = {
            "unchanged": {"peak": "+2%", "allocated_peak": "+2%", "latency": "+20%"},
            "1.5x slower": {"latency": "+20%"},
            "3 % heavier": {"peak": "+2%"},
        }
        rows = []
        for title, before, after, count in experiments:
            outcomes: Counter[str] = Counter()
            started = time.monotonic()
            for number in range(count):
                found = check(before, after, limits[title])
                outcomes[found.outcome] += 1
                told = ", ".join(f"{line.metric} {line.outcome}" for line in found.lines)
                load = os.getloadavg()[0]
                print(
                    f"{title} {number + 1}: {told} (load {load:.1f})", file=sys.stderr, flush=True
                )
            seconds = (time.monotonic() - started) / max(count, 1)
            rows.append(
                (
                    title,
                    *(str(outcomes[kind]) for kind in ("fail", "inconclusive", "pass")),
                    f"{seconds:.0f} s",
                )
            )
        print_table(("budgets", "broken", "inconclusive", "kept", "each"), rows)


def check(before: Path, after: Path, limits: dict[Metric, str]) -> ModelBudget:
    """The outcome of the limits; both models are measured alternating."""
    budget = Budget(
        pattern=after.name,
        limits={
            metric: (parse_limit(text, METRICS[metric].unit),) for metric, text in limits.items()
        },
    )
    models = [
        ModelUnderTest(path.name, path, BudgetedWorkload(), NO_CACHE) for path in (before, after)
    ]
    for model in models:
        model.open()
    return Check(
        model=BudgetedModel(after.name, after, budget),
        tested=models[1],
        baseline=Baseline(other=models[0]),
    ).run(is_explained=False)


def write_model(path: Path, layer_count: int, comment: str = "") -> Path:
    """Square MatMuls of 1 MiB each, one after the other."""
    random = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(
            random.standard_normal((WIDTH, WIDTH), dtype=np.float32) / np.float32(WIDTH), f"w{n}"
        )
        for n in range(layer_count)
    ]
    nodes = [
        helper.make_node("MatMul", [f"x{n}", f"w{n}"], [f"x{n + 1}"]) for n in range(layer_count)
    ]
    shape = [ROWS, WIDTH]
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x0", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(f"x{layer_count}", TensorProto.FLOAT, shape)],
        weights,
        doc_string=comment,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


@contextlib.contextmanager
def company(*, is_wanted: bool) -> Iterator[None]:
    """Another process that uses one processor all the time."""
    if not is_wanted:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", BUSY]) as process:
        try:
            yield
        finally:
            process.kill()


if __name__ == "__main__":
    main()
