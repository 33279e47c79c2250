"""`feasibility fit` as a user types it: real files, real children, tiny models."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feasibility.catalogue.load_catalogue import chosen_devices
from feasibility.fit import fit_model as fit_module
from feasibility.json_documents import read_document
from feasibility.records.facts import ModelFacts
from feasibility.records.fit import Fit, FitCandidate, FitFigures, FitTargets
from feasibility.records.profile import ProfiledModel
from feasibility.records.session_options import SessionOptions
from feasibility.records.workload import RuntimeSettings
from feasibility.units import MIB
from tests.cli import Result, cli
from tests.tiny_models import mlp, multiple_of_160, never_runs

__all__ = ["cli"]
Cli = Callable[..., Result]
MODEL_FILES = ("model.onnx", "model.onnx.data")
IS_ARM = platform.machine() == "aarch64"
# Devices with the instruction set of this machine and with the other one.
DEVICE_HERE, DEVICE_ELSEWHERE = ("rpi_5", "n100_minipc") if IS_ARM else ("n100_minipc", "rpi_5")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measurements of other tests and an installed emulator do not count."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture(autouse=True)
def one_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times in turns come from two processes; tests of the workshop have more pairs."""
    monkeypatch.setattr("feasibility.fit.candidate_runs._PAIR_COUNT", 1)


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
    assert found["baseline"]["missed"] == {
        "floor": pytest.approx(before["floor_bytes"] / (10 * MIB))
    }
    assert (chosen["status"], chosen["missed"]) == ("meets", {})
    assert after["load_peak_bytes"] < before["load_peak_bytes"]
    assert after["file_bytes"] == sum((folder / name).stat().st_size for name in MODEL_FILES)
    assert after["median_ns"] == pytest.approx(before["median_ns"] * after["latency_ratio"], abs=1)
    assert chosen["modelled"]["floor_bytes"] < 10 * MIB
    assert chosen["drift"]["relative_ratio"] < 1e-5
    assert found["proof_outcome"] in ("survived", "thrashed")
    assert found["loads_on"] == [found["host"]["arch"]]
    assert (found["is_complete"], found["folder"]) == (True, str(folder))
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
    lines = result.out.splitlines()
    assert lines[0] == "model.onnx  DOES NOT FIT with any change that was tried"
    assert "nearest   int4 weights: misses files" in lines
    (files,) = (line for line in lines if line.startswith("files"))
    assert re.fullmatch(
        r"files +16 MiB +2\.\d+ MiB +0\.\d+x  at most 1 MiB, missed by 1\d\d %", files
    )


@pytest.mark.slow
def test_a_large_drift_names_the_node_where_it_begins(cli: Cli, model: Path) -> None:
    found = json.loads(cli("fit", model, "--size", "3MiB", "--json").out)
    drift = found["chosen"]["drift"]
    assert found["chosen"]["changes"][0] == "int4-weights"
    assert drift["relative_ratio"] > 0.05
    assert drift["first_node"].startswith("mm")
    assert drift["first_node_ratio"] > 0.05
    assert "seeded-samples" in [each["code"] for each in found["warnings"]]


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
    result = cli("fit", model, "--size", "8MiB", "--samples", tmp_path / "samples.npz", "-q")
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        f"error: Cannot use the samples '{tmp_path}/samples.npz': the array of the input 'x' has "
        "the shape [1, 7], expected [1, 1024], or [N, 1, 1024] for N samples\n"
        "hint: pad or crop the array, or set the sizes of open dims with --dim NAME=SIZE\n"
    )


@pytest.mark.usefixtures("nothing_is_measured")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Cannot search for a change: no target is given"),
        (
            ("--memory", "4MiB"),
            "Cannot reach --memory 4MiB: ONNX Runtime itself needs about 9 MiB to load any model",
        ),
        (
            ("--floor", "100KB"),
            "Cannot reach --floor 100KB: ONNX Runtime itself needs about 9 MiB to load any model",
        ),
        (
            ("--device", "rtx_3070"),
            "Cannot fit a model to RTX 3070 server: its models run on a GPU, and the changes are "
            "for CPUs",
        ),
        (
            ("--latency", "fast"),
            "Cannot read the duration 'fast': a duration is a number and one of the units ns, us, "
            "µs, μs, ms, s, min",
        ),
        (
            ("--latency", ""),
            "Cannot read the duration '': a duration is a number and one of the units ns, us, µs, "
            "μs, ms, s, min",
        ),
        (("--latency", "0ms"), "Cannot reach --latency 0ms: every run takes time"),
        (("--latency", "0.0x"), "Cannot reach --latency 0.0x: every run takes time"),
        (
            ("--size", "1MiB", "--max-time", "inf"),
            "Cannot run `feasibility fit`: Invalid value for '--max-time': Input should be less "
            "than or equal to 604800",
        ),
        (
            ("--size", "1MiB", "--timeout", "inf"),
            "Cannot run `feasibility fit`: Invalid value for '--timeout': Input should be less "
            "than or equal to 604800",
        ),
        (
            ("--size", "5 parrots"),
            "Cannot read the size '5 parrots': a size is a number and one of the units b, kb, mb, "
            "gb, tb, kib, mib, gib, tib",
        ),
    ],
)
def test_targets_that_make_no_sense(
    cli: Cli, model: Path, arguments: tuple[str, ...], message: str
) -> None:
    """They are refused before anything is measured."""
    result = cli("fit", model, *arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.splitlines()[0] == f"error: {message}"


@pytest.mark.usefixtures("nothing_is_measured")
def test_an_output_that_is_a_file_is_refused_before_anything_is_measured(
    cli: Cli, tmp_path: Path
) -> None:
    target = tmp_path / "out"
    target.write_text("mine")
    result = cli("fit", tmp_path / "missing.onnx", "--size", "1MiB", "-o", target)
    assert result.code == 2
    assert "missing.onnx" not in result.err
    assert target.read_text() == "mine"


@pytest.mark.usefixtures("nothing_is_measured")
def test_a_file_that_is_no_model_is_an_error(cli: Cli, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"\x08\x07nonsense")
    result = cli("fit", broken, "--size", "1MiB", "-q")
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        f"error: Cannot read model '{broken}': it is not an ONNX model or is damaged: at byte 2, "
        "field 13 has wire type 6\n"
        "hint: check that it is ONNX, or download or export it again\n"
    )


def test_a_model_that_loads_but_does_not_run_is_an_error(cli: Cli, tmp_path: Path) -> None:
    """With the sizes that were tried; nothing is written."""
    never = never_runs(tmp_path / "never.onnx")
    result = cli("fit", never, "--size", "1MiB", "-q", "-o", tmp_path / "out")
    assert (result.code, result.out) == (2, "")
    error, hint = result.err.splitlines()
    assert error.startswith(
        "error: 'never.onnx' loads but does not run with any size that was tried: with the first "
        "one, node 'fold' (Reshape) failed: "
    )
    assert error.endswith("(tried strange_size: 1, 2, 3, 4, 8, 16, 64, 128)")
    assert hint == "hint: give the sizes it needs: --dim strange_size=N"
    assert not (tmp_path / "out").exists()


def test_sizes_with_which_the_model_runs_are_those_of_the_search(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first sizes do not fit this model."""
    modelled: list[dict[str, int]] = []
    own = fit_module.profiled_model

    def profiled(facts: ModelFacts) -> ProfiledModel:
        modelled.append(facts.dims)
        return own(facts)

    monkeypatch.setattr(fit_module, "profiled_model", profiled)
    picky = multiple_of_160(tmp_path / "picky.onnx")
    found = json.loads(cli("fit", picky, "--size", "1MiB", "--json").out)
    width = found["workload"]["dims"]["width"]
    assert width % 160 == 0
    assert found["workload"]["inputs"][0]["shape"] == [1, width]
    assert [each["value"] for each in found["workload"]["assumptions"]] == [str(width)]
    assert modelled == [{"width": width}]


def test_a_change_is_found_for_a_device_of_another_instruction_set(
    cli: Cli, tmp_path: Path
) -> None:
    """Without its emulator, figures are projected, and nothing is proved."""
    small = mlp(tmp_path / "small.onnx", width=512)
    result = cli("fit", small, "--device", DEVICE_ELSEWHERE, "--memory", "15MiB", "--json")
    assert result.code == 0
    found = json.loads(result.out)
    device = chosen_devices([DEVICE_ELSEWHERE])[0]
    assert found["requirements"] == {
        "memory_bytes": 15 * MIB,
        "device": DEVICE_ELSEWHERE,
        "device_limit_bytes": device.usable_bytes(None),
    }
    before, after = found["baseline"], found["chosen"]
    assert [*before["missed"]] == ["memory"]
    assert after["changes"] == ["steady-allocator"]
    limit = 15 * MIB + device.limits.runtime_bytes.value
    assert after["device_memory_bytes"] <= limit < before["device_memory_bytes"]
    assert after["device_latency_ns"] == pytest.approx(
        before["device_latency_ns"] * after["measured"]["latency_ratio"], abs=1
    )
    assert found["settings"]["environment"] == {"MALLOC_TRIM_THRESHOLD_": "131072"}
    assert found["loads_on"] == [found["host"]["arch"]]
    assert found["proof_outcome"] is None


def test_a_change_is_found_for_a_device_of_this_instruction_set(cli: Cli, tmp_path: Path) -> None:
    """Its memory is what was measured here, and the kernel enforces the target here.

    Matrices of 16 MiB: how many pages of libraries count varies by some MiB.
    """
    model = mlp(tmp_path / "model.onnx", width=2048, layers=2)
    result = cli("fit", model, "--device", DEVICE_HERE, "--memory", "48MiB", "--json")
    assert result.code == 0
    found = json.loads(result.out)
    device, chosen = chosen_devices([DEVICE_HERE])[0], found["chosen"]
    assert "external-data" in chosen["changes"]
    figures = chosen["measured"]
    peak = max(figures["load_peak_bytes"], figures["inference_peak_bytes"])
    assert peak <= 48 * MIB
    assert chosen["device_memory_bytes"] == peak + device.limits.runtime_bytes.value
    assert found["baseline"]["missed"]["memory"] > 1
    assert found["loads_on"] == [found["host"]["arch"]]
    assert found["proof_outcome"] in ("survived", "thrashed")


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
    """A later candidate with other nodes in float removes files; real samples give no warning."""
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
    inputs = tmp_path / "samples.npz"
    np.savez(inputs, x=np.ones((2, 1, 1024), np.float32))
    result = cli(
        "fit", model, "--size", "12MB", "-o", tmp_path / "out", "--json", "--samples", inputs
    )
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert found["chosen"]["drift"]["sample_count"] == 2
    assert "seeded-samples" not in [each["code"] for each in found["warnings"]]
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
    found, raw = read_document(saved, Fit), json.loads(saved.read_text())
    assert found.requirements == FitTargets(memory_bytes=200 * MIB)
    assert raw["baseline"].keys() == set(FitCandidate.__struct_fields__)
    figures = found.baseline.measured
    assert figures is not None
    assert raw["baseline"]["measured"].keys() == set(FitFigures.__struct_fields__)
    weights, size = 16 * MIB, model.stat().st_size
    assert figures.file_bytes == size
    assert figures.floor_bytes is not None
    assert weights < figures.floor_bytes < figures.load_peak_bytes < 200 * MIB
    assert weights < figures.inference_peak_bytes < 200 * MIB
    assert figures.load_ns is not None
    assert figures.median_ns is not None
    assert figures.load_ns > figures.median_ns > 0
    assert figures.latency_ratio == 1.0
    baseline = found.baseline
    assert (baseline.changes, baseline.status, baseline.missed) == ((), "meets", {})
    assert (baseline.modelled, baseline.drift, baseline.is_beaten) == (None, None, False)
    assert (baseline.device_memory_bytes, baseline.device_latency_ns) == (None, None)
    assert found.chosen == baseline
    assert (found.nearest, found.candidates, found.offers) == (None, (), ())
    assert found.settings == RuntimeSettings()
    assert found.proof_outcome == "survived"
    assert found.loads_on == (found.host.arch,)
    assert (found.files, found.folder, found.is_complete) == ((), "", True)
    assert (found.model.path, found.model.file_bytes) == (str(model), size)
    assert [(each.name, each.shape) for each in found.workload.inputs] == [("x", (1, 1024))]
    assert (found.workload.threads, found.workload.provider) == (1, "CPUExecutionProvider")
