"""How does a set of changes become a measured candidate? Made, run, compared with the targets."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from feasibility.budget.reading_cache import ReadingCache
from feasibility.fit.candidate_runs import CandidateRuns, latency_ratio
from feasibility.fit.changes import ChangeSet, precision_of
from feasibility.fit.drift import drift_between
from feasibility.fit.files import Files
from feasibility.fit.on_target import can_emulate, run_on_target
from feasibility.fit.targets import missed, on_device
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.profiled_model import profiled_model
from feasibility.records.changes import Precision
from feasibility.records.device import Device
from feasibility.records.fit import Drift, FitCandidate, FitFigures, FitTargets
from feasibility.records.profile import Profile, ProfiledModel
from feasibility.records.shared_fields import Record
from feasibility.records.workload import InputPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

    Outputs = Mapping[str, np.ndarray[Any, Any]]

# Pairs of processes that compare the time of two models; more where a target depends on it.
_PAIRS: Final = 3
_PAIRS_OF_TARGET: Final = 7
# Inputs whose outputs are compared, if the arithmetic changed and the user gave no samples.
SEEDED_COUNT: Final = 4


class Measured(Record, frozen=True, kw_only=True):
    """What was measured of one candidate; it does not depend on the targets."""

    profile: Profile
    figures: FitFigures
    drift: Drift | None = None
    emulated: Profile | None = None
    emulated_drift: Drift | None = None


@dataclass(slots=True)
class CandidateWorkshop:
    """Makes and measures candidates of one model.

    Attributes:
        original: Runs of the model as it is.
        baseline: Its figures and profile.
        samples: Inputs of the drift, each with its seed.
        key: What a cached measurement depends on, apart from the changes.
    """

    original: CandidateRuns
    files: Files
    folder: Path
    options: MeasureOptions
    targets: FitTargets
    device: Device | None
    baseline: Measured
    samples: tuple[tuple[InputPlan, int], ...]
    cache: ReadingCache
    key: bytes
    has_time: Callable[[], bool]
    kept: ChangeSet = ()
    measured_by_changes: dict[ChangeSet, Measured] = field(default_factory=dict)
    _references: dict[int, Outputs] = field(default_factory=dict)

    def model_with(self, precision: Precision) -> ProfiledModel:
        """The model with other arithmetic, made now."""
        return profiled_model(self.files.variant((precision,)).reading.facts)

    def measured(self, changes: ChangeSet, modelled: FitFigures | None) -> FitCandidate:
        """One candidate, made and run now or taken from the cache."""
        key = self.key + msgspec.json.encode(changes)
        found = self.cache.get("candidate", key, Measured)
        if found is None:
            found = self._measure(changes)
            self.cache.put("candidate", key, found)
        candidate = self.judged(changes, found, modelled)
        if candidate.status == "meets" and found.emulated is None and can_emulate(self.device):
            found = self._with_emulation(changes, found)
            self.cache.put("candidate", key, found)
            candidate = self.judged(changes, found, modelled)
        self.measured_by_changes[changes] = found
        if candidate.status == "meets" and not self.kept:
            self.kept = changes
        return candidate

    def judged(
        self, changes: ChangeSet, found: Measured, modelled: FitFigures | None = None
    ) -> FitCandidate:
        """The candidate with what it misses."""
        there = None
        if self.device is not None:
            there = on_device(
                found.emulated or found.profile,
                self.baseline.profile,
                found.figures.latency_ratio,
                self.device,
            )
        drift = found.drift
        misses = missed(found.figures, self.targets, drift, there)
        return FitCandidate(
            changes=changes,
            status="misses" if misses else "meets",
            modelled=modelled,
            measured=found.figures,
            drift=drift,
            device_memory_bytes=None if there is None else there.memory.high_bytes,
            device_latency_ns=None if there is None else there.latency.likely_ns,
            missed=misses,
        )

    def runs(self, changes: ChangeSet) -> CandidateRuns:
        """Runs of a candidate whose files are made now if they are missing."""
        variant = self.files.variant(changes)
        self.files.keep(changes, self.kept)
        return CandidateRuns(variant, changes, self.options, self.original.plan)

    def _measure(self, changes: ChangeSet) -> Measured:
        runs = self.runs(changes)
        profile = runs.profile()
        pairs = _PAIRS if self.targets.latency_ns is None else _PAIRS_OF_TARGET
        ratio = latency_ratio(runs, self.original, pairs, self.has_time)
        return Measured(
            profile=profile,
            figures=figures_of(profile, ratio, self.baseline.figures),
            drift=self._drift(runs),
        )

    def _drift(self, runs: CandidateRuns) -> Drift:
        is_same = precision_of(runs.changes) is None
        samples = self.samples[:1] if is_same else self.samples
        references = [self._reference(index) for index in range(len(samples))]
        outputs = [runs.outputs(plan, seed, self.folder / "outputs.npz") for plan, seed in samples]
        return drift_between(references, outputs)

    def _reference(self, index: int) -> Outputs:
        if index not in self._references:
            plan, seed = self.samples[index]
            self._references[index] = self.original.outputs(
                plan, seed, self.folder / "reference.npz"
            )
        return self._references[index]

    def _with_emulation(self, changes: ChangeSet, found: Measured) -> Measured:
        assert self.device is not None
        run = run_on_target(self.runs(changes), self.device, self.folder / "outputs.npz")
        reference = self.original.outputs(
            self.original.plan, self.options.seed, self.folder / "reference.npz"
        )
        return replace(
            found, emulated=run.profile, emulated_drift=drift_between([reference], [run.outputs])
        )


def figures_of(profile: Profile, ratio: float, baseline: FitFigures | None) -> FitFigures:
    """The figures of a profile. The time is that of the baseline times the measured ratio."""
    memory, latency = profile.memory, profile.latency
    assert memory is not None
    median_ns = None if latency is None else latency.median_ns
    if baseline is not None and baseline.median_ns is not None:
        median_ns = round(baseline.median_ns * ratio)
    return FitFigures(
        load_peak_bytes=memory.load_peak_bytes,
        inference_peak_bytes=memory.inference_peak_bytes or memory.resident_bytes,
        floor_bytes=memory.floor_bytes,
        comfort_bytes=memory.comfort_bytes,
        file_bytes=profile.model.file_bytes + profile.model.external_bytes,
        load_ns=None if latency is None else latency.load_ns,
        median_ns=median_ns,
        latency_ratio=ratio,
    )
