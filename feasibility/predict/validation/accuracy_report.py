"""Builds the report of how far projections are from measurements."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from feasibility import __version__
from feasibility.errors import FeasibilityError
from feasibility.predict.calibration.refit import Evidence
from feasibility.predict.latency.coefficients import Fitted
from feasibility.predict.latency.cpu_formula import Work
from feasibility.predict.latency.interval_width import cpu_spread
from feasibility.predict.latency.model_work import work_of_model
from feasibility.predict.validation import held_out as validate
from feasibility.predict.validation.cases import (
    Case,
    case_run,
    case_seconds,
    core_count,
    cpu_case,
    gpu_case,
    int8_seconds,
)
from feasibility.predict.validation.held_out import Miss
from feasibility.predict.validation.published_rows import PublishedRow, read_sound_rows, work_of
from feasibility.predict.validation.skipped_rows import Reason, Tally
from feasibility.records.accuracy import Accuracy, AccuracyLine, AccuracyPoint, Scope
from feasibility.records.device import Device

# What the groups of `validate` are called where people read them.
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
# Rows that the published table keeps for other uses, each with its reason in `note`.
UNFIT_SPLITS: Final = frozenset({"context", "memory", "cpu_fallback", "seed"})
_UNKNOWN_WORK: Final = "of a model whose work is not known"
_NS: Final = 10**9
T = TypeVar("T")


class _Scored(NamedTuple):
    """A row of a foreign table with its miss and the interval it was given."""

    miss: Miss
    spread: float
    row: PublishedRow | None


def held_out_report(
    evidence: Evidence, misses: Sequence[Miss], known: Fitted, source: str
) -> Accuracy:
    """The report over the published rows, each left out of the fit that projects it.

    Args:
        evidence: The published tables.
        misses: What `refit.held_out_misses` found.
        known: The coefficients that are shipped.
        source: Name of the table.
    """
    lines = [
        _line("all", SUBJECTS[group], members, validate.coverage(members))
        for group, members in _grouped(misses, lambda miss: miss.group)
    ]
    direct = [miss for miss in misses if miss.group.startswith("cpu, ")]
    # A kind of device or a runtime has no interval of its own.
    is_inside = validate.inside(direct)
    for scope, key in _SCOPES:
        named = [(key(miss), miss, held) for miss, held in zip(direct, is_inside, strict=True)]
        for subject, members in _grouped(named, lambda one: one[0]):
            share = sum(held for _, _, held in members) / len(members)
            lines.append(_line(scope, subject, [miss for _, miss, _ in members], share))
    scored = len(evidence.floats) + len(evidence.int8) + len(evidence.gpu)
    return Accuracy(
        tool_version=__version__,
        source=source,
        calibrated_on=known.written_on,
        calibrated_row_count=known.row_count,
        is_held_out=True,
        row_count=len(evidence.rows),
        scored_count=scored,
        left_out={
            "of another kind, or without work, device or threads": len(evidence.rows) - scored
        },
        lines=tuple(lines),
        points=_points(miss for miss in misses if _is_direct(miss)),
    )


def rows_report(
    path: Path,
    evidence: Evidence,
    known: Fitted,
    progress: Callable[[int, int, str], None] = lambda _done, _total, _doing: None,
) -> Accuracy:
    """The report over the rows of another table, projected by the shipped coefficients.

    Args:
        path: A table with the columns of `profiles/published.csv`; `model` may be the path
            of an ONNX file, relative to the table.
        evidence: The published tables, for the work of models and the devices.
        known: The coefficients that are shipped.
        progress: Called with the steps that are done, those in all, and what is being done.

    Raises:
        UsageError: The table cannot be read, a column is missing, or there is no row. Rows
            that cannot be read are counted by reason.
    """
    rows, left_out = read_sound_rows(path)
    unread_count = left_out.total
    onnx_work = _OnnxWork(path.parent)
    notes = Tally()
    scored: list[_Scored] = []
    cases: list[Case] = []
    for index, row in enumerate(rows):
        progress(index, len(rows), "projecting rows")
        found = _score(row, onnx_work, evidence, known)
        if isinstance(found, Reason):
            left_out.add(found, row.line)
            continue
        scored.append(found[0])
        if found[1] is not None:
            cases.append(found[1])
        for note in _notes(row, evidence, known):
            notes.add(note, row.line)
    return Accuracy(
        tool_version=__version__,
        source=path.name,
        calibrated_on=known.written_on,
        calibrated_row_count=known.row_count,
        is_held_out=False,
        row_count=len(rows) + unread_count,
        scored_count=len(scored),
        seen_count=_seen_count([one.row for one in scored if one.row is not None], evidence),
        left_out=left_out.counts(),
        notes=notes.counts(),
        lines=tuple(_rows_lines(scored, cases, known, progress)),
        points=_points(one.miss for one in scored),
    )


def _rows_lines(
    scored: Sequence[_Scored],
    cases: Sequence[Case],
    known: Fitted,
    progress: Callable[[int, int, str], None],
) -> list[AccuracyLine]:
    """Error by group, with one and two anchors, and by kind of device and runtime."""
    on_cpu = [one for one in scored if one.miss.group.startswith("cpu, ")]
    lines = _scored_lines("all", scored, lambda miss: miss.group)
    runs = [case_run(case, known.cpu) for case in cases]
    misses = [one.miss for one in on_cpu]
    for count in (1, 2):
        progress(count - 1, 2, "trying rows as anchors")
        remaining = validate.anchored(cases, misses, runs, lambda _chip: known.covariance, count)
        anchored = [
            _Scored(miss, known.spreads[miss.group] ** miss.deviation, None) for miss in remaining
        ]
        lines += _scored_lines("all", anchored, lambda miss: miss.group)
    for scope, key in _SCOPES:
        lines += _scored_lines(scope, on_cpu, key)
    return lines


def _score(
    row: PublishedRow, onnx_work: _OnnxWork, evidence: Evidence, known: Fitted
) -> tuple[_Scored, Case | None] | Reason:
    """The row's miss, with its case if it is a CPU row in floating point; else why not."""
    if row.split in UNFIT_SPLITS:
        return Reason("that their table keeps for other uses", row.split)
    device = evidence.devices.get(row.device_id)
    if device is None:
        return Reason("of a device that is not in the catalogue", row.device_id)
    work = onnx_work.of(row)
    if isinstance(work, Reason):
        return work
    gpu = gpu_case(row, evidence.models, evidence.devices, work=work)
    if gpu is not None:
        miss = validate.gpu_miss(gpu, gpu.seconds(known.gpu))
        return _Scored(miss, known.spreads["gpu"], row), None
    if row.unit != "CPU":
        return _unit_reason(row, work or work_of(row, evidence.models), device)
    case = cpu_case(row, evidence.models, evidence.devices, work=work)
    if case is None:
        if row.threads is None:
            return Reason("without threads")
        return Reason(_UNKNOWN_WORK, row.model)
    if row.precision.startswith(("int8", "w8")):
        projected = int8_seconds(case, known.cpu, known.int8)
        miss = validate.miss_of(case, projected, "int8")._replace(group="int8", deviation=1.0)
        return _Scored(miss, known.spreads["int8"], row), None
    miss = validate.miss_of(case, case_seconds(case, known.cpu), "cpu")
    return _Scored(
        miss, cpu_spread(case.work, case.device, case.threads, row.runtime, known), row
    ), case


def _unit_reason(row: PublishedRow, work: Work | None, device: Device) -> Reason:
    """Why a row of another unit than the CPU is not projected."""
    unit = row.unit.split(" ")[0]
    if unit != "GPU":
        return Reason("on a unit that is not projected", unit)
    if work is None:
        return Reason(_UNKNOWN_WORK, row.model)
    if "int8" in row.precision:
        return Reason("on a unit that is not projected", "GPU in int8")
    return Reason("on a GPU whose speed the catalogue does not know", device.id)


def _notes(row: PublishedRow, evidence: Evidence, known: Fitted) -> Iterator[Reason]:
    """What a row that was projected says and the projection does not know."""
    if row.unit != "CPU":
        return
    if row.runtime not in known.cpu.time_ratio:
        names = ", ".join(sorted(known.cpu.time_ratio))
        yield Reason(
            f"of a runtime that is none of {names}, projected as a typical one", row.runtime
        )
    cores = core_count(evidence.devices[row.device_id])
    if row.threads is not None and row.threads > cores:
        yield Reason(
            "with more threads than the device has cores, projected with all cores",
            f"{row.threads} on {row.device_id}",
            f"{cores} cores",
        )


class _OnnxWork:
    """Work of the ONNX files that rows name instead of a model of the table, each read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, Work | Reason | None] = {}

    def of(self, row: PublishedRow) -> Work | Reason | None:
        """Work of the row's file, why it cannot be read, or None where none is told."""
        if not row.model.endswith(".onnx"):
            return None
        if row.model not in self._known:
            self._known[row.model] = self._read(row.model)
        return self._known[row.model]

    def _read(self, name: str) -> Work | Reason | None:
        from feasibility.facts.read_model import inspect_model
        from feasibility.measure.profiled_model import profiled_model

        path = self._folder / name
        try:
            return work_of_model(profiled_model(inspect_model(path)))
        except FeasibilityError as error:
            return Reason("whose ONNX file cannot be read", name, error.why)


def _seen_count(rows: Sequence[PublishedRow], evidence: Evidence) -> int:
    def key(row: PublishedRow) -> tuple[object, ...]:
        return (row.model, row.device_id, row.build, row.threads, row.seconds)

    cases = (*evidence.floats, *evidence.int8)
    fitted_rows = {key(row) for row in (*(c.row for c in cases), *(c.row for c in evidence.gpu))}
    return sum(key(row) in fitted_rows for row in rows)


def _is_direct(miss: Miss) -> bool:
    return miss.group in ("int8", "gpu") or miss.group.startswith("cpu, ")


def _threads(miss: Miss) -> str:
    return SUBJECTS[miss.group].partition(", ")[2]


def _kind_subject(miss: Miss) -> str:
    return f"{miss.kind}, {_threads(miss)}"


def _runtime_subject(miss: Miss) -> str:
    return f"{miss.runtime}, {_threads(miss)}"


_SCOPES: Final[tuple[tuple[Scope, Callable[[Miss], str]], ...]] = (
    ("kind", _kind_subject),
    ("runtime", _runtime_subject),
)


def _scored_lines(
    scope: Scope, scored: Sequence[_Scored], key: Callable[[Miss], str]
) -> list[AccuracyLine]:
    lines = []
    for subject, members in _grouped(scored, lambda one: key(one.miss)):
        inside = sum(abs(one.miss.error) <= math.log(one.spread) for one in members)
        named = SUBJECTS.get(subject, subject).replace("device unseen, ", "CPU, ")
        named = named.removesuffix(", device unseen")
        lines.append(_line(scope, named, [one.miss for one in members], inside / len(members)))
    return lines


def _line(scope: Scope, subject: str, misses: Sequence[Miss], coverage: float) -> AccuracyLine:
    return AccuracyLine(
        scope=scope,
        subject=subject,
        row_count=len(misses),
        chip_count=len({miss.unit for miss in misses}),
        median_error_ratio=validate.median_error(misses),
        p90_factor_ratio=validate.factor(misses, 0.9),
        within_1_5_ratio=validate.within(misses, 1.5),
        within_2_ratio=validate.within(misses, 2.0),
        coverage_ratio=coverage,
    )


def _points(misses: Iterable[Miss]) -> tuple[AccuracyPoint, ...]:
    return tuple(
        AccuracyPoint(
            subject=SUBJECTS[miss.group],
            measured_ns=round(miss.seconds * _NS),
            projected_ns=round(miss.seconds * _NS / math.exp(miss.error)),
        )
        for miss in misses
    )


def _grouped(items: Iterable[T], key: Callable[[T], str]) -> list[tuple[str, list[T]]]:
    """Items by key, in the order of `SUBJECTS`, others after them by name."""
    groups: dict[str, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    known = list(SUBJECTS)
    return sorted(
        groups.items(),
        key=lambda entry: (known.index(entry[0]) if entry[0] in known else len(known), entry[0]),
    )
