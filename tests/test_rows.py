"""Tables of measurements as people write them: what is refused, and what is said of odd rows."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feasibility.commands.app import run
from feasibility.errors import UsageError
from feasibility.predict.latency.coefficients import shipped_coefficients
from feasibility.predict.validation import csv_table
from feasibility.predict.validation.cases import published_tables
from feasibility.predict.validation.csv_table import read_table
from feasibility.predict.validation.published_rows import REQUIRED_COLUMNS, read_rows
from feasibility.predict.validation.row_remarks import Remark, RemarkCounts
from feasibility.predict.validation.rows_report import rows_report
from feasibility.records.accuracy import Accuracy
from feasibility.render.reports.accuracy import accuracy_remarks

TABLES = published_tables()
HEADER = ",".join(REQUIRED_COLUMNS)
GOOD = "ncnn resnet18,1.8269,rpi_4b,CPU,ncnn,1,fp32,190"


def table(path: Path, *rows: str, header: str = HEADER) -> Path:
    path.write_text("\n".join((header, *rows, "")), encoding="utf-8")
    return path


def report(path: Path) -> Accuracy:
    return rows_report(path, TABLES, shipped_coefficients())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it or its first line is empty"),
        (b"\n\n", "it or its first line is empty"),
        (HEADER.encode(), "it has columns but no rows"),
        (f"{HEADER}\n\n\n".encode(), "it has columns but no rows"),
        (
            HEADER.replace(",", ";").encode(),
            "its columns are separated by semicolons, not by commas",
        ),
        (HEADER.replace(",", "\t").encode(), "its columns are separated by tabs, not by commas"),
        (b"model,latency_ms\nx,1\n", "it has no column gmacs, device_id"),
        (HEADER.encode("utf-16"), "it is not UTF-8 text"),
        (f"{HEADER}\n{'x' * 200_000}\n".encode(), "line 2: field larger than field limit"),
    ],
)
def test_a_table_that_is_none(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        report(path)
    assert caught.value.why.startswith(why)
    assert caught.value.what == f"Cannot read the table {path}"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("fifo.csv", "it is a FIFO (named pipe), not a file"),
        ("/dev/zero", "it is a character device, not a file"),
        (".", "it is a directory"),
        ("nowhere.csv", "there is no such file"),
    ],
)
def test_what_is_no_file_is_not_opened(tmp_path: Path, name: str, why: str) -> None:
    """A FIFO would be waited for, and a device read until memory ends."""
    os.mkfifo(tmp_path / "fifo.csv")
    with pytest.raises(UsageError) as caught:
        report(tmp_path / name)
    assert caught.value.why == why
    assert caught.value.hint == "give the path of a file of comma-separated values"


def test_a_table_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = table(tmp_path / "rows.csv", GOOD)
    monkeypatch.setattr(csv_table, "MAX_TABLE_BYTES", path.stat().st_size)
    assert len(list(read_table(path, REQUIRED_COLUMNS))) == 1
    monkeypatch.setattr(csv_table, "MAX_TABLE_BYTES", path.stat().st_size - 1)
    with pytest.raises(UsageError, match="it is larger than 0 MiB"):
        report(path)


def test_lines_end_only_where_the_file_says_so(tmp_path: Path) -> None:
    """Some separators that Unicode knows stand inside cells."""
    path = tmp_path / "rows.csv"
    lines = (HEADER, GOOD.replace("resnet18", "resnet18\u2028\x0b"), GOOD, "")
    path.write_bytes("\r\n".join(lines).encode())
    rows, _ = read_rows(path)
    assert [row.line for row in rows] == [2, 3]
    assert rows[0].model == "ncnn resnet18\u2028\x0b"


def test_more_threads_than_cores_are_all_cores(tmp_path: Path) -> None:
    everything = GOOD.replace(",1,fp32", ",4,fp32")
    many = [GOOD.replace(",1,fp32", f",{count},fp32") for count in ("99", "9" * 5000)]
    found = report(table(tmp_path / "rows.csv", everything, many[0], many[0], many[1]))
    assert len({point.projected_ns for point in found.points}) == 1
    assert found.scored_count == 4
    assert found.notes == {
        "with more threads than the device has cores, projected with all cores: "
        "'99 on rpi_4b' (2 rows from line 3: 4 cores), "
        "'999999999 on rpi_4b' (line 5: 4 cores)": 3
    }


def test_a_runtime_that_is_not_known_is_named(tmp_path: Path) -> None:
    found = report(table(tmp_path / "rows.csv", GOOD, GOOD.replace("CPU,ncnn", "CPU,zzz")))
    assert found.scored_count == 2
    ((note, count),) = found.notes.items()
    assert count == 1
    assert note.startswith("of a runtime other than bolt, mnn, ncnn, onnxruntime, ")
    assert note.endswith("projected as a typical one: 'zzz' (line 3)")
    assert any(
        remark.startswith("compared: 1 row of a runtime") for remark in accuracy_remarks(found)
    )


def test_reasons_name_the_most_frequent_and_count_the_rest() -> None:
    counts = RemarkCounts()
    for line, name in enumerate(["a", "b", "c", "b", "\x1b[2J", "d", "e", ""], start=2):
        counts.add(Remark("of a device", name), line)
    for line in (7, 9):
        counts.add(Remark("on a unit", "NPU", "why"), line)
    counts.add(Remark("without threads"), 10)
    counts.add(Remark("without threads"), 12)
    assert counts.total == 12
    assert counts.by_sentence() == {
        "of a device: 'b' (2 rows from line 3), 'a' (line 2), 'c' (line 4) and 4 others": 8,
        "on a unit: 'NPU' (from line 7: why)": 2,
        "without threads (from line 10)": 2,
    }


def test_names_in_reasons_are_harmless() -> None:
    counts = RemarkCounts()
    counts.add(Remark("of a device", "\x1b[2J" + "x" * 1000), 2)
    ((reason, _),) = counts.by_sentence().items()
    assert reason.startswith("of a device: '\\x1b[2J")
    assert len(reason) < 80


@pytest.mark.parametrize(
    ("count", "remark"),
    [
        (1, "1 of them is in the tables that the coefficients were fitted to, so its error "),
        (2, "2 of them are in the tables that the coefficients were fitted to, so their error "),
    ],
)
def test_rows_that_were_fitted_to_are_counted(tmp_path: Path, count: int, remark: str) -> None:
    found = report(table(tmp_path / "rows.csv", GOOD))
    remarks = accuracy_remarks(Accuracy(**{**_fields(found), "seen_count": count}))
    assert [text for text in remarks if text.startswith(remark)]


def _fields(record: Accuracy) -> dict[str, object]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


def test_the_command_refuses_a_table_without_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = table(tmp_path / "rows.csv")
    assert run(["devices", "validate", "--rows", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "it has columns but no rows" in captured.err


def test_few_rows_need_no_word_about_progress(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = table(tmp_path / "rows.csv", GOOD)
    assert run(["devices", "validate", "--rows", str(path)]) == 0
    assert capsys.readouterr().err == ""


def test_progress_is_told_by_row_and_by_count_of_anchors(tmp_path: Path) -> None:
    steps: list[tuple[int, int, str]] = []
    path = table(tmp_path / "rows.csv", GOOD, GOOD)
    rows_report(path, TABLES, shipped_coefficients(), lambda *step: steps.append(step))
    assert steps == [
        (0, 2, "projecting rows"),
        (1, 2, "projecting rows"),
        (0, 2, "trying rows as anchors"),
        (1, 2, "trying rows as anchors"),
    ]


@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.sampled_from(("1e-320", "1e-9", "1e14", "0", "9" * 400, "-0.0", "1e-8"))
            for name in ("gmacs", "params_m", "latency_ms", "clock_mhz", "threads")
        },
    ),
    st.sampled_from(("CPU", "GPU")),
    st.sampled_from(("fp32", "fp16", "int8")),
    st.sampled_from(("", "min 0.000000001", f"min {'9' * 400}", f"min 0.{'0' * 330}1")),
)
def test_extreme_figures_are_projected_or_left_out(
    tmp_path_factory: pytest.TempPathFactory,
    cells: dict[str, str],
    unit: str,
    precision: str,
    statistic: str,
) -> None:
    row = dict(zip(REQUIRED_COLUMNS, GOOD.split(","), strict=True))
    row |= {"device_id": "jetson_nano", "unit": unit, "precision": precision}
    row |= {"latency_stat": statistic, **cells}
    line = ",".join(row.values())
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    found = report(table(path, *[line] * 4, header=",".join(row)))
    assert found.scored_count + sum(found.left_out.values()) == found.row_count == 4
    assert all(math.isfinite(part.median_error_ratio) for part in found.lines)
