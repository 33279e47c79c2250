"""Does the model survive the memory limit of each device? The option `check --prove`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from feasibility.commands.progress import Watch
from feasibility.errors import FeasibilityError, UsageError
from feasibility.text import safe_text

if TYPE_CHECKING:
    from feasibility.measure.measure_options import MeasureOptions
    from feasibility.records.assessment import ModelAssessment
    from feasibility.records.device import Device
    from feasibility.records.profile import Profile
    from feasibility.records.proof import DeviceProof


def refuse_saved(models: Sequence[Path | Profile], on: str | None) -> None:
    """Refuse saved profiles and other machines, which cannot be limited here."""
    saved = [each for each in models if not isinstance(each, Path) or each.suffix == ".json"]
    if saved:
        name = str(saved[0]) if isinstance(saved[0], Path) else saved[0].model.name
        raise UsageError(
            f"Cannot prove {safe_text(name)!r}",
            "a saved profile cannot be run",
            "give the model itself, or leave out --prove",
        )
    if on is not None:
        raise UsageError(
            "Cannot prove on another machine",
            "limits are enforced on this machine only",
            "leave out --on",
        )


def with_proofs(
    path: Path,
    model: ModelAssessment,
    devices: Sequence[Device],
    options: MeasureOptions,
    watch: Watch,
) -> ModelAssessment:
    """The assessment with one run under the memory limit of each device.

    Devices whose models run in GPU memory, and devices without a limit, are left out. If a
    limit cannot be enforced, `watch` receives the error and the assessment is unchanged.
    """
    on_gpu = {device.id for device in devices if device.runs_on == "gpu"}
    limits = {
        item.device: item.memory.budget_bytes - (item.memory.runtime_bytes or 0)
        for item in model.devices
        if item.device not in on_gpu and item.memory.budget_bytes is not None
    }
    proofs: dict[int, DeviceProof] = {}
    try:
        for limit in sorted({limit for limit in limits.values() if limit > 0}):
            proofs[limit] = _prove(path, limit, options, watch)
    except FeasibilityError as error:
        watch.failed(error)
    return replace(
        model,
        devices=tuple(
            replace(item, proof=proofs.get(limits.get(item.device, 0))) for item in model.devices
        ),
    )


def _prove(path: Path, limit_bytes: int, options: MeasureOptions, watch: Watch) -> DeviceProof:
    from feasibility.measure.prove.prove_model import ProveOptions, prove_model
    from feasibility.records.proof import DeviceProof

    with watch.progress_of(path.name) as progress:
        proof = prove_model(path, options, ProveOptions(memory_bytes=limit_bytes), progress)
    assert proof.verdict is not None  # a limit was asked for
    return DeviceProof(arch=proof.host.arch, limit_kind=proof.limit_kind, run=proof.verdict)
