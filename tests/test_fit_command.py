"""`feasibility fit` as a user types it: real files, real children, tiny models."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feasibility.fit import fit_model as fit_module
from feasibility.json_documents import read_document
from feasibility.records.fit import Fit
from feasibility.records.session_options import SessionOptions
from feasibility.units import MIB
from tests.cli import Result, cli
from tests.tiny_models import mlp

__all__ = ["cli"]
Cli = Callable[..., Result]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measurements of other tests do not count."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Four matrices of 4 MiB."""
    return mlp(tmp_path / "model.onnx", width=1024, layers=4)


def test_memory_that_must_stay_falls_when_weights_are_mapped(
    cli: Cli, model: Path, tmp_path: Path
) -> None:
    """The files are written, load elsewhere, and give the same outputs."""
    folder = tmp_path / "out"
    result = cli("fit", model, "--floor", "10MiB", "-o", folder, "--json")
    assert result.code == 0
    found = json.loads(result.out)
    assert found["schema"] == "feasibility/fit/1"
    chosen = found["chosen"]
    assert {"external-data", "prepacking-off"} <= set(chosen["changes"])
    before, after = found["baseline"]["measured"], chosen["measured"]
    assert found["baseline_allocator"] == "default"
    assert after["floor_bytes"] < 10 * MIB < before["floor_bytes"]
    assert chosen["drift"]["relative_ratio"] < 1e-5
    assert found["settings"]["prepacking"] is False
    assert set(found["files"]) == {each.name for each in folder.iterdir()}
    options = read_document(folder / "session_options.json", SessionOptions)
    assert options.config_entries == {"session.disable_prepacking": "1"}
    moved = folder.rename(tmp_path / "elsewhere")
    model.unlink()
    ran = subprocess.run(
        [sys.executable, str(moved / "load_model.py")], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "(1, 1024)" in ran.stdout


def test_a_model_that_fits_is_left_as_it_is(cli: Cli, model: Path) -> None:
    result = cli("fit", model, "--memory", "200MiB")
    assert result.code == 0
    assert "model.onnx  FITS as it is" in result.out


def test_a_budget_that_nothing_meets_names_the_nearest(cli: Cli, model: Path) -> None:
    """Quantized weights come nearest; the exit code says that the requirement is not met."""
    result = cli("fit", model, "--size", "1MiB", "--max-time", "60")
    assert result.code == 1
    assert "DOES NOT FIT with any change that was tried" in result.out
    assert "nearest   int4 weights" in result.out
    assert "at most 1 MiB, missed by" in result.out


def test_a_large_drift_names_the_node_where_it_begins(cli: Cli, model: Path) -> None:
    found = json.loads(cli("fit", model, "--size", "3MiB", "--json").out)
    drift = found["chosen"]["drift"]
    assert found["chosen"]["changes"][0] == "int4-weights"
    assert drift["relative_ratio"] > 0.05
    assert drift["first_node"].startswith("mm")
    assert drift["first_node_ratio"] > 0.05


def test_a_search_goes_on_from_what_was_measured_before(
    cli: Cli, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C after the first precision; the next search does not make or run that one again."""
    made: list[str] = []
    rewrite_model, on_report = fit_module.rewrite_model, []

    def rewrite(source: Path, target: Path, change: str, **options: Any) -> None:
        made.append(change)
        if change == "int8-dynamic" and not on_report:
            raise KeyboardInterrupt
        rewrite_model(source, target, change, **options)

    monkeypatch.setattr(fit_module, "rewrite_model", rewrite)
    arguments = ("fit", model, "--size", "1MiB", "--json")
    first = cli(*arguments)
    assert first.code == 130
    stopped = json.loads(first.out)
    measured = [each for each in stopped["candidates"] if each.get("measured")]
    assert measured
    on_report.append("goes on")
    runs: list[tuple[str, ...]] = []
    own_runs = fit_module.CandidateWorkshop.runs

    def counted(self: Any, changes: tuple[str, ...]) -> Any:
        runs.append(changes)
        return own_runs(self, changes)

    monkeypatch.setattr(fit_module.CandidateWorkshop, "runs", counted)
    again = json.loads(cli(*arguments).out)
    assert again["is_complete"]
    known = {tuple(each["changes"]): each["measured"] for each in measured}
    assert not set(known) & set(runs)
    later = {tuple(each["changes"]): each.get("measured") for each in again["candidates"]}
    for changes, figures in known.items():
        assert later[changes]["floor_bytes"] == figures["floor_bytes"]


def test_samples_of_the_wrong_shape_are_named(cli: Cli, model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "samples.npz", x=np.zeros((1, 7), np.float32))
    result = cli("fit", model, "--size", "8MiB", "--samples", tmp_path / "samples.npz")
    assert result.code == 2
    assert "'x'" in result.err
    assert "1024" in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no target is given"),
        (("--memory", "4MiB"), "ONNX Runtime itself needs about 9 MiB"),
        (("--floor", "100KB"), "ONNX Runtime itself needs about 9 MiB"),
        (("--device", "rtx_3070"), "its models run on a GPU"),
        (("--latency", "fast"), "fast"),
        (("--latency", ""), "Cannot read the duration ''"),
        (("--latency", "0ms"), "every run takes time"),
        (("--latency", "0.0x"), "every run takes time"),
        (("--size", "1MiB", "--max-time", "inf"), "less than or equal to"),
        (("--size", "1MiB", "--timeout", "inf"), "less than or equal to"),
        (("--size", "5 parrots"), "5 parrots"),
    ],
)
def test_targets_that_make_no_sense(
    cli: Cli, model: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = cli("fit", model, *arguments)
    assert (result.code, result.out) == (2, "")
    assert message in " ".join(result.err.split())


def test_an_output_that_is_a_file_is_refused_before_anything_is_measured(
    cli: Cli, tmp_path: Path
) -> None:
    target = tmp_path / "out"
    target.write_text("mine")
    result = cli("fit", tmp_path / "missing.onnx", "--size", "1MiB", "-o", target)
    assert result.code == 2
    assert "missing.onnx" not in result.err
    assert target.read_text() == "mine"


def test_a_model_that_does_not_run_is_an_error(cli: Cli, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"\x08\x07nonsense")
    result = cli("fit", broken, "--size", "1MiB")
    assert (result.code, result.out) == (2, "")
    assert "Cannot read model" in result.err


def test_an_interrupt_shows_what_was_found_and_ends_with_130(
    cli: Cli, model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folders: list[Path] = []

    def interrupted(*_: object) -> None:
        folders.extend(tmp_path.glob("feasibility-*"))
        raise KeyboardInterrupt

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(fit_module.CandidateWorkshop, "measured", interrupted)
    result = cli("fit", model, "--floor", "10MiB")
    assert result.code == 130
    assert "UNDECIDED: the search ended early" in result.out
    assert folders
    assert not any(folder.exists() for folder in folders)


def test_an_interrupt_of_the_proof_shows_what_was_found(
    cli: Cli, model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fit_module, "_proved", interrupted)
    result = cli("fit", model, "--floor", "10MiB", "--json", "-o", tmp_path / "out")
    assert result.code == 130
    found = json.loads(result.out)
    assert "external-data" in found["chosen"]["changes"]
    assert not found["is_complete"]
    assert not (tmp_path / "out").exists()


def test_the_chosen_model_is_made_again_with_its_nodes_in_float(
    cli: Cli, model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A later candidate with other nodes in float removes files of the earlier one."""
    kept: list[tuple[str, ...]] = []
    rewrite_model = fit_module.rewrite_model

    def rewrite(*arguments: Any, **options: Any) -> None:
        kept.append(options["keep_float"])
        rewrite_model(*arguments, **options)

    def run(search: Any, _: object) -> None:
        files = search.workshop.files
        files.leave_in_float(("MatMul_0",))
        search.chosen = search.workshop.measured(("int8-weights", "steady-allocator"), None)
        search.tried.append(search.chosen)
        files.leave_in_float(())

    monkeypatch.setattr(fit_module, "rewrite_model", rewrite)
    monkeypatch.setattr(fit_module.Search, "run", run)
    result = cli("fit", model, "--size", "12MB", "-o", tmp_path / "out", "--json")
    assert result.code == 0, result.err
    assert kept == [("MatMul_0",)] * 2


@pytest.mark.parametrize(
    ("device", "features"), [("xeon_e5_2630v4", ("avx2", "fma")), (None, None)]
)
def test_weights_are_made_for_the_processor_of_the_device(
    cli: Cli,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    device: str | None,
    features: tuple[str, ...] | None,
) -> None:
    given: list[object] = []

    def run(search: Any, _: object) -> None:
        search.workshop.files.rewrite(model, model, "int8-dynamic", ())

    monkeypatch.setattr(
        fit_module, "rewrite_model", lambda *_, **options: given.append(options["features"])
    )
    monkeypatch.setattr(fit_module.Search, "run", run)
    cli("fit", model, "--size", "1MB", *(["--device", device] if device else []))
    assert given == [features]


def test_the_document_has_every_figure_by_its_name(cli: Cli, model: Path, tmp_path: Path) -> None:
    saved = tmp_path / "fit.json"
    saved.write_text(cli("fit", model, "--memory", "200MiB", "--json").out)
    found = read_document(saved, Fit)
    assert found.requirements.memory_bytes == 200 * MIB
    assert found.baseline.measured is not None
    assert found.baseline.measured.latency_ratio == 1.0
    assert found.chosen == found.baseline
