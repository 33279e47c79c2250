"""How large is the error of the shipped projections for the rows of a user's table?

`devices validate --rows FILE.csv` prints this report.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from msgspec.structs import replace

from feasibility import __version__
from feasibility.errors import FeasibilityError
from feasibility.measure.measure_options import Progress, no_progress
from feasibility.predict.latency.coefficients import Coefficients
from feasibility.predict.latency.cpu_formula import Work
from feasibility.predict.latency.interval import cpu_width
from feasibility.predict.latency.model_work import work_of_model
from feasibility.predict.validation.cases import Case, PublishedTables, case_of, core_count, is_int8
from feasibility.predict.validation.misses import (
    Miss,
    cpu_miss,
    factor,
    median_error,
    miss_of,
    misses_with_anchors,
    with_doubt,
    within,
)
from feasibility.predict.validation.published_rows import PublishedRow, read_rows
from feasibility.predict.validation.row_remarks import Remark, RemarkCounts
from feasibility.records.accuracy import Accuracy, AccuracyLine, AccuracyPoint, Scope
from feasibility.units import SECOND_NS

# Names of the groups of misses in reports, in the order of reports.
SUBJECTS: Final[Mapping[str, str]] = {
    "cpu, one thread": "device unseen, 1 thread",
    "cpu, several threads": "device unseen, several",
    "other model, one thread": "model unseen, 1 thread",
    "other model, several threads": "model unseen, several",
    "other runtime, one thread": "runtime unseen, 1 thread",
    "other runtime, several threads": "runtime unseen, several",
    "one anchor, one thread": "1 model known, 1 thread",
    "one anchor, several threads": "1 model known, several",
    "two anchors, one thread": "2 models known, 1 thread",
    "two anchors, several threads": "2 models known, several",
    "int8": "int8, device unseen",
    "gpu": "GPU, device unseen",
}
# Rows that the published table keeps for other uses.
UNSUITABLE_SPLITS: Final = frozenset({"context", "memory", "cpu_fallback", "seed"})
DEFAULT_THREADS: Final = "without threads, projected with those that their runtime uses by default"
T = TypeVar("T")


def rows_report(
    path: Path,
    tables: PublishedTables,
    coefficients: Coefficients,
    progress: Progress = no_progress,
) -> Accuracy:
    """The error of the projections for the rows of a table.

    The table has the columns of `profiles/published.csv`. `model` may be the path of an ONNX
    file, relative to the table. A row that cannot be read is counted with the reason.

    Raises:
        UsageError: The table cannot be read, a column is missing, or it has no rows.
    """
    rows, left_out = read_rows(path)
    unread_count = left_out.total
    # Each file is read once.
    onnx_work = functools.cache(functools.partial(_onnx_work, path.parent))
    notes = RemarkCounts()
    # Misses with the half widths of their intervals as factors.
    scored: list[tuple[Miss, float]] = []
    for index, row in enumerate(rows):
        progress(index, len(rows), "projecting rows")
        found = _score(row, onnx_work, tables, coefficients)
        if isinstance(found, Remark):
            left_out.add(found, row.line)
            continue
        scored.append(found)
        for note in _notes(row, tables, coefficients):
            notes.add(note, row.line)
    return Accuracy(
        tool_version=__version__,
        source=path.name,
        calibrated_on=coefficients.written_on,
        calibrated_row_count=coefficients.row_count,
        is_held_out=False,
        row_count=len(rows) + unread_count,
        scored_count=len(scored),
        seen_count=_seen_count(scored, tables),
        left_out=left_out.by_sentence(),
        notes=notes.by_sentence(),
        lines=tuple(_lines(scored, coefficients, progress)),
        points=accuracy_points(miss for miss, _ in scored),
    )


def _lines(
    scored: Sequence[tuple[Miss, float]], coefficients: Coefficients, progress: Progress
) -> Iterator[AccuracyLine]:
    """Error by group, with one and two anchors, and by kind of device and runtime."""
    yield from _lines_of_user("all", scored)
    # Anchors are tried on CPU rows in floating point only.
    on_cpu = [(miss, spread) for miss, spread in scored if miss.group.startswith("cpu, ")]
    misses = with_doubt((miss for miss, _ in on_cpu), coefficients.widenings)
    spreads = coefficients.spreads
    for count in (1, 2):
        progress(count - 1, 2, "trying rows as anchors")
        remaining = misses_with_anchors(misses, coefficients.covariance, count)
        yield from _lines_of_user(
            "all", ((miss, spreads[miss.group] ** miss.deviation) for miss in remaining)
        )
    for scope in SCOPES:
        yield from _lines_of_user(scope, on_cpu)


def _lines_of_user(scope: Scope, misses: Iterable[tuple[Miss, float]]) -> Iterator[AccuracyLine]:
    """Lines of misses with half widths of intervals; their devices are not unseen."""
    inside = [(miss, abs(miss.error) <= math.log(spread)) for miss, spread in misses]
    for line in accuracy_lines(scope, inside):
        shown = line.subject.replace("device unseen, ", "CPU, ").removesuffix(", device unseen")
        yield replace(line, subject=shown)


def unsuitable(row: PublishedRow) -> Remark | None:
    """Why the table does not want a row to be projected; None for most rows."""
    if row.split in UNSUITABLE_SPLITS:
        return Remark("that their table keeps for other uses", row.split)
    return None


def _score(
    row: PublishedRow,
    onnx_work: Callable[[str], Work | Remark | None],
    tables: PublishedTables,
    coefficients: Coefficients,
) -> tuple[Miss, float] | Remark:
    """The row's miss with the half width of its interval, or why it is not projected."""
    case = unsuitable(row) or case_of(row, tables, own_work=onnx_work)
    spreads = coefficients.spreads
    if isinstance(case, Remark):
        return case
    if case.is_gpu:
        return miss_of(case, case.gpu_seconds(coefficients.gpu), "gpu"), spreads["gpu"]
    if is_int8(row):
        seconds = case.int8_seconds(coefficients.cpu, coefficients.int8)
        return miss_of(case, seconds, "int8"), spreads["int8"]
    width = cpu_width(case.work, case.device, case.threads, row.runtime, coefficients)
    return cpu_miss(case, case.seconds(coefficients.cpu), "cpu"), width.factor


def _notes(
    row: PublishedRow, tables: PublishedTables, coefficients: Coefficients
) -> Iterator[Remark]:
    """Remarks on a row whose runtime or threads the projection replaced."""
    if row.unit != "CPU":
        return
    if row.runtime not in coefficients.cpu.runtimes:
        names = ", ".join(sorted(coefficients.cpu.runtimes))
        yield Remark(f"of a runtime other than {names}, projected as a typical one", row.runtime)
    if row.is_default_threads:
        yield Remark(DEFAULT_THREADS)
    cores = core_count(tables.devices[row.device_id])
    if row.threads is not None and row.threads > cores:
        yield Remark(
            "with more threads than the device has cores, projected with all cores",
            f"{row.threads} on {row.device_id}",
            f"{cores} cores",
        )


def _onnx_work(folder: Path, model: str) -> Work | Remark | None:
    """Work of the ONNX file that a row names, why it cannot be read, or None without a file."""
    from feasibility.facts.read_model import inspect_model
    from feasibility.measure.profiled_model import profiled_model

    if not model.endswith(".onnx"):
        return None
    try:
        return work_of_model(profiled_model(inspect_model(folder / model)))
    except FeasibilityError as error:
        return Remark("whose ONNX file cannot be read", model, error.why)


def _seen_count(scored: Sequence[tuple[Miss, float]], tables: PublishedTables) -> int:
    """How many of the rows are among those that the coefficients were fitted to."""

    def key(row: PublishedRow) -> tuple[object, ...]:
        return (row.model, row.device_id, row.build, row.threads, row.seconds)

    published = {key(row) for row in tables.rows if row.split not in UNSUITABLE_SPLITS}
    return sum(key(miss.case.row) in published for miss, _ in scored)


def accuracy_lines(scope: Scope, misses: Iterable[tuple[Miss, bool]]) -> Iterator[AccuracyLine]:
    """Lines of one table of a report, from misses and whether each is inside its interval."""
    subject = _SUBJECT_OF[scope]
    for name, members in grouped(misses, lambda pair: subject(pair[0])):
        own = [miss for miss, _ in members]
        yield AccuracyLine(
            scope=scope,
            subject=SUBJECTS.get(name, name),
            row_count=len(own),
            chip_count=len({miss.case.chip for miss in own}),
            median_error_ratio=median_error(own),
            p90_factor_ratio=factor(own, 0.9),
            within_1_5_ratio=within(own, 1.5),
            within_2_ratio=within(own, 2.0),
            coverage_ratio=sum(is_inside for _, is_inside in members) / len(members),
        )


def _threads(miss: Miss) -> str:
    """`1 thread` or `several`, after the number of known models."""
    subject = SUBJECTS[miss.group]
    return subject.partition(", ")[2] if miss.group.startswith("cpu, ") else subject


def is_transformer(case: Case) -> bool:
    """Whether more than half of the operations are matrix products."""
    return 2 * case.work.operations.get("matmul", 0.0) > case.work.total


def _network(miss: Miss) -> str:
    name = "transformer" if is_transformer(miss.case) else "convolutions"
    return f"{name}, {_threads(miss)}"


# The row of a table that a miss belongs to.
_SUBJECT_OF: Final[Mapping[Scope, Callable[[Miss], str]]] = {
    "all": lambda miss: miss.group,
    "kind": lambda miss: f"{miss.case.device.kind}, {_threads(miss)}",
    "runtime": lambda miss: f"{miss.case.row.runtime}, {_threads(miss)}",
    "instructions": lambda miss: f"{miss.case.row.runtime} on {miss.case.device.isa}",
    "network": _network,
}
# The tables of a report below the first.
SCOPES: Final[tuple[Scope, ...]] = ("kind", "runtime", "instructions", "network")


def accuracy_points(misses: Iterable[Miss]) -> tuple[AccuracyPoint, ...]:
    """Measured and projected time of every miss."""
    return tuple(
        AccuracyPoint(
            subject=SUBJECTS[miss.group],
            measured_ns=round(miss.case.row.seconds * SECOND_NS),
            projected_ns=round(miss.case.row.seconds * SECOND_NS / math.exp(miss.error)),
        )
        for miss in misses
    )


def grouped(items: Iterable[T], key: Callable[[T], str]) -> list[tuple[str, list[T]]]:
    """Items by key, in the order of `SUBJECTS`; other keys follow by name."""
    groups: dict[str, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    order = list(SUBJECTS)
    return sorted(
        groups.items(),
        key=lambda entry: (order.index(entry[0]) if entry[0] in order else len(order), entry[0]),
    )
