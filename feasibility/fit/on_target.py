"""Does a changed model load and run on the instruction set of its device? Under emulation."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from feasibility.errors import HostError, MeasurementError
from feasibility.fit.candidate_runs import CandidateRuns
from feasibility.measure.build_profile import PassResults, build_profile
from feasibility.measure.memory_figures import memory_of
from feasibility.measure.model_outputs import model_outputs
from feasibility.measure.passes import connected_passes, names_of_outputs
from feasibility.records.device import Device
from feasibility.records.profile import Profile
from feasibility.records.workload import InputPlan
from feasibility.runners.emulator.arm_cores import emulated_core
from feasibility.runners.emulator.installed_emulator import ISA, emulator_folder, usable_emulator
from feasibility.runners.named_runners import runner_named

if TYPE_CHECKING:
    from feasibility.output_drift import Outputs


class TargetRun(NamedTuple):
    """What a changed model needed and gave on the instruction set of the device."""

    profile: Profile
    outputs: Outputs


def can_emulate(device: Device) -> bool:
    """Whether the emulator for the instruction set of a device is installed."""
    if device.isa != ISA:
        return False
    try:
        usable_emulator(emulator_folder())
    except HostError:
        return False
    return True


def run_on_target(runs: CandidateRuns, device: Device, sample: InputPlan, seed: int) -> TargetRun:
    """A run on an emulated core of the device; outputs are those of the sample.

    Raises:
        FeasibilityError: The model does not load or run there.
    """
    clusters = device.cpu.clusters if device.cpu else ()
    runner = runner_named(f"emulate:{ISA}:{emulated_core([each.core for each in clusters])}")
    reading = runs.variant.reading_with(runs.changes)
    with connected_passes(reading, runs.passes.options, runner) as passes:
        try:
            found = model_outputs(passes, sample, seed)
            steady = passes.finished(passes.steady(runs.plan))
        except HostError as error:
            # The emulator fails on this model; it may run others.
            raise MeasurementError(error.what, error.why, error.hint) from error
        plain = found.result
        results = PassResults(runs.plan, plain, defaults=[memory_of(plain)], steady=steady)
        profile = build_profile(reading, passes, results)
    return TargetRun(profile, found.named(names_of_outputs(reading)))
