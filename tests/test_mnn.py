"""Models that are converted for MNN: measured with the command, and refused if they are wrong."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from feasibility.compare import runs_in_turns
from feasibility.measure.passes import Passes
from feasibility.records.workload import InputSpec
from feasibility.runners.child_process import ChildResult
from tests import tiny_models
from tests.cli import Result, cli

__all__ = ["cli"]

Cli = Callable[..., Result]
QUICK = ("--runs", "3", "--warmup", "1", "-q")
pytest.importorskip("MNN")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_models.mlp(tmp_path / "model.onnx", width=64, layers=2)


@pytest.mark.parametrize(("engine", "has_data"), [("mnn", False), ("mnn-external", True)])
def test_a_profile_has_the_conversion(
    cli: Cli, model: Path, engine: str, *, has_data: bool
) -> None:
    """Its time and peak, the size of its files, and outputs like those of ONNX Runtime."""
    found = json.loads(cli("measure", model, "--engine", engine, "--json", *QUICK).out)
    workload, conversion = found["workload"], found["conversion"]
    assert (workload["engine"], workload["precision"]) == (engine, "float32")
    assert workload["runtime"].startswith("MNN ")
    assert conversion["duration_ns"] > 0
    assert conversion["peak_bytes"] > 10 * 1024**2
    assert conversion["drift"]["sample_count"] == 5
    assert conversion["drift"]["relative_ratio"] < 1e-4
    assert (found["model"]["name"], found["model"]["path"]) == ("model.onnx", str(model))
    assert bool(found["model"]["external_bytes"]) is has_data
    assert (
        conversion["file_bytes"]
        == found["model"]["file_bytes"] + found["model"]["external_bytes"]
        > 2 * 64 * 64 * 4
    )
    assert (found["operators"], found["anatomy"], found["model"]["modelled_memory"]) == (
        [],
        None,
        [],
    )


def test_a_conversion_with_other_outputs_has_no_figures(
    cli: Cli, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The converter is given another model and reports success, as with a lost mask."""
    other = onnx.load_model(model)
    weight = other.graph.initializer[1]
    array = onnx.numpy_helper.to_array(weight)
    weight.CopyFrom(onnx.numpy_helper.from_array(-array, weight.name))
    convert = Passes.convert

    def wrong(self: Passes, target: Path) -> ChildResult:
        if target.suffix == ".mnn":
            onnx.save_model(other, self.model_path)
        return convert(self, target)

    monkeypatch.setattr(Passes, "convert", wrong)
    result = cli("measure", model, "--engine", "mnn", *QUICK)
    assert (result.code, result.out) == (2, "")
    assert "Cannot use its figures: the output 'r1' differs too much" in result.err


def ended(ending: Any, signal_number: int | None = None) -> ChildResult:
    return ChildResult(ending, (), signal_number, None, "", 1, 60.0)


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (ended("signal", signal.SIGSEGV), "MNN crashed (SIGSEGV) on this model"),
        (ended("timeout"), "it did not finish within 60 s"),
    ],
)
def test_a_converter_that_crashes_or_runs_for_ever_is_one_clear_error(
    cli: Cli,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    result: ChildResult,
    why: str,
) -> None:
    convert = Passes.convert

    def broken(self: Passes, target: Path) -> ChildResult:
        return result if target.suffix == ".mnn" else convert(self, target)

    monkeypatch.setattr(Passes, "convert", broken)
    found = cli("measure", model, "--engine", "mnn", *QUICK)
    assert (found.code, found.out) == (2, "")
    assert f"Cannot convert 'model.onnx': {why}" in found.err


def test_errors_have_the_name_of_the_model(cli: Cli, tmp_path: Path) -> None:
    """Not the name of the converted file, which is in a temporary folder."""
    spec = InputSpec(name="x", dtype="float64", shape=(1, 4))
    model = tiny_models.identity(tmp_path / "model.onnx", spec)
    found = cli("measure", model, "--engine", "mnn", *QUICK)
    assert (found.code, found.out) == (2, "")
    assert "of 'model.onnx': MNN takes no input of the type float64" in found.err


def test_another_machine_is_refused(cli: Cli, model: Path) -> None:
    found = cli("measure", model, "--engine", "mnn", "--on", "ssh:nowhere", *QUICK)
    assert (found.code, found.out) == (2, "")
    assert "feasibility converts models for this engine on this machine only" in found.err


def test_the_reference_may_be_converted(
    cli: Cli, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other engines are then compared with it; one round instead of eight."""
    monkeypatch.setattr(runs_in_turns, "is_settled", lambda first, _: len(first) >= 1)
    found = cli("compare", model, "--engines", "mnn-external,onnxruntime", "--json", *QUICK)
    comparison = json.loads(found.out)
    engines = [each["workload"]["engine"] for each in comparison["subjects"]]
    assert engines == ["mnn-external", "onnxruntime"]
    (outputs,) = comparison["outputs"]
    assert outputs["subject"] == "B"
    assert outputs["drift"]["relative_ratio"] < 1e-4


def test_the_converter_leaves_nothing_in_the_folder_of_the_user(
    cli: Cli, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes weights to the current folder, even if it is killed. Unusual names work too."""
    here = tmp_path / "here"
    here.mkdir()
    odd = model.rename(tmp_path / "model[1].onnx")
    monkeypatch.chdir(here)
    found = json.loads(cli("measure", odd, "--engine", "mnn-external", "--json", *QUICK).out)
    assert list(here.iterdir()) == []
    assert found["model"]["external_bytes"] > 2 * 64 * 64 * 4
