"""Does a changed model load and run on the instruction set of its device? Under emulation."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from feasibility.errors import HostError, MeasurementError
from feasibility.fit.candidate_runs import CandidateRuns, named_outputs
from feasibility.measure.build_profile import PassResults, build_profile
from feasibility.measure.child_errors import child_error
from feasibility.measure.memory_figures import memory_of
from feasibility.measure.passes import connected_passes
from feasibility.records.device import Device
from feasibility.records.profile import Profile
from feasibility.runners.emulator.arm_cores import emulated_core
from feasibility.runners.emulator.installed_emulator import ISA, emulator_folder, usable_emulator
from feasibility.runners.named_runners import runner_named

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np


class TargetRun(NamedTuple):
    """What a changed model needed and gave on the instruction set of the device."""

    profile: Profile
    outputs: Mapping[str, np.ndarray[Any, Any]]


def can_emulate(device: Device | None) -> bool:
    """Whether the emulator for the instruction set of a device is installed."""
    if device is None or device.isa != ISA:
        return False
    try:
        usable_emulator(emulator_folder())
    except HostError:
        return False
    return True


def run_on_target(runs: CandidateRuns, device: Device, file: Path) -> TargetRun:
    """A run on an emulated core of the device; `file` holds its outputs meanwhile.

    Raises:
        FeasibilityError: The model does not load or run there.
    """
    clusters = device.cpu.clusters if device.cpu else ()
    runner = runner_named(f"emulate:{ISA}:{emulated_core([each.core for each in clusters])}")
    facts = replace(runs.variant.facts, modelled_memory=runs.variant.modelled(runs.changes))
    reading = replace(runs.variant.reading, facts=facts)
    with connected_passes(reading, runs.passes.options, runner) as session_passes:
        passes = dataclasses.replace(session_passes, model_path=runs.variant.path)
        try:
            results = [
                passes.plain(runs.plan),
                passes.steady(runs.plan),
                passes.outputs(runs.plan, str(file)),
            ]
        except HostError as error:
            # The emulator fails on this model; it may run others.
            raise MeasurementError(error.what, error.why, error.hint) from error
        for result in results:
            if result.ending != "done":
                raise child_error(result, f"{facts.name} on {ISA}", passes.ceiling_bytes)
        plain, steady, _ = results
        profile = build_profile(
            reading,
            passes,
            PassResults(runs.plan, plain, defaults=[memory_of(plain)], steady=steady),
        )
    return TargetRun(profile, named_outputs(file, reading))
