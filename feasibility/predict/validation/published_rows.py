"""Which rows does a table of measured latencies have?

The columns are those of `profiles/published.csv`. Required are only `model`, `gmacs`,
`device_id`, `unit`, `runtime`, `threads`, `precision` and `latency_ms`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from feasibility.predict.validation.csv_table import read_table
from feasibility.predict.validation.row_remarks import Remark, RemarkCounts

REQUIRED_COLUMNS: Final = (
    "model", "gmacs", "device_id", "unit", "runtime", "threads", "precision", "latency_ms",
)  # fmt: skip
# Larger or smaller figures are typing errors, or overflow.
_TOO_MUCH: Final = 1e15
_TOO_LITTLE: Final = 1e-9
_POSITIVE: Final = "a time above zero"

# The first match names the runtime; without a match it is the text up to its version.
_RUNTIMES: Final = (
    ("sherpa-ncnn|ncnn", "ncnn"),
    ("onnx ?runtime|sherpa-onnx", "onnxruntime"),
    ("paddle-?lite", "paddle-lite"),
    ("paddle", "paddle"),
    ("opencv", "opencv"),
    ("xnnpack", "xnnpack"),
    ("openvino", "openvino"),
    ("tf ?lite|litert|tensorflow lite", "tflite"),
    ("tensorflow", "tensorflow"),
    (r"whisper\.cpp", "whisper.cpp"),
    ("pytorch|torch", "pytorch"),
    (r"\btnn\b", "tnn"),
    (r"\bmnn\b", "mnn"),
    (r"\bbolt\b", "bolt"),
)  # fmt: skip
_COUNT: Final = re.compile(r"([0-9]{1,9})")
_DATE: Final = re.compile(r"(20[0-9]{2})(?:-(0[1-9]|1[0-2]))?(?![0-9])")
_MINIMUM: Final = re.compile(r"\bmin ([0-9]+(?:\.[0-9]+)?)")

# Values of `PublishedRow.threads` for a number that depends on the device.
ALL_CORES: Final = 0
FASTEST_CLUSTER: Final = -1
# Threads that a row does not state, by its runtime, the text of its cell, and its source; the
# first match counts. OpenVINO's hint for latency uses the performance cores of one socket,
# `ProfileModels` of Ultralytics sets eight threads, and the interpreter of TensorFlow Lite has one
# thread by default. The runtimes in the last pattern use all cores by default.
_UNSTATED_THREADS: Final = (
    (r"^openvino\|.*latency mode", FASTEST_CLUSTER),
    (r"^onnxruntime\|all \(not stated\).*(ultralytics docs/(en/models|macros)|YOLO11 README)", 8),
    (r"^tflite\|all \(default\)", 1),
    (r"^[^|]*\|(all|\(4 cores)", ALL_CORES),
    (r"^(onnxruntime|openvino|pytorch|tensorflow)\|", ALL_CORES),
)


class _BadCellError(ValueError):
    """A cell that does not fit its column; its argument is the remark on the row."""

    def __init__(self, column: str, expected: str, text: str) -> None:
        self.remark = Remark(f"whose {column} is not {expected}", text)
        super().__init__(self.remark)


class PublishedRow(NamedTuple):
    """One published measurement.

    Figures are None where the table does not state them.

    Attributes:
        unit: CPU, GPU, NPU or other text of the table.
        runtime: Name of the runtime without its version.
        build: The runtime as published, version included.
        threads: Threads; `ALL_CORES` or `FASTEST_CLUSTER` if they depend on the device.
        is_default_threads: Whether `threads` is the default of the runtime.
        seconds: The fastest run if stated, else the mean.
        clock_hz: Clock during the measurement.
        year: Year of the measurement, with a fraction.
        split: Use of the row: `calib` for the fit.
        line: Line of the table.
    """

    row_id: str
    model: str
    device_id: str
    unit: str
    runtime: str
    build: str
    threads: int | None
    is_default_threads: bool
    precision: str
    seconds: float
    clock_hz: float | None
    year: float | None
    split: str
    operations: float | None
    weight_count: float | None
    source: str
    line: int


def runtime_name(text: str) -> str:
    """Name of the runtime in a published table, without version and build."""
    low = text.lower()
    for pattern, name in _RUNTIMES:
        if re.search(pattern, low):
            return name
    match = re.match(r"[a-z][a-z. +-]*", low)
    return match[0].strip() if match else low.strip()


def read_rows(path: Path) -> tuple[tuple[PublishedRow, ...], RemarkCounts]:
    """The rows of a table that can be read, and remarks on the others.

    Raises:
        UsageError: The table cannot be read, a column is missing, or it has no rows.
    """
    rows = []
    bad = RemarkCounts()
    for number, line in read_table(path, REQUIRED_COLUMNS):
        try:
            rows.append(_row(number, line))
        except _BadCellError as error:
            bad.add(error.remark, number)
    return tuple(rows), bad


def _row(number: int, line: Mapping[str, str]) -> PublishedRow:
    milliseconds = _number("latency_ms", line["latency_ms"], _POSITIVE)
    if milliseconds < _TOO_LITTLE:
        expected = "a time that can be measured" if milliseconds else _POSITIVE
        raise _BadCellError("latency_ms", expected, line["latency_ms"])
    # The mean of a few runs contains outliers, the fastest run does not.
    stated = _MINIMUM.search(line.get("latency_stat") or "")
    fastest = float(stated[1]) if stated else 0.0
    gmacs = _optional("gmacs", line["gmacs"])
    params = _optional("params_m", line.get("params_m") or "")
    clock_mhz = _optional("clock_mhz", line.get("clock_mhz") or "")
    return PublishedRow(
        row_id=line.get("row_id") or f"line {number}",
        model=line["model"],
        device_id=line["device_id"],
        unit=line["unit"],
        runtime=runtime_name(line["runtime"]),
        build=line["runtime"],
        threads=_threads(line),
        is_default_threads=_COUNT.match(line["threads"].strip()) is None,
        precision=line["precision"],
        seconds=(fastest if _TOO_LITTLE <= fastest < _TOO_MUCH else milliseconds) / 1e3,
        clock_hz=clock_mhz * 1e6 if clock_mhz else None,
        year=_year(line.get("date") or ""),
        split=line.get("split") or "calib",
        operations=2e9 * gmacs if gmacs else None,
        weight_count=1e6 * params if params else None,
        source=line.get("source") or "",
        line=number,
    )


def _year(text: str) -> float | None:
    """Year of a date such as `2024`, `2023-07` or `2023-06-15`; the middle of the year or month."""
    match = _DATE.match(text.strip())
    if match is None:
        return None
    month = int(match[2]) - 0.5 if match[2] else 6.0
    return int(match[1]) + month / 12


def _threads(line: Mapping[str, str]) -> int | None:
    """Threads of a row: as stated, else the default of its runtime; None if it has no rule."""
    text = line["threads"].strip()
    if match := _COUNT.match(text):
        return int(match[1])
    cells = f"{runtime_name(line['runtime'])}|{text}|{line.get('source') or ''}"
    return next((n for pattern, n in _UNSTATED_THREADS if re.search(pattern, cells)), None)


def _number(column: str, text: str, expected: str = "a number") -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < _TOO_MUCH:
        raise _BadCellError(column, expected, text)
    return value


def _optional(column: str, text: str) -> float | None:
    value = _number(column, text) if text.strip() else 0.0
    if 0 < value < _TOO_LITTLE:
        raise _BadCellError(column, f"zero or at least {_TOO_LITTLE:g}", text)
    return value or None
