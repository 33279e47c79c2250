"""Emulated profiles: kept, found again for the same model, and used for devices of their kind."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import msgspec
import pytest

from feasibility.decide.recommendation import assess_model
from feasibility.errors import HostError
from feasibility.json_documents import decode
from feasibility.measure import measurement_warnings
from feasibility.measure.saved_emulations import save_emulation, saved_emulations
from feasibility.records.profile import Profile
from feasibility.records.runners import RunnerForms, RunnerTrial
from feasibility.runners.emulator import install
from feasibility.runners.emulator.installed_emulator import emulator_folder
from feasibility.runners.engines import ENGINES
from tests import samples, tiny_models
from tests.cli import Result, cli

__all__ = ["cli"]

Cli: TypeAlias = Callable[..., Result]

MIB = 1024**2


@pytest.fixture(autouse=True)
def own_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


def measured() -> Profile:
    profile = samples.profile()
    model = msgspec.structs.replace(profile.model, sha256="ab" * 32)
    return msgspec.structs.replace(profile, model=model)


def emulated(core: str = "cortex-a72", load_peak_bytes: int = 190 * MIB) -> Profile:
    profile = measured()
    assert profile.memory is not None
    return msgspec.structs.replace(
        profile,
        method="emulated",
        runner=f"emulate:aarch64:{core}",
        latency=None,
        default_allocator=None,
        host=msgspec.structs.replace(profile.host, cpu=f"{core} under QEMU", arch="aarch64"),
        memory=msgspec.structs.replace(profile.memory, load_peak_bytes=load_peak_bytes),
    )


def test_what_was_emulated_is_found_for_the_same_model() -> None:
    save_emulation(emulated())
    assert saved_emulations(measured()) == (emulated(),)


def test_every_core_is_kept_and_a_newer_one_replaces_its_like() -> None:
    save_emulation(emulated("cortex-a53"))
    save_emulation(emulated("cortex-a76"))
    save_emulation(emulated("cortex-a76", load_peak_bytes=180 * MIB))
    found = {item.runner: item for item in saved_emulations(measured())}
    assert set(found) == {"emulate:aarch64:cortex-a53", "emulate:aarch64:cortex-a76"}
    memory = found["emulate:aarch64:cortex-a76"].memory
    assert memory is not None
    assert memory.load_peak_bytes == 180 * MIB


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("model", {"sha256": "cd" * 32}),
        ("model", {"external_bytes": 7}),
        ("workload", {"threads": 3}),
        ("workload", {"runtime": "ONNX Runtime 0.1"}),
        ("workload", {"inputs": ()}),
    ],
)
def test_another_workload_is_not_taken_for_it(part: str, changes: dict[str, object]) -> None:
    save_emulation(emulated())
    changed = msgspec.structs.replace(getattr(measured(), part), **changes)
    assert saved_emulations(msgspec.structs.replace(measured(), **{part: changed})) == ()


def test_a_damaged_file_is_passed_over(tmp_path: Path) -> None:
    save_emulation(emulated())
    (path,) = (tmp_path / "feasibility" / "profiles").iterdir()
    path.write_text("{")
    assert saved_emulations(measured()) == ()


def test_a_folder_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "feasibility").write_text("a file")
    save_emulation(emulated())
    assert saved_emulations(measured()) == ()


def test_arm_devices_take_their_memory_from_the_emulated_profile() -> None:
    devices = samples.devices()
    found = assess_model(measured(), devices, emulated=(emulated(),))
    without = assess_model(measured(), devices)
    for device, item, before in zip(devices, found.devices, without.devices, strict=True):
        is_arm = device.isa == "aarch64" and device.runs_on == "cpu"
        assert (item.memory.method == "emulated") == is_arm, device.id
        if not is_arm:
            assert item.memory == before.memory
        assert item.latency == before.latency
    assert any(item.memory.method == "emulated" for item in found.devices)
    assert all(item.memory.method != "emulated" for item in without.devices)


def test_the_devices_own_core_comes_first() -> None:
    device = next(item for item in samples.devices() if item.isa == "aarch64" and item.cpu)
    assert device.cpu is not None
    own = device.cpu.clusters[0].core
    profiles = (emulated("other", 150 * MIB), emulated(own, 400 * MIB))
    (found,) = assess_model(measured(), (device,), emulated=profiles).devices
    assert found.memory.likely_bytes is not None
    assert found.memory.likely_bytes >= 400 * MIB


def test_another_version_of_the_runtime_is_said() -> None:
    engine = ENGINES["onnxruntime"]
    (notice,) = measurement_warnings.other_runtime({"onnxruntime": "0.1"}, engine, "ssh:board")
    assert "ONNX Runtime is 0.1 on ssh:board" in notice.message
    assert measurement_warnings.other_runtime({"onnxruntime": "0.1"}, engine, "local") == ()


def test_the_runners_are_listed(cli: Cli) -> None:
    result = cli("runner", "list")
    assert result.code == 0
    assert "ssh:[USER@]HOST" in result.out
    words = " ".join(result.out.split())
    assert "the emulator is not installed; run `feasibility runner install aarch64`" in words
    assert max(map(len, result.out.splitlines())) <= 80


def test_what_is_missing_here_is_listed(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that is not installed, and a root that is not whole, are told before use."""
    root = emulator_folder()
    root.mkdir(parents=True)
    monkeypatch.setenv("PATH", "/nonexistent")
    result = cli("runner", "list", "--json")
    forms = {each.form: each for each in decode(result.out.encode(), RunnerForms, "out").runners}
    assert forms["local"].is_ready
    assert not forms["ssh:[USER@]HOST"].is_ready
    assert forms["docker:IMAGE"].finding == "the program docker is not installed here"
    emulated = forms["emulate:aarch64"]
    assert (emulated.is_ready, emulated.hint) == (False, "run `feasibility runner install aarch64`")
    assert emulated.finding == "the emulator is incomplete: root.json is missing"


def test_a_trial_tells_of_the_machine(cli: Cli) -> None:
    result = cli("runner", "check", "local", "--json", "-q")
    assert (result.code, result.err) == (0, "")
    trial = decode(result.out.encode(), RunnerTrial, "out")
    assert (trial.runner, trial.method, trial.model) == ("local", "measured", "yamnet")
    assert trial.peak_bytes > 10 * 1024**2
    assert trial.host.libraries["onnxruntime"] == importlib.metadata.version("onnxruntime")
    assert trial.warnings == ()


def test_only_what_can_be_installed_is(cli: Cli) -> None:
    result = cli("runner", "install", "riscv64")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: Cannot install the runner 'riscv64'")


def test_a_runner_of_no_kind_is_named(cli: Cli) -> None:
    result = cli("runner", "check", "telnet:host")
    assert result.code == 2
    assert "a runner is one of local, ssh:" in result.err


def test_a_profile_is_not_measured_again(cli: Cli, tmp_path: Path) -> None:
    result = cli("check", tmp_path / "p.json", "--on", "emulate:aarch64")
    assert result.code == 2
    assert "holds figures that were measured before" in result.err


def test_an_emulator_that_is_not_installed_is_named(cli: Cli, tmp_path: Path) -> None:
    model = tiny_models.mlp(tmp_path / "m.onnx")
    result = cli("measure", model, "--on", "emulate:aarch64", "-q")
    assert (result.code, result.out) == (2, "")
    assert "the emulator is not installed" in result.err
    assert "feasibility runner install aarch64" in result.err


@pytest.mark.parametrize("name", ["aarch64", "emulate:aarch64"])
def test_a_runner_is_installed_under_either_name(
    cli: Cli, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--on spells it with its kind, the table of instruction sets without."""
    folders = []

    def stop(folder: Path, progress: object) -> None:
        folders.append(folder)
        raise HostError("Cannot install it", "this is a test", "nothing")

    monkeypatch.setattr(install, "install", stop)
    assert "this is a test" in cli("runner", "install", name, "-q").err
    assert folders == [emulator_folder()]


@pytest.mark.parametrize("name", ["aarch64", "emulate:aarch64"])
def test_a_runner_is_checked_under_either_name(cli: Cli, name: str) -> None:
    result = cli("runner", "check", name, "-q")
    assert (result.code, result.out) == (2, "")
    assert "the emulator is not installed" in result.err
