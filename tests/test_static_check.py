"""`check --static`: verdicts for models that are read and not run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from feasibility.catalogue.load_catalogue import find_device, load_catalogue
from feasibility.commands import assess_models as module
from feasibility.commands.assess_models import Question, assess_models
from feasibility.commands.profiles_of_path import ProfileSource
from feasibility.commands.progress import Watch
from feasibility.decide.constraints import judge_operators
from feasibility.decide.requirements import Requirements
from feasibility.errors import ModelError
from feasibility.facts.read_model import read_model
from feasibility.json_documents import encode
from feasibility.measure import saved_emulations
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.static_profile import static_profile
from feasibility.paths import devices_dir
from feasibility.records.assessment import Assessment
from feasibility.records.profile import Profile
from tests import tiny_models
from tests.cli import Result, cli

Cli = Callable[..., Result]
__all__ = ["cli"]


@pytest.fixture
def mlp(tmp_path: Path) -> Path:
    return tiny_models.mlp(tmp_path / "mlp.onnx", width=256, batch="batch")


def test_a_static_profile_has_facts_and_no_measurement(mlp: Path) -> None:
    profile = static_profile(read_model(mlp, dims={"batch": 4}, with_plans=True))
    assert profile.method == "projected"
    assert (profile.memory, profile.latency, profile.operators) == (None, None, ())
    assert (profile.host.cpu, profile.host.arch, profile.host.memory_bytes) == ("", "", None)
    assert [each.isa for each in profile.model.modelled_memory] == ["x86_64", "aarch64"]
    assert profile.model.flops_by_class["matmul"] > 0
    assert profile.workload.inputs[0].shape == (4, 256)
    assert (profile.workload.runtime, profile.workload.run_count) == ("", 0)


def test_the_report_says_that_nothing_was_run(cli: Cli, mlp: Path) -> None:
    result = cli("check", "--static", mlp, "-q")
    assert (result.code, result.err) == (0, "")
    assert "memory and time: projected" in result.out
    assert "projected from the graph alone; nothing was run" in result.out
    assert "measured" not in result.out


def test_a_loop_of_unknown_length_has_no_time(cli: Cli, tmp_path: Path) -> None:
    """One iteration says nothing about the time of all of them."""
    model = tiny_models.endless_loop(tmp_path / "loop.onnx")
    found = msgspec.json.decode(cli("check", "--static", model, "-q", "--json").out)["models"][0]
    assert {each["verdict"] for each in found["devices"]} == {"undecided"}
    assert {each["latency"]["high_ns"] for each in found["devices"]} == {None}
    assert all(each["memory"]["high_bytes"] for each in found["devices"])


def test_an_undecided_verdict_says_how_to_measure(
    cli: Cli, mlp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And operators are not known if the file does not list them."""
    result = cli("check", "--static", mlp, "-q", "--device", "rpi_5", "--memory", "33.5MiB")
    assert "UNDECIDED" in result.out
    assert "first  measure the model here: run the check without --static" in result.out
    profile = static_profile(read_model(mlp, with_plans=True))
    unknown = msgspec.structs.replace(
        profile, model=msgspec.structs.replace(profile.model, node_count=None)
    )
    device = find_device("rpi_5", load_catalogue(devices_dir()))
    assert judge_operators(unknown, device, Requirements()).code == "not-known"
    assert judge_operators(profile, device, Requirements()).code == "operators-available"


def test_every_figure_is_projected_and_has_an_interval(cli: Cli, mlp: Path) -> None:
    result = cli("check", "--static", mlp, "--json", "-q", "--dim", "batch=64", "--threads", 2)
    (model,) = msgspec.json.decode(result.out, type=Assessment).models
    assert (model.profile.workload.threads, model.profile.workload.dims) == (2, {"batch": 64})
    assert len(model.devices) == 5
    for found in model.devices:
        assert (found.memory.method, found.latency.method) == ("projected", "projected")
        assert found.memory.low_bytes < found.memory.likely_bytes < found.memory.high_bytes
        assert found.latency.low_ns < found.latency.likely_ns < found.latency.high_ns


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--on", "local"), "--on"),
        (("--prove", "--runs", "3"), "--prove and --runs"),
        (("--warmup", "1"), "--warmup"),
        (("--provider", "cuda"), "--provider"),
    ],
)
def test_options_of_runs_are_refused(
    cli: Cli, mlp: Path, options: tuple[str, ...], named: str
) -> None:
    assert cli("check", "--static", mlp, *options) == Result(
        2,
        "",
        f"error: Cannot use {named} with --static: --static runs nothing\n"
        f"hint: leave out --static to measure, or leave out {named}\n",
    )


def test_jobs_need_static(cli: Cli, mlp: Path) -> None:
    result = cli("check", mlp, "--jobs", 2)
    assert (result.code, result.out) == (2, "")
    assert "Cannot use --jobs without --static" in result.err


def test_a_broken_model_stops_nothing_and_the_order_stays(
    cli: Cli, mlp: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"\x08\x08\xff\xff")
    other = tiny_models.mlp(tmp_path / "other.onnx")
    result = cli("check", "--static", mlp, broken, tmp_path / "none.onnx", other, "--json")
    document = msgspec.json.decode(result.out, type=Assessment)
    assert result.code == 2
    assert [model.profile.model.name for model in document.models] == ["mlp.onnx", "other.onnx"]
    assert [Path(each.path).name for each in document.errors] == ["broken.onnx", "none.onnx"]
    lines = result.err.splitlines()
    assert lines[0].startswith("mlp.onnx: ON DEVICE")
    assert lines[1].startswith(f"error: Cannot read model '{broken}'")
    assert lines[-1].startswith("other.onnx: ON DEVICE")


def _assess(paths: list[Path | Profile], job_count: int, watch: Watch) -> Assessment:
    source = ProfileSource(options=MeasureOptions(), is_static=True)
    question = Question(devices=(), requirements=Requirements(), source=source, job_count=job_count)
    return assess_models(paths, question, watch)


def test_jobs_read_models_at_the_same_time(mlp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both models are read at one moment, or the barrier breaks."""
    both = threading.Barrier(2, timeout=20)
    real = module.profiles_of

    def together(*args: object) -> object:
        both.wait()
        return real(*args)

    monkeypatch.setattr(module, "profiles_of", together)
    assert len(_assess([mlp, mlp], 2, Watch()).models) == 2


def test_without_a_watch_the_first_failure_is_raised(mlp: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such file"):
        _assess([tmp_path / "none.onnx", mlp], 2, Watch())


def test_check_takes_what_check_saved(cli: Cli, mlp: Path, tmp_path: Path) -> None:
    """With other devices too, because the saved profile has all that projections need."""
    other, saved = tiny_models.mlp(tmp_path / "other.onnx"), tmp_path / "saved.json"
    cli("check", "--static", mlp, other, "-o", saved, "-q")
    again = msgspec.json.decode(cli("check", saved, "--json").out, type=Assessment)
    assert again == msgspec.json.decode(saved.read_bytes(), type=Assessment)
    server = msgspec.json.decode(
        cli("check", saved, "--json", "--device", "rtx_3070").out, type=Assessment
    )
    assert [model.devices[0].device for model in server.models] == ["rtx_3070", "rtx_3070"]


def test_an_assessment_without_models_is_refused(cli: Cli, tmp_path: Path) -> None:
    saved = tmp_path / "saved.json"
    saved.write_bytes(encode(Assessment(tool_version="0", models=())))
    result = cli("check", saved)
    assert result.code == 2
    assert "all models of this assessment failed" in result.err


def test_an_assessment_of_several_models_is_not_one_profile(
    cli: Cli, mlp: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "saved.json"
    cli("check", "--static", mlp, mlp, "-o", saved, "-q")
    result = cli("compare", saved, saved)
    assert result.code == 2
    assert "it holds 2 models" in result.err


def test_a_static_profile_ignores_what_this_machine_measured(
    mlp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> object:
        raise AssertionError("saved profiles were read")

    monkeypatch.setattr(saved_emulations, "saved_emulations", refuse)
    saved = static_profile(read_model(mlp, with_plans=True))
    assert len(_assess([mlp, saved], 1, Watch()).models) == 2
