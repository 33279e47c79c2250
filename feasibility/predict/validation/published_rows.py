"""Which rows does a table of measured latencies have, and what is the work of their models?

The columns are those of `profiles/published.csv`. Required are only `model`, `gmacs`,
`device_id`, `unit`, `runtime`, `threads`, `precision` and `latency_ms`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from feasibility.predict.latency.cpu_formula import Work
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
    ("tf ?lite|litert", "tflite"),
    ("pytorch|torch", "pytorch"),
    (r"\btnn\b", "tnn"),
    (r"\bmnn\b", "mnn"),
    (r"\bbolt\b", "bolt"),
)  # fmt: skip
_DATE: Final = re.compile(r"(20[0-9]{2})(?:-(0[1-9]|1[0-2]))?(?![0-9])")
_MINIMUM: Final = re.compile(r"\bmin ([0-9]+(?:\.[0-9]+)?)")
# Published names, and a model of the work table with the same mix of operators.
_SAME_MIX: Final = (
    ("mobile_?net_?v3", "mobilenet_v3"),
    ("mobile_?net_?v2", "mobilenet_v2"),
    ("mobile_?net", "mobilenet"),
    ("resnet_?18|resnet-18", "resnet18"),
    ("resnet|resnext", "resnet50"),
    ("squeezenet", "squeezenet"),
    ("shufflenet", "shufflenet_v2"),
    ("efficientnet", "efficientnet_b0"),
    ("inception|googlenet", "googlenet"),
    ("densenet", "resnet50"),
    ("vgg", "vgg16"),
    ("alexnet", "alexnet"),
    ("nanodet", "nanodet_m"),
    ("yolo", "yolov4-tiny"),
    ("bert|vit|transformer", "vision_transformer"),
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
        threads: Threads; 0 for all cores.
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


def read_model_work(path: Path) -> Mapping[str, Work]:
    """Work of the models that the tables name, by name."""
    with path.open(encoding="utf-8", newline="") as file:
        return {line["model"]: _work(line) for line in csv.DictReader(file)}


def work_of(row: PublishedRow, models: Mapping[str, Work]) -> Work | None:
    """Work of the row's model: its own operations with the mix of a model of the table."""
    name = architecture(row.model, models)
    work = models.get(name)
    if work is None:
        return None
    if row.operations is None:
        return work if name == _plain_name(row.model) else None
    # The layers and weights of the model in the table stay.
    ratio = row.operations / work.total
    work = work._replace(
        operations={kind: amount * ratio for kind, amount in work.operations.items()},
        activation_count=work.activation_count * ratio,
    )
    if row.weight_count:
        weights = max(0.0, row.weight_count - work.vector_weight_count)
        work = work._replace(weight_count=weights)
    return work


def architecture(name: str, models: Mapping[str, Work]) -> str:
    """The model of the table with the same mix of operators; the name itself if there is none."""
    plain = _plain_name(name)
    if plain in models:
        return plain
    for pattern, other in _SAME_MIX:
        if re.search(pattern, plain.lower()) and other in models:
            return other
    return plain


def _plain_name(name: str) -> str:
    return name.removeprefix("ncnn ").removesuffix("_int8")


def _work(line: Mapping[str, str]) -> Work:
    def value(column: str) -> float:
        return float(line[column])

    operations = 2e9 * value("gmacs")
    winograd = value("wino3x3s1_frac")
    shares = {
        "winograd": winograd,
        "dense": value("dense_kxk_frac") - winograd + value("deconv_frac"),
        "pointwise": value("dense_1x1_frac"),
        "depthwise": value("dw_frac"),
        "grouped": value("group_frac"),
        "vector": value("fc_frac"),
        "matmul": value("gemm_frac") + value("mha_gemm_frac"),
        "attention": value("mha_attn_frac"),
    }
    vector_weights = operations * shares["vector"] / 2
    return Work(
        operations={kind: operations * max(0.0, share) for kind, share in shares.items()},
        activation_count=1e6 * value("act_elems_rw_m"),
        weight_count=max(0.0, 1e6 * value("params_m") - vector_weights),
        vector_weight_count=vector_weights,
        layer_count=value("n_layers"),
    )


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
        threads=_threads(line["threads"]),
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


def _threads(text: str) -> int | None:
    """Threads of a row; 0 for all of them, None if not stated."""
    match = re.match(r"\s*(\d{1,9})", text)
    if match:
        return int(match[1])
    return 0 if text.strip().startswith(("all", "(4 cores")) else None


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
