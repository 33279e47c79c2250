"""`feasibility inspect` on a model of a gigabyte against loading it with other tools."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from benchmarks._common import (
    Spending,
    alternate,
    median_ratio,
    print_table,
    spend,
    warm_page_cache,
)
from feasibility import zoo
from feasibility.units import format_bytes, format_duration

MODEL = "xlmr-base"
ROUND_COUNT = 3
BIN = Path(sys.executable).parent
ONNX = """
import sys, onnx
model = onnx.load(sys.argv[1])
onnx.shape_inference.infer_shapes(model)
"""
ONNX_TOOL = """
import sys, onnx_tool
onnx_tool.model_profile(sys.argv[1])
"""


@dataclass(frozen=True, slots=True)
class Contender:
    """Something else that reads a model, and the package it comes in."""

    title: str
    package: str
    argv: tuple[str, ...]


CONTENDERS = (
    Contender("onnx.load + infer_shapes", "onnx", (sys.executable, "-c", ONNX)),
    Contender("onnx-tool", "onnx_tool", (sys.executable, "-c", ONNX_TOOL)),
    Contender("tigris-ml", "tigris", (str(BIN / "tigris"), "analyze")),
)


def main() -> None:
    """Prints one row per tool that is installed."""
    path = zoo.build(MODEL)
    warm_page_cache(path)
    contenders = [each for each in CONTENDERS if find_spec(each.package)]
    ours = (str(BIN / "feasibility"), "inspect", str(path))
    commands = [ours, *((*each.argv, str(path)) for each in contenders)]
    rounds = alternate(ROUND_COUNT, *(partial(spend, command) for command in commands))
    rows = [row("feasibility inspect", [(first, first) for first, *_ in rounds])]
    for index, contender in enumerate(contenders, start=1):
        rows.append(row(contender.title, [(each[0], each[index]) for each in rounds]))
    print_table((f"{MODEL}, {format_bytes(path.stat().st_size)}", *HEADING), rows)


HEADING = ("time", "ratio", "peak", "ratio", "exit code")


def row(title: str, pairs: list[tuple[Spending, Spending]]) -> tuple[str, ...]:
    """Median figures of one tool, and how many times ours they are."""
    wall_ns = round(median(theirs.wall_ns for _, theirs in pairs))
    peak_bytes = round(median(theirs.peak_bytes for _, theirs in pairs))
    return (
        title,
        format_duration(wall_ns),
        f"{median_ratio([(b.wall_ns, a.wall_ns) for a, b in pairs]):.1f}",
        format_bytes(peak_bytes),
        f"{median_ratio([(b.peak_bytes, a.peak_bytes) for a, b in pairs]):.1f}",
        "/".join(sorted({str(theirs.exit_code) for _, theirs in pairs})),
    )


if __name__ == "__main__":
    main()
