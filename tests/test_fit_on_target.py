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
from tests.tiny_models import mlp


@dataclasses.dataclass
class BrokenEmulator:
    """Passes that the emulator does not survive."""

    model_path: Path | None = None

    def plain(self, _: object) -> None:
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
        passes=SimpleNamespace(options=None),
    )
    emulator = contextlib.nullcontext(BrokenEmulator())
    monkeypatch.setattr(on_target, "connected_passes", lambda *_: emulator)
    device = chosen_devices(["rpi_5"])[0]
    with pytest.raises(MeasurementError, match="QEMU crashed"):
        on_target.run_on_target(runs, device, tmp_path / "outputs.npz")
