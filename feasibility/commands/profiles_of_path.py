"""Which profiles does a path give: measured now, saved, or read from another program's report?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from feasibility.errors import DocumentError, UsageError
from feasibility.text import safe_text

if TYPE_CHECKING:
    from feasibility.measure.measure_options import MeasureOptions, ProgressOf
    from feasibility.records.device import Device
    from feasibility.records.profile import Profile
    from feasibility.runners.session import Runner

_EMULATE = "emulate:"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSource:
    """Where the profiles of models come from.

    Args:
        on: Machine to measure on, as `--on` names it; None for this one.
        is_static: True if models are read and not run.
    """

    options: MeasureOptions
    on: str | None = None
    is_static: bool = False


def measure_on(
    on: str | None, path: Path, options: MeasureOptions, progress_of: ProgressOf
) -> Profile:
    """The profile of a model, measured now on the machine that `--on` names.

    A profile that was measured under emulation is saved for later checks of the same model.
    """
    from feasibility.runners.named_runners import runner_named

    return _measured(path, options, runner_named("local" if on is None else on), progress_of)


def profiles_of(
    asked: Path | Profile, devices: Sequence[Device], source: ProfileSource, progress_of: ProgressOf
) -> tuple[tuple[Profile, tuple[Profile, ...]], ...]:
    """The profile of each model at a path, with profiles of other instruction sets for memory.

    A model file gives one profile, a saved assessment one per model. A profile is used unchanged.
    """
    on, options = source.on, source.options
    if not isinstance(asked, Path):
        _require_projectable(Path(asked.model.name), asked)
        return (_with_emulations(asked),)
    path = asked
    if is_document(path):
        if on is not None:
            raise UsageError(
                f"Cannot measure {safe_text(str(path))} with --on {safe_text(on)}",
                "this file holds figures that were measured before",
                "give the model itself, or leave out --on",
            )
        saved = saved_profiles(path)
        for profile in saved:
            _require_projectable(path, profile)
        return tuple(map(_with_emulations, saved))
    if source.is_static:
        from feasibility.measure.static_profile import read_static_profile

        with progress_of(path.name) as progress:
            progress(0, 1, "reading the graph")
            return ((read_static_profile(path, options), ()),)
    if on is None or not on.startswith(_EMULATE):
        return (_with_emulations(measure_on(on, path, options, progress_of)),)
    from feasibility.measure.passes import engine_for
    from feasibility.model_file.open_model import format_of_file

    runners = _emulated_runners(on, devices)
    # An emulator without the engine is an error before anything is measured.
    engine_for(format_of_file(path), options, runners[0].name)
    profile = measure_on(None, path, options, progress_of)
    emulated = tuple(_measured(path, options, runner, progress_of) for runner in runners)
    return ((profile, emulated),)


def _with_emulations(profile: Profile) -> tuple[Profile, tuple[Profile, ...]]:
    """A profile, with the saved profiles of the same model under emulation.

    A profile of a model that was not run gets no others: it must not depend on this machine.
    """
    from feasibility.measure.saved_emulations import saved_emulations

    return profile, () if profile.method == "projected" else saved_emulations(profile)


def _require_projectable(path: Path, profile: Profile) -> None:
    """Refuses figures of an engine without projections.

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


def _measured(
    path: Path, options: MeasureOptions, runner: Runner, progress_of: ProgressOf
) -> Profile:
    from feasibility.measure.measure_model import measure_model
    from feasibility.measure.saved_emulations import save_emulation

    with progress_of(path.name) as progress:
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
    """The one profile in a file of this tool or of another program.

    Raises:
        DocumentError: The file cannot be read, or holds several profiles.
    """
    profiles = saved_profiles(path)
    if len(profiles) > 1:
        raise DocumentError(
            f"Cannot read {safe_text(str(path))} as one profile",
            f"it holds {len(profiles)} models",
            "save each model in a file of its own",
        )
    return profiles[0]


def saved_profiles(path: Path) -> tuple[Profile, ...]:
    """The profiles in a file: one, or one per model of an assessment.

    Raises:
        DocumentError: The file cannot be read, or holds no profile.
    """
    from feasibility.json_documents import is_document_of_this_tool, read_document
    from feasibility.records.assessment import Assessment
    from feasibility.records.profile import Profile

    if path.suffix.lower() != ".json" or not is_document_of_this_tool(path):
        return (imported(path, None),)
    if not is_document_of_this_tool(path, "assessment"):
        return (read_document(path, Profile),)
    assessment = read_document(path, Assessment)
    if not assessment.models:
        raise DocumentError(
            f"Cannot use {safe_text(str(path))}",
            "all models of this assessment failed",
            "check the models themselves",
        )
    return tuple(model.profile for model in assessment.models)
