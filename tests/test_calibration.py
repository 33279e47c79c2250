"""What the calibration rests on, that it can be repeated, and that its error is as stated."""

from __future__ import annotations

import csv
import functools
import itertools
import math
import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from calibration.__main__ import fit_all, to_toml
from calibration.ablation import NOTHING, ablation_lines
from calibration.accuracy_page import PLOT_NAME, accuracy_page, accuracy_plot
from calibration.case_arrays import core_arrays, work_arrays
from calibration.fit_cpu import PARTS, PRIORS, RUNTIME_RATES, fit_cpu
from calibration.fit_rows import read_fit_rows
from calibration.held_out_report import held_out_misses, held_out_report, inside, widths
from calibration.hold_out import read_held_out
from calibration.robust_fit import fit_robust
from feasibility.commands.app import run
from feasibility.errors import UsageError
from feasibility.facts.read_model import inspect_model
from feasibility.json_documents import encode, read_document
from feasibility.measure.profiled_model import profiled_model
from feasibility.paths import profiles_dir
from feasibility.predict.latency.coefficients import CIRCUMSTANCES, FILE, shipped_coefficients
from feasibility.predict.latency.cpu_formula import WINOGRAD_RUNTIMES, cpu_seconds
from feasibility.predict.latency.likely_seconds import likely_cpu_seconds
from feasibility.predict.latency.model_work import work_of_model
from feasibility.predict.published_npu_times import ROWS_FILE
from feasibility.predict.validation import misses as miss_figures
from feasibility.predict.validation.cases import Case, case_of, published_tables
from feasibility.predict.validation.misses import Miss, cpu_miss, misses_with_anchors
from feasibility.predict.validation.published_rows import REQUIRED_COLUMNS, read_rows, runtime_name
from feasibility.predict.validation.rows_report import rows_report
from feasibility.records.accuracy import Accuracy
from feasibility.render.reports.accuracy import accuracy_remarks
from tests.tiny_models import mlp

TABLES = published_tables()
ROWS = read_fit_rows(TABLES)
HELD_OUT = read_held_out(profiles_dir(), ROWS)
SHIPPED = shipped_coefficients()
MISSES = held_out_misses(ROWS, HELD_OUT, SHIPPED.covariance)
DOCS = Path(__file__).parents[1] / "docs"


STORED = read_document(profiles_dir() / "accuracy.json", Accuracy)
ABLATION = tuple(line for line in STORED.lines if line.scope == "without")


@functools.cache
def report() -> Accuracy:
    return held_out_report(ROWS, MISSES, ABLATION, SHIPPED)


def test_the_same_tables_give_the_same_coefficients() -> None:
    """`coefficients.toml` is what a fit to the shipped tables gives."""
    again, _ = fit_all(ROWS, HELD_OUT, SHIPPED.written_on)
    shipped = SHIPPED
    assert again.row_count == shipped.row_count
    for found, kept in zip(_numbers(to_toml(again)), _numbers(to_toml(shipped)), strict=True):
        assert found == pytest.approx(kept, rel=0.01, abs=1e-3)


def _numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"(?<=[ \[])-?\d[\d.e+-]*(?=[,\]\n])", text)]


@pytest.mark.parametrize("chip", ["BCM2712", "M3", "TX1"])
def test_held_out_projections_can_be_repeated(chip: str) -> None:
    """`held_out.csv` holds what a fit without the chip projects."""
    fit = fit_cpu([case for case in ROWS.floats if case.chip != chip])
    for case, seconds in zip(ROWS.floats, HELD_OUT["chip"], strict=True):
        if case.chip == chip:
            assert case.seconds(fit) == pytest.approx(seconds, rel=0.01)


def test_the_coefficients_survive_their_file() -> None:
    assert FILE.read_text(encoding="utf-8") == to_toml(SHIPPED)


NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")


def assert_same(made: str, stored: str) -> None:
    """Equal but for the last digits, which other processors and versions of numpy change."""
    assert NUMBER.sub("#", made) == NUMBER.sub("#", stored)
    numbers = [float(number) for number in NUMBER.findall(stored)]
    assert [float(number) for number in NUMBER.findall(made)] == pytest.approx(numbers, rel=1e-3)


def test_the_recorded_report_its_page_and_its_plot_are_up_to_date() -> None:
    """They are generated and unchanged since."""
    assert_same(encode(report()).decode(), (profiles_dir() / "accuracy.json").read_text("utf-8"))
    assert_same(accuracy_page(report()), (DOCS / "accuracy.md").read_text(encoding="utf-8"))
    assert_same(accuracy_plot(report()), (DOCS / PLOT_NAME).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("subject", "error", "factor"),
    [
        ("device unseen, 1 thread", 0.17, 1.5),
        ("device unseen, several", 0.24, 1.8),
        ("runtime unseen, 1 thread", 0.33, 2.0),
        ("runtime unseen, several", 0.32, 2.1),
        ("2 models known, 1 thread", 0.09, 1.35),
        ("2 models known, several", 0.13, 1.45),
        ("int8, device unseen", 0.28, 2.2),
        ("GPU, device unseen", 0.38, 4.2),
    ],
)
def test_the_error_on_rows_left_out(subject: str, error: float, factor: float) -> None:
    line = next(line for line in report().lines if line.subject == subject)
    assert line.median_error_ratio <= error
    assert line.p90_factor_ratio <= factor
    assert 0.74 <= line.coverage_ratio <= 0.88


def test_arrays_and_single_rows_agree() -> None:
    """What is calibrated on arrays is what runs on one model."""
    cases = ROWS.floats[::37]
    cpu = SHIPPED.cpu
    plain = replace(cpu, runtimes={}, yearly_ratio=1.0)
    arrays = cpu_seconds(work_arrays(cases), core_arrays(cases), cpu.formula, {})
    for case, seconds in zip(cases, np.asarray(arrays), strict=True):
        if case.row.runtime not in WINOGRAD_RUNTIMES:
            alone = case.seconds(plain)
            assert alone == pytest.approx(float(seconds), rel=1e-6)


@pytest.mark.slow
def test_the_ablation_can_be_repeated() -> None:
    """A part of the formula that is left out gives the errors in the report."""
    (part, *_) = PARTS
    for line in ablation_lines(ROWS.floats, (part,)):
        stored = next(one for one in ABLATION if one.subject == line.subject)
        assert line.median_error_ratio == pytest.approx(stored.median_error_ratio, rel=0.05)
        assert line.p90_factor_ratio == pytest.approx(stored.p90_factor_ratio, rel=0.05)


def test_every_part_of_the_formula_is_left_out_once() -> None:
    parts = {line.subject.rpartition(", ")[0] for line in ABLATION}
    assert parts == {NOTHING, *PARTS}


def test_every_part_names_something_that_is_fitted() -> None:
    names = [*PRIORS, *(f"{kind}." for kind in RUNTIME_RATES)]
    names += [f"correction.{each}" for each in CIRCUMSTANCES]
    for part in PARTS.values():
        assert all(any(name.startswith(key) for name in names) for key in part)
    with pytest.raises(KeyError):
        fit_cpu(ROWS.floats, "no such part")


def test_no_chip_is_on_both_sides() -> None:
    """Sibling devices with one chip are left out together."""
    chips = {case.device.id: case.chip for case in ROWS.floats}
    assert chips["x_kirin990_mate30"] == chips["x_kirin990_mate30_a55"]
    assert chips["rpi_zero2w"] == chips["rpi_3bplus"]
    assert chips["x_sd855_mi9"] == chips["x_sd855plus_oneplus7t"]
    gpus = {case.device.id: case.chip for case in ROWS.gpu}
    assert gpus["jetson_orin_nano_8gb"] == gpus["x_jetson_orin_nx_16g"]
    assert gpus["pixel_4"] == gpus["x_sd855plus_oneplus7t"]


def test_every_figure_of_a_gpu_has_a_source_or_says_that_it_has_none() -> None:
    with (profiles_dir() / "validation_gpus.csv").open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            assert line["source"] or {"fp32"} <= set(line["unverified"].replace(",", "").split())


def test_every_calibration_row_keeps_its_source() -> None:
    assert all(case.row.source for case in ROWS.floats)


def test_a_robust_fit_ignores_one_outlier() -> None:
    x = np.arange(10.0)
    observed = 2 * x + 1
    observed[3] += 50
    flat = np.zeros(2)
    found = fit_robust(
        lambda p: p[..., :1] * x + p[..., 1:],
        observed,
        flat,
        flat,
        np.full(2, 100.0),
        noise=0.1,
        knee=0.2,
    )
    assert found == pytest.approx([2.0, 1.0], abs=0.05)


def _misses(errors: list[float]) -> list[Miss]:
    # One runtime on many chips, so that it is not one with few of them.
    own = (case for case in ROWS.floats if case.row.runtime == "ncnn")
    cases = list({case.chip: case for case in own}.values())
    return [Miss("cpu, one thread", cases[index % 5], error) for index, error in enumerate(errors)]


def test_figures_of_a_table() -> None:
    """Median, factors and shares of four known errors."""
    misses = _misses([math.log(ratio) for ratio in (1.0, 1.25, 0.5, 4.0)])
    assert miss_figures.median_error(misses) == pytest.approx((0.2 + 0.75) / 2)
    assert miss_figures.within(misses, 1.5) == 0.5
    assert miss_figures.within(misses, 2.0) == 0.75
    assert miss_figures.factor(misses, 1.0) == pytest.approx(4.0)


def test_the_interval_covers_four_of_five() -> None:
    misses = _misses([index / 100 for index in range(-50, 50)])
    spreads, _ = widths(misses)
    assert spreads["cpu, one thread"] == pytest.approx(math.exp(0.42), rel=0.05)
    assert 0.75 <= sum(is_inside for _, is_inside in inside(misses)) / 100 <= 0.88


def test_runtimes_by_their_published_names() -> None:
    names = {
        "ncnn (row added 2023-06-15)": "ncnn",
        "NCNN CPU via ultralytics 8.3.51": "ncnn",
        "onnxruntime 1.11.1 custom": "onnxruntime",
        "ONNX Runtime (export)": "onnxruntime",
        "sherpa-onnx (onnxruntime)": "onnxruntime",
        "TF Lite via ultralytics": "tflite",
        "Paddle-Lite v2.11 armv8": "paddle-lite",
        "Made-up 3.1": "made-up",
    }
    assert {text: runtime_name(text) for text in names} == names


def _table(path: Path, **changes: str) -> Path:
    row = {
        "model": "ncnn resnet18",
        "gmacs": "1.8269",
        "device_id": "rpi_4b",
        "unit": "CPU",
        "runtime": "ncnn",
        "threads": "1",
        "precision": "fp32",
        "latency_ms": "190",
    }
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*row, "split", *(set(changes) - set(row) - {"split"})])
        writer.writeheader()
        writer.writerow({**row, "split": "", **changes})
    return path


def test_other_rows_are_scored(tmp_path: Path) -> None:
    found = rows_report(_table(tmp_path / "rows.csv"), TABLES, SHIPPED)
    assert (found.row_count, found.scored_count, found.seen_count) == (1, 1, 0)
    assert found.lines[0].subject == "CPU, 1 thread"
    assert found.points[0].measured_ns == 190_000_000


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"device_id": "toaster"}, "of a device that is not in the catalogue: 'toaster' (line 2)"),
        ({"device_id": ""}, "of a device that is not in the catalogue (line 2)"),
        ({"unit": "NPU"}, "on a unit that is not projected: 'NPU' (line 2)"),
        (
            {"unit": "GPU", "precision": "int8"},
            "on a unit that is not projected: 'GPU in int8' (line 2)",
        ),
        (
            {"unit": "GPU"},
            "on a GPU whose speed the catalogue does not know: 'rpi_4b' (line 2)",
        ),
        (
            {"unit": "GPU", "model": "nobody knows"},
            "of a model whose work is not known: 'nobody knows' (line 2)",
        ),
        (
            {"device_id": "rtx_3070"},
            "on a CPU that the catalogue does not describe: 'rtx_3070' (line 2)",
        ),
        ({"threads": ""}, "without threads (line 2)"),
        (
            {"precision": "w8a16 QDQ"},
            "in a precision that is not projected: 'w8a16 QDQ' (line 2)",
        ),
        ({"model": "nobody knows"}, "of a model whose work is not known: 'nobody knows' (line 2)"),
        ({"split": "context"}, "that their table keeps for other uses: 'context' (line 2)"),
        (
            {"clock_mhz": "1e-320"},
            "whose clock_mhz is not zero or at least 1e-09: '1e-320' (line 2)",
        ),
        (
            {"latency_ms": "1e-320"},
            "whose latency_ms is not a time that can be measured: '1e-320' (line 2)",
        ),
    ],
)
def test_rows_that_cannot_be_scored_are_counted(
    tmp_path: Path, changes: dict[str, str], reason: str
) -> None:
    found = rows_report(_table(tmp_path / "rows.csv", **changes), TABLES, SHIPPED)
    assert found.left_out == {reason: 1}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"latency_ms": "fast"}, "latency_ms: expected a time above zero, not 'fast'"),
        ({"latency_ms": "0"}, "latency_ms: expected a time above zero, not '0'"),
        ({"gmacs": "-1"}, "gmacs: expected a number, not '-1'"),
    ],
)
def test_a_bad_row(tmp_path: Path, changes: dict[str, str], why: str) -> None:
    """It is counted with its reason."""
    path = _table(tmp_path / "rows.csv", **changes)
    found = rows_report(path, TABLES, SHIPPED)
    column, _, expected = why.partition(": expected ")
    wanted, _, text = expected.partition(", not ")
    reason = f"whose {column} is not {wanted}: {text} (line 2)"
    assert (found.row_count, found.scored_count, found.left_out) == (1, 0, {reason: 1})


def test_the_published_table_has_no_bad_row() -> None:
    """Rows without a time state memory only."""
    rows, bad = read_rows(profiles_dir() / ROWS_FILE)
    ((remark, count),) = bad.by_sentence().items()
    assert remark.startswith("whose latency_ms is not a time above zero (from line ")
    assert len(rows) > 20 * count


def test_one_bad_row_does_not_stop_the_others(tmp_path: Path) -> None:
    path = _table(tmp_path / "rows.csv")
    good = path.read_text(encoding="utf-8")
    path.write_text(good + "x,,,,,,,,\n" + "too short\n" + "y,,,,,,,nan,\n", encoding="utf-8")
    found = rows_report(path, TABLES, SHIPPED)
    assert (found.row_count, found.scored_count) == (4, 1)
    assert found.left_out == {
        "whose latency_ms is not a time above zero: an empty cell (2 rows from line 3), "
        "'nan' (line 5)": 3
    }


@given(st.dictionaries(st.sampled_from(REQUIRED_COLUMNS), st.text(max_size=12), min_size=1))
def test_no_row_breaks_the_report(tmp_path_factory: pytest.TempPathFactory, cells: dict[str, str]):
    """Whatever stands in its cells, a row is scored or counted."""
    path = _table(tmp_path_factory.mktemp("rows") / "rows.csv", **cells)
    found = rows_report(path, TABLES, SHIPPED)
    assert found.scored_count + sum(found.left_out.values()) == found.row_count


def test_a_row_may_name_an_onnx_file(tmp_path: Path) -> None:
    """Its work is read from the file beside the table."""
    mlp(tmp_path / "own.onnx", width=512, layers=4)
    path = _table(tmp_path / "rows.csv", model="own.onnx", gmacs="", runtime="onnxruntime")
    found = rows_report(path, TABLES, SHIPPED)
    model = profiled_model(inspect_model(tmp_path / "own.onnx"))
    work = work_of_model(model)
    assert work is not None
    expected = likely_cpu_seconds(
        work, TABLES.devices["rpi_4b"], 1, SHIPPED.cpu, runtime="onnxruntime", is_half=False
    )
    assert expected is not None
    assert found.left_out == {}
    assert [point.projected_ns for point in found.points] == [
        pytest.approx(expected * 1e9, rel=1e-6)
    ]


def test_an_onnx_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("not a model", encoding="utf-8")
    os.mkfifo(tmp_path / "fifo.onnx")
    for name, why in (
        ("nowhere.onnx", "there is no such file"),
        ("text.onnx", ""),
        ("fifo.onnx", "it is a FIFO (named pipe), not a file)"),
    ):
        found = rows_report(_table(tmp_path / "rows.csv", model=name), TABLES, SHIPPED)
        ((reason, count),) = found.left_out.items()
        assert count == 1
        assert reason.startswith(f"whose ONNX file cannot be read: '{name}' (line 2: {why}")
        assert any(reason in remark for remark in accuracy_remarks(found))


def test_the_clock_of_a_row(tmp_path: Path) -> None:
    """Boards are measured at other clocks than their files state, and tables may have them."""
    ((row,), _) = read_rows(_table(tmp_path / "rows.csv", clock_mhz="1950"))
    case = case_of(row, TABLES)
    assert isinstance(case, Case)
    assert case.clock_ratio == pytest.approx(1950 / 1800)


def test_the_command_prints_the_recorded_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["devices", "validate", "--report", "--json"]) == 0
    assert_same(capsys.readouterr().out, encode(report()).decode())


@pytest.mark.parametrize(
    ("date", "year"),
    [("2024", 2024.5), ("2023-07", 2023 + 6.5 / 12), ("2023-07-20", 2023 + 6.5 / 12), ("", None),
     ("soon", None)],
)  # fmt: skip
def test_the_year_of_a_row(tmp_path: Path, date: str, year: float | None) -> None:
    ((row,), _) = read_rows(_table(tmp_path / "rows.csv", date=date))
    assert row.year == (year if year is None else pytest.approx(year))


def test_newer_builds_are_faster() -> None:
    """The reference runtime got faster by some percent a year; other runtimes have one age."""
    case = next(c for c in ROWS.floats if c.row.runtime == "ncnn")
    old, new = (case._replace(year=year).seconds(SHIPPED.cpu) for year in (2021.0, 2025.0))
    assert 0.6 < new / old < 1.0
    far = case._replace(year=2099.0).seconds(SHIPPED.cpu)
    assert far == case._replace(year=2025.5).seconds(SHIPPED.cpu)
    other = case._replace(row=case.row._replace(runtime="mnn"))
    assert other.seconds(SHIPPED.cpu) == other._replace(year=2099.0).seconds(SHIPPED.cpu)


def test_a_table_without_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("model,latency_ms\nx,1\n", encoding="utf-8")
    with pytest.raises(UsageError, match="it has no column gmacs, device_id"):
        read_rows(path)


@given(st.integers(1, 40), st.integers(1, 3))
def test_choices_of_anchors_are_every_so_many_sets(size: int, count: int) -> None:
    """They are told by their rank, because a table of thousands of rows has millions of sets."""
    every = list(itertools.combinations(range(size), count))
    step = max(1, len(every) // 24)
    assert list(miss_figures._anchor_sets(range(size), count)) == every[::step]


def test_a_long_table_is_not_compared_row_by_row() -> None:
    """Every choice of anchors is tried on a few hundred of its rows, evenly chosen."""
    case = ROWS.floats[0]
    size = 2000
    miss = cpu_miss(case, case.seconds(SHIPPED.cpu), "cpu")
    found = misses_with_anchors([miss] * size, SHIPPED.covariance, 1)
    assert 24 * 200 < len(found) <= 47 * 256
    assert len({(one.error, one.deviation) for one in found}) == 1
