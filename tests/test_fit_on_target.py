"""A changed model on the instruction set of its device."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from feasibility.catalogue.load_catalogue import chosen_devices
from feasibility.errors import HostError, MeasurementError
from feasibility.facts.read_model import read_model
from feasibility.fit import on_target
from feasibility.fit.candidate_runs import Variant
from feasibility.fit.workshop import Measured
from feasibility.measure.measure_options import MeasureOptions
from feasibility.records.drift import Drift
from feasibility.records.fit import FitFigures
from feasibility.records.workload import InputPlan
from feasibility.runners.session import LocalSession
from tests.projection_samples import xlmr
from tests.tiny_models import mlp

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
