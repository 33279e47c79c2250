"""A changed model on the instruction set of its device."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

from feasibility.catalogue.load_catalogue import chosen_devices
from feasibility.errors import HostError, MeasurementError
from feasibility.facts.read_model import read_model
from feasibility.fit import on_target
from feasibility.fit.candidate_runs import CandidateRuns, Variant
from feasibility.fit.changes import ChangeSet, settings_of
from feasibility.fit.workshop import Measured
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.passes import Passes
from feasibility.records.drift import Drift
from feasibility.records.fit import FitFigures
from feasibility.records.model_reading import ModelReading
from feasibility.records.workload import Fill, InputPlan, InputSpec
from feasibility.runners.session import LocalSession, Runner
from tests.projection_samples import xlmr
from tests.tiny_models import identity, mlp

PLAN = InputPlan(inputs=())


def drift(ratio: float) -> Drift:
    return Drift(sample_count=1, is_identical=ratio == 0, relative_ratio=ratio)


@pytest.mark.parametrize(
    ("here", "there", "larger"),
    [
        (drift(0.01), None, drift(0.01)),
        (None, None, None),
        (drift(0), drift(5e-5), drift(0)),
        (drift(0.01), drift(0.3), drift(0.3)),
        (drift(0.01), drift(0.001), drift(0.01)),
    ],
)
def test_outputs_on_the_device_count_where_they_drift_further_than_by_rounding(
    here: Drift | None, there: Drift | None, larger: Drift | None
) -> None:
    figures = FitFigures(load_peak_bytes=1, inference_peak_bytes=1)
    found = Measured(profile=xlmr(), figures=figures, drift=here, emulated_drift=there)
    assert found.larger_drift == larger


@dataclasses.dataclass
class BrokenEmulator:
    """Passes that the emulator does not survive."""

    model_path: Path | None = None
    options: MeasureOptions = dataclasses.field(default_factory=MeasureOptions)
    session: LocalSession = dataclasses.field(default_factory=LocalSession)

    def finished(self, result: object) -> object:
        return result

    def outputs(self, *_: object) -> None:
        raise HostError("Cannot continue to emulate cortex-a72", "QEMU crashed")


def test_an_emulator_that_fails_on_one_model_does_not_end_the_search(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Elsewhere this error is one of the machine; here it is one of the candidate."""
    path = mlp(tmp_path / "model.onnx", width=8, layers=1)
    runs: Any = SimpleNamespace(
        variant=Variant(path, read_model(path)),
        changes=(),
        plan=None,
        passes=SimpleNamespace(options=MeasureOptions()),
    )
    emulator = contextlib.nullcontext(BrokenEmulator())
    monkeypatch.setattr(on_target, "connected_passes", lambda *_: emulator)
    device = chosen_devices(["rpi_5"])[0]
    with pytest.raises(MeasurementError, match="QEMU crashed"):
        on_target.run_on_target(runs, device, PLAN, 0)


def negated(path: Path) -> Path:
    """A model whose output `y` is its input with the other sign."""
    spec = InputSpec(name="x", dtype="float32", shape=(1, 4))
    model = onnx.load_model(identity(path, spec))
    model.graph.node[0].op_type = "Neg"
    onnx.save_model(model, path)
    return path


def plan_of(**fill: Any) -> InputPlan:
    spec = InputSpec(name="x", dtype="float32", shape=(1, 4), fill=Fill(**fill))
    return InputPlan(inputs=(spec,))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EmulatedHere(LocalSession):
    """This machine in the place of an emulator."""

    runner_name: str = "emulate:aarch64:cortex-a76"
    is_emulated: bool = True


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the runners that were connected; each is this machine."""
    names: list[str] = []

    @contextlib.contextmanager
    def connect(reading: ModelReading, options: MeasureOptions, runner: Runner) -> Iterator[Passes]:
        names.append(runner.name)
        session = EmulatedHere()
        yield Passes(reading.path.absolute(), options, session, session.host.free_bytes)

    monkeypatch.setattr(on_target, "connected_passes", connect)
    return names


def candidate(tmp_path: Path, plan: InputPlan) -> CandidateRuns:
    """The identity, whose changed file has the other sign."""
    spec = InputSpec(name="x", dtype="float32", shape=(1, 4))
    reading = read_model(identity(tmp_path / "original.onnx", spec))
    (tmp_path / "changed").mkdir()
    changed = Variant(
        negated(tmp_path / "changed" / "model.onnx"), reading, changes=("external-data",)
    )
    changes: ChangeSet = ("external-data", "steady-allocator", "prepacking-off")
    return CandidateRuns(changed, changes, MeasureOptions(), plan)


def test_a_run_on_the_target_gives_the_outputs_of_the_sample(
    connected: list[str], tmp_path: Path
) -> None:
    """Of the changed file, by name; the memory is that of the inputs of all candidates."""
    values = np.array([[1, 2, 3, 4]], np.float32)
    np.save(tmp_path / "x.npy", values)
    runs = candidate(tmp_path, plan_of(kind="constant"))
    sample = plan_of(kind="file", path=str(tmp_path / "x.npy"))
    found = on_target.run_on_target(runs, chosen_devices(["rpi_5"])[0], sample, 0)
    assert connected == ["emulate:aarch64:cortex-a76"]
    assert found.outputs.keys() == {"y"}
    assert np.array_equal(found.outputs["y"], -values)
    profile = found.profile
    assert (profile.method, profile.runner) == ("emulated", connected[0])
    assert profile.workload.inputs == runs.plan.inputs
    assert profile.workload.settings == settings_of(runs.changes)
    assert profile.model.path == str(runs.variant.path)
    assert profile.memory is not None
    assert profile.memory.allocator == "steady"
    assert profile.latency is None


def test_a_run_on_the_target_has_the_seed_of_the_sample(
    connected: list[str], tmp_path: Path
) -> None:
    sample = plan_of(kind="uniform", low=0.0, high=1.0)
    runs = candidate(tmp_path, sample)
    device = chosen_devices(["rpi_5"])[0]
    there = [on_target.run_on_target(runs, device, sample, seed).outputs["y"] for seed in (3, 4)]
    assert np.array_equal(there[0], runs.outputs(sample, 3)["y"])
    assert not np.array_equal(there[0], there[1])
    assert len(connected) == 2


@pytest.mark.parametrize(
    ("device", "is_installed", "can"),
    [("rpi_5", True, True), ("rpi_5", False, False), ("n100_minipc", True, False)],
)
def test_only_an_installed_emulator_can_emulate_its_instruction_set(
    monkeypatch: pytest.MonkeyPatch, device: str, *, is_installed: bool, can: bool
) -> None:
    def usable(_: Path) -> None:
        if not is_installed:
            raise HostError("Cannot emulate aarch64", "the emulator is not installed")

    monkeypatch.setattr(on_target, "usable_emulator", usable)
    assert on_target.can_emulate(chosen_devices([device])[0]) is can
