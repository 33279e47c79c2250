"""How does a set of changes become a measured candidate? Made, run, compared with the targets."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from feasibility.errors import FeasibilityError
from feasibility.fit.candidate_runs import CandidateRuns, latency_ratio
from feasibility.fit.changes import ChangeSet, precision_of
from feasibility.fit.files import Files
from feasibility.fit.on_target import can_emulate, run_on_target
from feasibility.fit.targets import OnDevice, missed, on_device
from feasibility.measure.profiled_model import profiled_model
from feasibility.output_drift import drift_between, require_comparable
from feasibility.reading_cache import ReadingCache
from feasibility.records.changes import ChangeCode, Precision
from feasibility.records.device import Device
from feasibility.records.drift import Drift
from feasibility.records.fit import FitCandidate, FitFigures, FitTargets
from feasibility.records.profile import Profile, ProfiledModel
from feasibility.records.proof import Proof
from feasibility.records.shared_fields import Record
from feasibility.records.workload import InputPlan
from feasibility.rewrite.drifting_node import DriftingNode, first_drifting_node

if TYPE_CHECKING:
    from collections.abc import Callable

    from feasibility.output_drift import Outputs

# Inputs whose outputs are compared, if the arithmetic changed and the user gave no samples.
SEEDED_COUNT: Final = 4
_MAX_FLOAT_NODES: Final = 4
# From this drift on, the report says where it begins.
_LARGE_DRIFT_RATIO: Final = 0.05
_ROUNDING_RATIO: Final = 1e-4


class Measured(Record, frozen=True, kw_only=True):
    """What was measured of one candidate; it does not depend on the targets."""

    profile: Profile
    figures: FitFigures
    drift: Drift | None = None
    emulated: Profile | None = None
    emulated_drift: Drift | None = None

    @property
    def larger_drift(self) -> Drift | None:
        """The drift here, or on the device's instruction set if it is larger there.

        Kernels for another instruction set round in another way, which is no drift.
        """
        here, there = self.drift, self.emulated_drift
        if here is None or there is None:
            return here or there
        is_larger = there.relative_ratio > here.relative_ratio + _ROUNDING_RATIO
        return there if is_larger else here


@dataclass(slots=True)
class CandidateWorkshop:
    """Makes and measures candidates of one model.

    Attributes:
        original: Runs of the model as it is; candidates get its inputs and options.
        baseline: Its figures and profile.
        samples: Inputs of the drift, each with its seed.
        has_samples: True if they are the user's.
        key: What a cached measurement depends on, apart from the changes.
        prove: Runs a model under the memory targets; None where they cannot be enforced.
    """

    original: CandidateRuns
    files: Files
    targets: FitTargets
    device: Device | None
    baseline: Measured
    samples: tuple[tuple[InputPlan, int], ...]
    has_samples: bool
    cache: ReadingCache
    key: bytes
    has_time: Callable[[], bool]
    prove: Callable[[CandidateRuns], Proof | None]
    measures_all: bool
    kept: ChangeSet = ()
    measured_by_changes: dict[ChangeSet, Measured] = field(default_factory=dict)
    proofs: dict[ChangeSet, Proof | None] = field(default_factory=dict)
    _references: dict[int, Outputs] = field(default_factory=dict)
    _first_nodes: dict[tuple[Precision, tuple[str, ...], float], DriftingNode | None] = field(
        default_factory=dict
    )

    def model_with(self, rewriting: ChangeCode) -> ProfiledModel:
        """The model with a change of its graph, made now with all nodes changed."""
        self.files.leave_in_float(())
        return profiled_model(self.files.variant((rewriting,)).reading.facts)

    def measured(self, changes: ChangeSet, modelled: FitFigures | None) -> FitCandidate:
        """One candidate, made and run now or taken from the cache.

        What takes long is left out of a candidate that misses a target already.
        """
        candidate = self._judged_anew(changes, modelled)
        precision = precision_of(changes)
        if precision is not None and [*candidate.missed] == ["drift"]:
            candidate = self._with_float_nodes(changes, precision, modelled, candidate)
        if candidate.status == "meets" and not self.kept:
            self.kept = changes
        return candidate

    def _judged_anew(self, changes: ChangeSet, modelled: FitFigures | None) -> FitCandidate:
        key = self.key + msgspec.json.encode((changes, self.files.float_nodes))
        found = self._memory(changes, self.cache.get("candidate", key, Measured))
        for step in (self._time_and_outputs, self._on_target):
            there, drift = self.there(found), found.larger_drift
            if self.measures_all or not missed(found.figures, self.targets, drift, there, end=0):
                found = step(changes, found)
        self.cache.put("candidate", key, found)
        self.measured_by_changes[changes] = found
        return self.judged(changes, found, modelled)

    def judged(
        self, changes: ChangeSet, found: Measured, modelled: FitFigures | None = None
    ) -> FitCandidate:
        """The candidate with what it misses."""
        there = self.there(found)
        misses = missed(found.figures, self.targets, found.larger_drift, there)
        return FitCandidate(
            changes=changes,
            status="misses" if misses else "meets",
            modelled=modelled,
            measured=found.figures,
            drift=found.larger_drift,
            device_memory_bytes=None if there is None else there.memory.high_bytes,
            device_latency_ns=None if there is None else there.latency_ns,
            missed=misses,
            float_nodes=() if precision_of(changes) is None else self.files.float_nodes,
        )

    def runs(self, changes: ChangeSet) -> CandidateRuns:
        """Runs of a candidate whose files are made now if they are missing."""
        variant = self.files.variant(changes)
        self.files.keep(changes, self.kept)
        return dataclasses.replace(self.original, variant=variant, changes=changes)

    def runs_of(self, candidate: FitCandidate) -> CandidateRuns:
        """Runs of a candidate with its own nodes in float; a later one may have changed them."""
        if not candidate.changes:
            return self.original
        self.files.leave_in_float(candidate.float_nodes)
        return self.runs(candidate.changes)

    def survives(self, changes: ChangeSet) -> bool:
        """Whether the kernel lets a model run under the memory targets; True if unknown."""
        proof = self.prove(self.runs(changes) if changes else self.original)
        self.proofs[changes] = proof
        return proof is None or proof.verdict is None or proof.verdict.outcome != "killed"

    def there(self, found: Measured, threads: int | None = None) -> OnDevice | None:
        """Figures on the device, those of an emulated run if there are any."""
        if self.device is None:
            return None
        profile, ratio = found.emulated or found.profile, found.figures.latency_ratio
        return on_device(profile, self.baseline.profile, ratio, self.device, threads)

    def target_ratio(self) -> float | None:
        """The target of the time over the time of the model as it is; None without a target."""
        wanted, now = self.targets.latency_ns, self.baseline.figures.median_ns
        if self.device is not None or wanted is None or not now:
            return self.targets.latency_ratio
        return wanted / now

    def _memory(self, changes: ChangeSet, found: Measured | None) -> Measured:
        if found is not None:
            # The machine may be faster or slower now than when this was measured.
            ratio = found.figures.latency_ratio
            return replace(found, figures=figures_of(found.profile, ratio, self.baseline.figures))
        profile = self.runs(changes).profile()
        return Measured(profile=profile, figures=figures_of(profile, None, self.baseline.figures))

    def _time_and_outputs(self, changes: ChangeSet, found: Measured) -> Measured:
        if found.drift is not None:
            return found
        runs = self.runs(changes)
        ratio = latency_ratio(runs, self.original, self.has_time, self.target_ratio())
        figures = figures_of(found.profile, ratio, self.baseline.figures)
        return replace(found, figures=figures, drift=self._explained(changes, self._drift(runs)))

    def _explained(self, changes: ChangeSet, drift: Drift) -> Drift:
        """A large drift of other arithmetic with the node where it begins, if it can be found."""
        precision = precision_of(changes)
        if precision is None or drift.relative_ratio < _LARGE_DRIFT_RATIO:
            return drift
        with contextlib.suppress(FeasibilityError):
            node = self._first_drifting(precision, _LARGE_DRIFT_RATIO)
            if node is not None:
                return replace(drift, first_node=node.name, first_node_ratio=node.ratio)
        return drift

    def _first_drifting(self, precision: Precision, threshold_ratio: float) -> DriftingNode | None:
        """Where the drift of other arithmetic begins; how weights are stored does not matter."""
        key = precision, self.files.float_nodes, threshold_ratio
        if key not in self._first_nodes:
            plan, seed = self.samples[0]
            self._first_nodes[key] = first_drifting_node(
                self.original.variant.path,
                self.files.variant((precision,)).path,
                plan,
                seed,
                threshold_ratio=threshold_ratio,
            )
        return self._first_nodes[key]

    def _on_target(self, changes: ChangeSet, found: Measured) -> Measured:
        """A run on the instruction set of the device, if it can be emulated here."""
        device = self.device
        if found.emulated is not None or device is None or not can_emulate(device):
            return found
        run = run_on_target(self.runs(changes), device, *self.samples[0])
        drift = drift_between([self._reference(0)], [run.outputs])
        return replace(found, emulated=run.profile, emulated_drift=drift)

    def _drift(self, runs: CandidateRuns) -> Drift:
        is_same = precision_of(runs.changes) is None
        samples = self.samples[:1] if is_same else self.samples
        references = [self._reference(index) for index in range(len(samples))]
        if not is_same:
            require_comparable(references)
        outputs = [runs.outputs(plan, seed) for plan, seed in samples]
        return drift_between(references, outputs)

    def _reference(self, index: int) -> Outputs:
        if index not in self._references:
            self._references[index] = self.original.outputs(*self.samples[index])
        return self._references[index]

    def _with_float_nodes(
        self,
        changes: ChangeSet,
        precision: Precision,
        modelled: FitFigures | None,
        candidate: FitCandidate,
    ) -> FitCandidate:
        """A candidate that misses the drift only, with the nodes in float that drift first."""
        target = self.targets.drift_ratio or 0.0
        nodes: tuple[str, ...] = ()
        while len(nodes) < _MAX_FLOAT_NODES and [*candidate.missed] == ["drift"]:
            node = self._first_drifting(precision, target)
            if node is None or node.name in nodes or not self.has_time():
                break
            nodes = (*nodes, node.name)
            self.files.leave_in_float(nodes)
            candidate = self._judged_anew(changes, modelled)
        if candidate.status != "meets":
            self.files.leave_in_float(())
        return candidate


def figures_of(profile: Profile, ratio: float | None, baseline: FitFigures | None) -> FitFigures:
    """The figures of a profile; with a measured ratio, the time is the baseline's times it."""
    memory, latency = profile.memory, profile.latency
    assert memory is not None
    median_ns = None if latency is None else latency.median_ns
    if ratio is not None and baseline is not None and baseline.median_ns is not None:
        median_ns = round(baseline.median_ns * ratio)
    return FitFigures(
        load_peak_bytes=memory.load_peak_bytes,
        inference_peak_bytes=memory.inference_peak_bytes or memory.resident_bytes,
        floor_bytes=memory.floor_bytes,
        file_bytes=profile.model.file_bytes + profile.model.external_bytes,
        load_ns=None if latency is None else latency.load_ns,
        median_ns=median_ns,
        latency_ratio=ratio,
    )
