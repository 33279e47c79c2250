"""How fast is `feasibility inspect` on a model of a gigabyte, compared with other tools?

    python -m benchmarks.inspect_ratio [PYTHON]

The other tools are looked for in PYTHON, which may be that of another environment.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from functools import partial
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
from feasibility.units import format_bytes, format_duration
from feasibility.zoo import architectures as zoo

MODEL = "xlmr-base"
ROUND_COUNT = 3
ONNX = """
import sys, onnx
model = onnx.load(sys.argv[1])
onnx.shape_inference.infer_shapes(model)
"""
ONNX_TOOL = """
import sys, onnx_tool
onnx_tool.model_profile(sys.argv[1])
"""
TIGRIS = """
import sys
from importlib.metadata import entry_points
(script,) = entry_points(group="console_scripts", name="tigris")
sys.exit(script.load()())
"""


@dataclass(frozen=True, slots=True)
class Contender:
    """Something else that reads a model, the package it comes in, and its argv less the model."""

    title: str
    package: str
    arguments: tuple[str, ...]


CONTENDERS = (
    Contender("onnx.load + infer_shapes", "onnx", ("-c", ONNX)),
    Contender("onnx-tool", "onnx_tool", ("-c", ONNX_TOOL)),
    Contender("tigris-ml", "tigris", ("-c", TIGRIS, "analyze")),
)


def main() -> None:
    """Prints one row per tool that is installed."""
    python = sys.argv[1] if len(sys.argv) > 1 else sys.executable
    path = zoo.build(MODEL)
    warm_page_cache(path)
    contenders = [each for each in CONTENDERS if is_installed(each.package, python)]
    command = (str(Path(sys.executable).with_name("feasibility")), "inspect", str(path))
    rounds = alternate(
        ROUND_COUNT,
        partial(spend, command),
        *(partial(spend, (python, *each.arguments, str(path))) for each in contenders),
    )
    if any(ours.exit_code != 0 for ours, *_ in rounds):
        sys.exit(f"feasibility inspect failed on {path.name}: there is nothing to compare")
    rows = [row("feasibility inspect", [(ours, ours) for ours, *_ in rounds])]
    for index, contender in enumerate(contenders, start=1):
        rows.append(row(contender.title, [(each[0], each[index]) for each in rounds]))
    print_table((f"{MODEL}, {format_bytes(path.stat().st_size)}", *HEADING), rows)


def is_installed(package: str, python: str) -> bool:
    """Whether that Python has the package; it is not imported."""
    look = f"from importlib.util import find_spec; exit(find_spec({package!r}) is None)"
    return subprocess.run([python, "-c", look], check=False).returncode == 0


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
