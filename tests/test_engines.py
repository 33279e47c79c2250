"""Engines beside ONNX Runtime: their names, their child, and one measured with the command."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from feasibility.budget.comparability import host_conditions
from feasibility.commands.app import run
from feasibility.errors import HostError, UsageError
from feasibility.json_documents import encode, read_document
from feasibility.measure import measurement_warnings
from feasibility.measure.instruments import openvino_profile
from feasibility.records.facts import ModelFormat
from feasibility.records.profile import Profile
from feasibility.records.workload import EngineName
from feasibility.runners.child import child_timing
from feasibility.runners.child_command import CHILD_FOLDER
from feasibility.runners.child_protocol import Done, MemoryReading, Ready
from feasibility.runners.engines import (
    ENGINES,
    engine_named,
    other_engines,
    require_format,
    require_installed,
    usual_engine,
    with_variants,
)
from tests import samples, tiny_models
from tests.cli import Result, cli, stages
from tests.test_child_process import measure

__all__ = ["cli", "stages"]

Cli = Callable[..., Result]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("openvin", "did you mean openvino?"),
        ("OPENVIN-DEFALT", "did you mean openvino-default?"),
        ("", "the default is onnxruntime"),
        ("tensorflow", "the default is onnxruntime"),
    ],
)
def test_an_unknown_engine_is_an_error_with_a_near_name(name: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        engine_named(name)
    assert caught.value.message.startswith(f"Unknown engine {name!r}: the engines are onnxruntime,")
    assert caught.value.hint == hint


def test_case_does_not_matter() -> None:
    assert engine_named("OpenVINO") == "openvino"


def test_an_engine_that_is_not_installed_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before the model is read; the name in brackets is an extra of the package."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(HostError) as caught:
        require_installed("openvino-default")
    assert caught.value.message == (
        "Cannot run models with OpenVINO: the Python package openvino is not installed"
    )
    assert caught.value.hint == "pip install 'feasibility[openvino]'"


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["onnxruntime", "openvino"], ["onnxruntime", "openvino", "openvino-default"]),
        (["openvino", "onnxruntime"], ["openvino", "openvino-default", "onnxruntime"]),
        (["onnxruntime", "openvino-default"], ["onnxruntime", "openvino-default"]),
        (["openvino-default", "openvino"], ["openvino-default", "openvino"]),
        (["onnxruntime", "onnxruntime"], ["onnxruntime"]),
        (["onnxruntime", "mnn"], ["onnxruntime", "mnn", "mnn-external"]),
    ],
)
def test_an_engine_is_followed_by_its_other_ways(
    names: list[EngineName], found: list[EngineName]
) -> None:
    """Each engine once; the first one stays the reference."""
    assert [*with_variants(names)] == found


def test_other_engines_are_those_that_are_installed_and_read_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each engine once, in its usual variant; without the usual engine of the format."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name != "openvino" or None)
    assert other_engines("onnx") == ("mnn",)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: True)
    assert other_engines("onnx") == ("openvino", "mnn")
    assert other_engines("ort") == other_engines("tflite") == ()


@pytest.mark.usefixtures("stages")
def test_check_names_the_command_for_other_engines(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With --details, if another engine is installed; not for saved figures."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: True)
    (model,) = json.loads(cli("check", "m.onnx", "--json", "-q").out)["models"]
    assert model["other_engines"] == ["openvino", "mnn"]
    report = " ".join(cli("check", "m.onnx", "--details", "-q").out.split())
    path = model["profile"]["model"]["path"]
    assert f"feasibility compare {path} --engines onnxruntime,openvino,mnn" in report
    assert "compare" not in cli("check", "m.onnx", "-q").out
    saved = tmp_path / "saved.json"
    saved.write_bytes(encode(samples.profile()))
    assert "--engines" not in cli("check", saved, "--details", "-q").out


@pytest.mark.usefixtures("stages")
def test_check_refuses_an_emulator_without_the_engine_first(cli: Cli, tmp_path: Path) -> None:
    """Before anything is measured."""
    model = tmp_path / "m.tflite"
    model.write_bytes(bytes(4) + b"TFL3" + bytes(100))
    found = cli("check", model, "--on", "emulate:aarch64", "-q")
    assert (found.code, found.out) == (2, "")
    assert "the emulator has ONNX Runtime only" in found.err


@pytest.mark.parametrize(("name", "title"), [("onnxruntime", "ONNX Runtime"), ("litert", "LiteRT")])
def test_budgets_record_the_engine_and_its_version(name: EngineName, title: str) -> None:
    """Figures of another version are not compared, and not read from the cache."""
    pytest.importorskip(ENGINES[name].package)
    runtime = host_conditions(name).runtime
    assert runtime.rpartition(" ")[0] == title
    assert runtime.rpartition(" ")[2][0].isdigit()


@pytest.mark.parametrize(
    ("name", "form", "why"),
    [
        ("openvino", "ort", "it is in ONNX Runtime format, and OpenVINO reads ONNX"),
        ("litert", "onnx", "it is in ONNX, and LiteRT reads TensorFlow Lite format"),
        ("onnxruntime", "tflite", "and ONNX Runtime reads ONNX and ONNX Runtime format"),
    ],
)
def test_an_engine_refuses_other_formats(name: EngineName, form: ModelFormat, why: str) -> None:
    """With the engine that reads the file."""
    with pytest.raises(UsageError) as caught:
        require_format(name, form)
    assert why in caught.value.message
    assert caught.value.hint == f"the engine for this format is {usual_engine(form)}"
    require_format(usual_engine(form), form)


def test_every_engine_has_a_module_of_the_child() -> None:
    """With the functions that the child program calls."""
    for engine in ENGINES.values():
        source = (CHILD_FOLDER / f"engine_{engine.child}.py").read_text("utf-8")
        for name in (
            "import_library",
            "library_versions",
            "create_session",
            "precision",
            "as_feeds",
            "bind_run",
            "end_profile",
        ):
            assert f"\ndef {name}(" in source, (engine.child, name)


def test_the_child_of_an_engine_imports_no_other(tmp_path: Path) -> None:
    """Only the standard library, numpy, and what a bare import of the engine brings."""
    script = (
        "import json, sys; sys.modules['openvino_telemetry'] = None; import numpy, openvino; "
        "print(json.dumps([name for name in sys.modules if '.' not in name]))"
    )
    bare = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    ready = measure(tiny_models.mlp(tmp_path / "m.onnx"), engine="openvino").sent(Ready)
    assert "openvino" in ready.modules
    own = {path.stem for path in CHILD_FOLDER.glob("*_*.py")} | {"__main__"}
    known = set(sys.stdlib_module_names) | set(json.loads(bare.stdout)) | own
    assert set(ready.modules) - known == set()
    assert set(ready.modules) & {"onnxruntime", "onnx", "feasibility", "msgspec"} == set()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A profile that the command saved, and the report that it printed."""
    folder = tmp_path_factory.mktemp("openvino")
    model = tiny_models.mlp(folder / "mlp.onnx", width=512, layers=3)
    path, report = folder / "profile.json", io.StringIO()
    with contextlib.redirect_stdout(report):
        code = run(
            ["measure", str(model), "--engine", "openvino", "--runs", "3", "-q", "-o", str(path)]
        )
    assert code == 0
    return path, report.getvalue()


def test_a_profile_names_its_engine(saved: tuple[Path, str]) -> None:
    """The document is valid, and says what ran the model, in which type."""
    profile = read_document(saved[0], Profile)
    workload = profile.workload
    assert (workload.engine, workload.precision) == ("openvino", "float32")
    version = profile.host.libraries["openvino"]
    assert workload.runtime == f"OpenVINO {version}"
    assert version.replace(".", "").isdigit()
    assert "onnxruntime" not in profile.host.libraries


def test_another_engine_has_the_figures_of_all_passes(saved: tuple[Path, str]) -> None:
    """Memory with both allocators, allocations, memory over time, latency and operators."""
    profile = read_document(saved[0], Profile)
    assert profile.memory is not None
    weights_bytes = 3 * 512 * 512 * 4
    assert profile.memory.allocator == "steady"
    assert (profile.memory.inference_peak_bytes or 0) > weights_bytes
    assert profile.memory.allocated_load_peak_bytes is not None
    assert profile.default_allocator is not None
    assert profile.default_allocator.repeat_count >= 5
    assert profile.timeline is not None
    assert profile.latency is not None
    assert len(profile.latency.samples_ns) == 3
    assert sum(each.total_ns for each in profile.operators) > 0
    assert all(each.run_count and each.call_count for each in profile.operators)
    assert [each.code for each in profile.warnings if each.code == "pass-failed"] == []


def test_what_only_onnx_runtime_has_is_left_out(saved: tuple[Path, str]) -> None:
    """The memory model, the parts of memory and the arena describe ONNX Runtime."""
    profile = read_document(saved[0], Profile)
    assert profile.model.modelled_memory == ()
    assert profile.model.changed_memory == ()
    assert profile.anatomy is None
    assert profile.memory is not None
    assert profile.memory.arena_held_bytes is None


def test_the_report_names_the_engine(saved: tuple[Path, str]) -> None:
    _, report = saved
    assert "OpenVINO 20" in report
    assert "ONNX Runtime" not in report
    assert "inference peak" in report


def test_check_refuses_figures_of_another_engine(cli: Cli, saved: tuple[Path, str]) -> None:
    """Devices are projected with formulas of ONNX Runtime."""
    found = cli("check", saved[0])
    assert (found.code, found.out) == (2, "")
    assert f"error: Cannot check {saved[0]}: OpenVINO 20" in found.err
    assert "can be projected only from figures of ONNX Runtime or LiteRT" in found.err
    assert "hint: check the model itself" in found.err


def test_compare_takes_saved_figures_of_another_engine(cli: Cli, saved: tuple[Path, str]) -> None:
    """A subject that another engine ran is named with the engine and the type."""
    found = cli("compare", saved[0], saved[0])
    assert found.code == 0
    assert "in float32" in found.out


def test_a_provider_of_onnx_runtime_is_refused(cli: Cli, tmp_path: Path) -> None:
    """Before the model is read: there is none."""
    found = cli("measure", tmp_path / "none.onnx", "--engine", "openvino", "--provider", "cuda")
    assert found.code == 2
    assert found.err == (
        "error: Cannot use --provider cuda with openvino: execution providers are parts of ONNX "
        "Runtime\nhint: leave out --provider, or measure with --engine onnxruntime\n"
    )


def done(samples_ns: tuple[int, ...], all_processor_ns: int) -> Done:
    return Done(
        first_run_ns=1,
        warmup_count=0,
        samples_ns=samples_ns,
        peak_bytes=1,
        memory=MemoryReading(1, 1, 0),
        all_processor_ns=all_processor_ns,
    )


@pytest.mark.parametrize(
    ("processor_ns", "threads", "has_warning"),
    [
        (1000, 1, False),
        (1400, 1, False),
        (1990, 1, True),
        (1990, 2, False),
        (3990, 2, True),
        (0, 1, False),
    ],
)
def test_an_engine_that_uses_more_threads_is_a_warning(
    processor_ns: int, threads: int, has_warning: bool
) -> None:
    """It keeps more processors busy than it was told to; half of one may be waiting."""
    found = measurement_warnings.more_threads(done((400, 600), processor_ns), threads, "MNN")
    assert [each.code for each in found] == ["more-threads"] * has_warning


def test_the_warning_of_threads_has_both_numbers() -> None:
    (found,) = measurement_warnings.more_threads(done((1000,), 1990), 1, "MNN")
    assert found.message == (
        "MNN kept 1.99 processors busy with --threads 1; its times are not those of 1 thread"
    )
    assert measurement_warnings.more_threads(done((), 0), 1, "MNN") == ()


def test_processor_time_between_runs_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child sorts samples between runs, which is no work of the engine."""
    used = [0]

    def use(duration_ns: int) -> None:
        used[0] += duration_ns

    def not_settled(*_: Any) -> bool:
        use(1_000_000)
        return False

    monkeypatch.setattr(child_timing.time, "process_time_ns", lambda: used[0])
    monkeypatch.setattr(child_timing, "is_settled", not_settled)
    schedule = {
        "run_count_min": 1,
        "run_count_max": 20,
        "precision_ratio": 0.02,
        "warmup_count": 0,
        "sampling_time_ns": 0,
        "enough_ns": 10**12,
        "time_limit_ns": 10**12,
    }
    found = child_timing.time_runs(lambda: use(7), schedule, lambda _: None)
    assert used[0] > 1_000_000
    assert found["all_processor_ns"] == 7 * 20


def node(name: str, time_ns: int, *, ran: bool = True) -> dict[str, Any]:
    return {"name": name, "type": "MatMul", "kernel": "jit", "time_ns": time_ns, "ran": ran}


def test_the_first_run_of_a_profile_does_not_count(tmp_path: Path) -> None:
    """OpenVINO packs weights in it; nodes that never ran are left out."""
    runs = [[node("a", 900), node("b", 900)]] + [[node("a", 10), node("b", 1, ran=False)]] * 3
    file = tmp_path / "profile.json"
    file.write_text(json.dumps(runs))
    (found,) = openvino_profile.read_trace(file).operators
    assert (found.node, found.op_type, found.provider) == ("a", "MatMul", "jit")
    assert (found.total_ns, found.call_count, found.run_count) == (30, 3, 3)


def test_one_run_of_a_profile_counts(tmp_path: Path) -> None:
    file = tmp_path / "profile.json"
    file.write_text(json.dumps([[node("a", 10), node("b", 20)]]))
    trace = openvino_profile.read_trace(file)
    assert [(each.node, each.total_ns, each.run_count) for each in trace.operators] == [
        ("a", 10, 1),
        ("b", 20, 1),
    ]
    assert trace.arena_held_bytes is None


@pytest.mark.parametrize("text", ["", "[[{}]]", '{"a": 1}', '[[{"name": 1}]]'])
def test_a_profile_of_another_form_is_an_error(tmp_path: Path, text: str) -> None:
    """Which the measurement reports as a pass that failed."""
    file = tmp_path / "profile.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"truncated|required|Expected"):
        openvino_profile.read_trace(file)


def test_a_profile_that_is_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_profile, "MAX_TRACE_BYTES", 1)
    file = tmp_path / "profile.json"
    file.write_text("[]")
    with pytest.raises(ValueError, match="too large"):
        openvino_profile.read_trace(file)
