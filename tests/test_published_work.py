"""The work of networks that a table only names, and the threads that it does not state."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from feasibility.paths import profiles_dir
from feasibility.predict.latency.coefficients import shipped_coefficients
from feasibility.predict.latency.likely_seconds import fitted_int8_ratio, integer_unit
from feasibility.predict.validation.cases import Case, case_of, published_tables
from feasibility.predict.validation.published_rows import PublishedRow, read_rows

TABLES = published_tables()


def row(path: Path, **cells: str) -> PublishedRow:
    line = {
        "model": "BERT-base-cased", "gmacs": "11.174", "device_id": "x_i7_8700", "unit": "CPU",
        "runtime": "ONNX Runtime 1.4.0", "threads": "1", "precision": "fp32", "latency_ms": "90",
    }  # fmt: skip
    line |= cells
    with (path / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(line))
        writer.writeheader()
        writer.writerow(line)
    ((found,), _) = read_rows(path / "rows.csv")
    return found


def case(path: Path, **cells: str) -> Case:
    found = case_of(row(path, **cells), TABLES)
    assert isinstance(found, Case), found
    return found


def test_the_operations_of_a_transformer_determine_its_tokens(tmp_path: Path) -> None:
    """12 layers of 768 with 128 tokens have 11.174 G multiply-adds, all in matrix products."""
    work = case(tmp_path).work
    assert work.operations["matmul"] == pytest.approx(2 * 11.174e9, rel=1e-3)
    assert work.operations["dense"] < 1e-3 * work.total
    assert work.weight_count == pytest.approx(12 * 12 * 768**2)


def test_the_rest_of_a_transformer_is_its_convolutions(tmp_path: Path) -> None:
    """Whisper tiny has two convolutions before its layers, 5 % of 18.5 G multiply-adds."""
    work = case(tmp_path, model="Whisper tiny encoder", gmacs="18.5").work
    assert work.operations["dense"] / work.total == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize(
    ("name", "gmacs"), [("AIHub Swin-Tiny", 4.491), ("AIHub Swin-Base", 15.431)]
)
def test_stages_of_windows_add_up(tmp_path: Path, name: str, gmacs: float) -> None:
    """The products of all stages are nearly all operations that torchvision states."""
    work = case(tmp_path, model=name, gmacs=str(gmacs)).work
    assert work.operations["matmul"] / (2e9 * gmacs) == pytest.approx(0.96, abs=0.04)


def test_a_wider_variant_has_fewer_activations_per_operation(tmp_path: Path) -> None:
    """YOLOv8s has twice the channels of YOLOv8n: about four times the operations and weights."""
    small = case(tmp_path, model="Ultralytics YOLOv8n", gmacs="4.35", params_m="3.2").work
    wide = case(tmp_path, model="Ultralytics YOLOv8s", gmacs="14.3", params_m="11.2").work
    assert wide.activation_count / small.activation_count == pytest.approx(14.3 / 4.35 / 3.5**0.5)
    assert wide.weight_count / small.weight_count == pytest.approx(3.5, rel=0.01)


def test_a_variant_of_unknown_size_has_no_work(tmp_path: Path) -> None:
    """A name alone does not say how large a variant is."""
    found = case_of(row(tmp_path, model="Whisper tiny.en (encoder and decoder)", gmacs=""), TABLES)
    assert "work is not known" in str(found)


@pytest.mark.parametrize(
    ("cells", "threads"),
    [
        ({"threads": "4"}, 4),
        ({"threads": "12 (OpenMP)"}, 6),
        ({"threads": "default (not stated)"}, 6),
        ({"threads": ""}, 6),
        ({"runtime": "PyTorch 2.0", "threads": "all (default)"}, 6),
        ({"runtime": "TF Lite via ultralytics", "threads": "all (default)"}, 1),
        (
            {"runtime": "OpenVINO 2024.1", "threads": "default (latency mode, not stated)",
             "device_id": "x_i5_13600k"},
            6,
        ),
        (
            {"threads": "all (not stated)", "device_id": "x_aws_p4d_cpu",
             "source": "ultralytics/ultralytics docs/en/models/yolo11.md"},
            8,
        ),
    ],
)  # fmt: skip
def test_threads_by_the_default_of_the_runtime(
    tmp_path: Path, cells: dict[str, str], threads: int
) -> None:
    """A number is never more than the device has cores; a default depends on the runtime."""
    assert case(tmp_path, **cells).threads == threads


@pytest.mark.parametrize(
    ("precision", "runtime", "is_half"),
    [
        ("fp16", "Paddle-Lite", True),
        ("fp16 weights", "whisper.cpp NEON", False),
        ("fp32", "NCNN via ultralytics", True),
        ("fp32", "ncnn", False),
    ],
)
def test_half_arithmetic(tmp_path: Path, precision: str, runtime: str, is_half: bool) -> None:
    assert case(tmp_path, precision=precision, runtime=runtime).is_half == is_half


def test_every_added_device_has_a_processor() -> None:
    """Rows may name them although no row in the table does."""
    with (profiles_dir() / "validation_devices.csv").open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            assert TABLES.devices[line["id"]].cpu is not None


def test_int8_by_processor_and_runtime(tmp_path: Path) -> None:
    """ONNX Runtime gains from int8 without VNNI too, and most from dot products."""
    k = shipped_coefficients().int8

    def ratio(device: str) -> float:
        one = case(tmp_path, device_id=device)
        return fitted_int8_ratio(one.work, one.device, "onnxruntime", k)

    assert integer_unit(TABLES.devices["ryzen_3800x"]) == "avx"
    assert ratio("ryzen_3800x") < 1.05
    assert ratio("rpi_5") < ratio("rpi_4b")
    assert ratio("x_xeon_8580") < ratio("ryzen_3800x")
