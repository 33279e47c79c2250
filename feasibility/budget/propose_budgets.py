"""Which limits does `budget init` propose, and how are they written?

The file is written by hand and not with `tomli_w`, because each limit has a comment with the
measured value, and `tomli_w` writes no comments.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from feasibility.budget.baseline import record_baseline, write_baseline
from feasibility.budget.budget_file import DEFAULT_BASELINE, BudgetedWorkload
from feasibility.budget.budgeted_models import name_below
from feasibility.budget.metrics import METRICS
from feasibility.budget.model_under_test import ModelUnderTest
from feasibility.measure.measure_options import ProgressOf
from feasibility.reading_cache import ReadingCache
from feasibility.records.budget import Metric, Snapshot
from feasibility.units import GIB, KIB, MIB, format_bytes, format_count, format_duration

_BOUNDED: Final[tuple[Metric, ...]] = ("file_size", "peak", "floor", "allocated_peak", "flops")
_REMARKS: Final[Mapping[Metric, str]] = {
    "peak": "higher one of load peak and inference peak",
    "floor": "with less, the process is killed",
    "allocated_peak": "requested from allocators",
}
_HEADER: Final = """\
# Budgets of models, for `feasibility budget check`. docs/ci.md describes every key.
# A limit is absolute ("200MiB"), relative to the baseline ("+5%"), or a list of both.
"""
_LATENCY_REMARK: Final = """\
# Times of different machines cannot be compared: `budget check --against REV` measures both
# revisions now. On a machine of your own, you may write an absolute limit such as "50ms".
"""


def propose_budgets(
    models: Sequence[Path],
    config: Path,
    workload: BudgetedWorkload,
    headroom_ratio: float,
    *,
    cache: ReadingCache,
    timeout_s: float,
    progress_of: ProgressOf,
) -> str:
    """The text of a budget file for models; their baselines are recorded beside it."""
    folder = config.absolute().parent
    taken: list[Snapshot] = []
    for path in dict.fromkeys(path.absolute() for path in models):
        model = ModelUnderTest(
            name=name_below(folder, path),
            path=path,
            workload=workload,
            cache=cache,
            timeout_s=timeout_s,
        )
        model.open()
        with progress_of(path.name) as progress:
            taken.append(record_baseline(model, progress))
        write_baseline(folder / DEFAULT_BASELINE, taken[-1])
    return propose_toml(taken, workload, headroom_ratio)


def propose_toml(
    snapshots: Sequence[Snapshot], workload: BudgetedWorkload, headroom_ratio: float
) -> str:
    """The text of a budget file for these models."""
    parts = [_HEADER, f"baseline = {_quoted(DEFAULT_BASELINE)}\n"]
    parts += [_table(snapshot, workload, headroom_ratio) for snapshot in snapshots]
    return "\n".join(parts)


def _table(snapshot: Snapshot, workload: BudgetedWorkload, headroom_ratio: float) -> str:
    lines = ["[[budget]]", f"model = {_quoted(snapshot.model)}"]
    lines += _workload_lines(workload)
    percent = f"{100 * headroom_ratio:g}"
    for metric in _BOUNDED:
        figure = snapshot.figures.get(metric)
        if figure is None:
            continue
        limit, shown = _limit_text(metric, figure, headroom_ratio)
        remark = f"; {_REMARKS[metric]}" if metric in _REMARKS else ""
        lines.append(f"{metric} = {_quoted(limit)}  # {shown} + {percent} %{remark}")
    if "latency" in snapshot.figures:
        took = format_duration(snapshot.figures["latency"])
        lines += [*_LATENCY_REMARK.splitlines(), f'latency = "+{percent}%"  # {took} measured here']
    return "\n".join(lines) + "\n"


def _workload_lines(workload: BudgetedWorkload) -> list[str]:
    lines = []
    if workload.dims:
        dims = ", ".join(f"{_quoted(name)} = {size}" for name, size in workload.dims.items())
        lines.append(f"dims = {{ {dims} }}")
    if workload.threads != 1:
        lines.append(f"threads = {workload.threads}")
    if workload.provider != "cpu":
        lines.append(f"provider = {_quoted(workload.provider)}")
    return lines


def _limit_text(metric: Metric, figure: int, headroom_ratio: float) -> tuple[str, str]:
    """The limit, rounded up to at least two digits, and the figure."""
    most = math.ceil(figure * (1 + headroom_ratio))
    if METRICS[metric].unit == "count":
        factor = max(10 ** (len(str(most)) - 3), 1)
        limit = format_count(math.ceil(most / factor) * factor).replace(" ", "")
        return limit, format_count(figure)
    name, unit = next(
        (name, unit)
        for name, unit in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB), ("B", 1))
        if most >= 10 * unit or unit == 1
    )
    return f"{math.ceil(most / unit)}{name}", format_bytes(figure)


def _quoted(text: str) -> str:
    """The text as a TOML string; JSON's escapes are a part of TOML's."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
