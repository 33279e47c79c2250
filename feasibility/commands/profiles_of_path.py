"""Which profiles does a path give: measured now, saved, or read from another program's report?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from feasibility.commands.progress import progress_on
from feasibility.errors import UsageError
from feasibility.text import safe_text

if TYPE_CHECKING:
    from feasibility.measure.measure_options import MeasureOptions
    from feasibility.records.device import Device
    from feasibility.records.profile import Profile
    from feasibility.runners.session import Runner

_EMULATE = "emulate:"


def measure_on(
    on: str | None, path: Path, options: MeasureOptions, *, quiet: bool = False
) -> Profile:
    """The profile of a model, measured now on the machine that `--on` names.

    A profile that was measured under emulation is saved for later checks of the same model.
    """
    from feasibility.runners.named_runners import runner_named

    return _measured(path, options, runner_named("local" if on is None else on), quiet=quiet)


def profiles_for(
    path: Path, devices: Sequence[Device], options: MeasureOptions, on: str | None, *, quiet: bool
) -> tuple[Profile, tuple[Profile, ...]]:
    """The profile of a model, and its profiles of other instruction sets for their memory."""
    from feasibility.measure.saved_emulations import saved_emulations

    if is_document(path):
        if on is not None:
            raise UsageError(
                f"Cannot measure {safe_text(str(path))} with --on {safe_text(on)}",
                "this file holds figures that were measured before",
                "give the model itself, or leave out --on",
            )
        profile = saved_profile(path)
        _require_projectable(path, profile)
        return profile, saved_emulations(profile)
    if on is None or not on.startswith(_EMULATE):
        profile = measure_on(on, path, options, quiet=quiet)
        return profile, saved_emulations(profile)
    from feasibility.measure.passes import engine_for
    from feasibility.model_file.open_model import format_of_file

    runners = _emulated_runners(on, devices)
    # An emulator without the engine is an error before anything is measured.
    engine_for(format_of_file(path), options, runners[0].name)
    profile = measure_on(None, path, options, quiet=quiet)
    return profile, tuple(_measured(path, options, runner, quiet=quiet) for runner in runners)


def _require_projectable(path: Path, profile: Profile) -> None:
    """Fails for figures of an engine for which there are no projections.

    Raises:
        UsageError: An engine without projections ran the model.
    """
    from feasibility.records.workload import PROJECTED_AS

    engine = profile.workload.engine
    if engine is not None and engine not in PROJECTED_AS:
        raise UsageError(
            f"Cannot check {safe_text(str(path))}",
            f"{safe_text(profile.workload.runtime)} ran the model; memory and time on devices "
            "can be projected only from figures of ONNX Runtime or LiteRT",
            "check the model itself; `compare MODEL --engines onnxruntime,openvino` shows how the "
            "engines differ on this machine",
        )


def _emulated_runners(on: str, devices: Sequence[Device]) -> tuple[Runner, ...]:
    """The named emulator, once per core type of the devices unless the name includes a core."""
    from feasibility.runners.emulator.arm_cores import emulated_core
    from feasibility.runners.emulator.installed_emulator import ISA
    from feasibility.runners.named_runners import runner_named

    named = runner_named(on)
    if on != _EMULATE + ISA:
        return (named,)
    cores = dict.fromkeys(
        emulated_core([cluster.core for cluster in device.cpu.clusters] if device.cpu else [])
        for device in devices
        if device.isa == ISA and device.runs_on == "cpu"
    )
    return tuple(runner_named(f"{on}:{core}") for core in cores) or (named,)


def _measured(path: Path, options: MeasureOptions, runner: Runner, *, quiet: bool) -> Profile:
    from feasibility.measure.measure_model import measure_model
    from feasibility.measure.saved_emulations import save_emulation

    with progress_on(path.name, quiet=quiet) as progress:
        profile = measure_model(path, options, progress, runner)
    if profile.method == "emulated":
        save_emulation(profile)
    return profile


def is_document(path: Path) -> bool:
    """Whether a path is a document with figures and not a model."""
    from feasibility.measure.imports.import_report import SUFFIXES, divided

    file, _ = divided(path)
    return file.suffix.lower() in SUFFIXES


def imported(figures: Path, model: Path | None) -> Profile:
    """The profile in another program's report, with the facts of the model if it is given."""
    from feasibility.measure.imports.import_report import read_figures

    if model is None:
        return read_figures(figures)
    from feasibility.facts.read_model import inspect_model
    from feasibility.measure.profiled_model import profiled_model

    return read_figures(figures, profiled_model(inspect_model(model)))


def saved_profile(path: Path) -> Profile:
    """The profile in a file of this tool or of another program."""
    from feasibility.json_documents import is_document_of_this_tool, read_document
    from feasibility.records.profile import Profile

    if path.suffix.lower() == ".json" and is_document_of_this_tool(path):
        return read_document(path, Profile)
    return imported(path, None)
