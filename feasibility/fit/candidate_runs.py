"""How is a changed model run? Memory, time in turns with the original, and outputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from feasibility.fit.changes import ChangeSet, loading_changes, recipe_of, settings_of
from feasibility.measure.build_profile import PassResults, build_profile
from feasibility.measure.latency_percentiles import percentile
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.memory_figures import memory_of
from feasibility.measure.model_outputs import model_outputs
from feasibility.measure.passes import Passes, local_passes, names_of_outputs
from feasibility.records.facts import ModelFacts, ModelledMemory
from feasibility.records.model_reading import ModelReading
from feasibility.records.profile import Profile
from feasibility.records.workload import InputPlan
from feasibility.runners.child_protocol import Done

if TYPE_CHECKING:
    from feasibility.output_drift import Outputs

_SAMPLE_COUNT: Final = 8
# Pairs of processes that compare the time of two models.
_PAIR_COUNT: Final = 5
_CLEARLY_SLOW_RATIO: Final = 2.5
_CLEAR_MARGIN: Final = 1.1
_PORTABLE_ISA: Final = "aarch64"


@dataclass(slots=True)
class Variant:
    """A model file as it is on disk, with the facts of the model that it was made of.

    A change of files keeps the work of a model, so its facts are not read again.

    Attributes:
        is_portable: True if it was not optimised for the instruction set of this machine.
    """

    path: Path
    reading: ModelReading
    changes: ChangeSet = ()
    is_portable: bool = True

    @property
    def facts(self) -> ModelFacts:
        """Facts with the sizes of the files on disk."""
        facts = self.reading.facts
        if not self.changes:
            return facts
        folder = self.path.parent
        others = (file for file in folder.rglob("*") if file.is_file() and file != self.path)
        return replace(
            facts,
            name=self.path.name,
            path=str(self.path),
            file_bytes=self.path.stat().st_size,
            external_bytes=sum(file.stat().st_size for file in others),
            external_files=(),
        )

    def reading_with(self, changes: ChangeSet) -> ModelReading:
        """The reading with the sizes on disk, and memory modelled with the settings of changes."""
        facts = replace(self.facts, modelled_memory=self.modelled(changes), changed_memory=())
        return replace(self.reading, facts=facts)

    def modelled(self, changes: ChangeSet) -> tuple[ModelledMemory, ...]:
        """Modelled memory of these files with the settings of a set of changes."""
        facts, wanted = self.reading.facts, frozenset(loading_changes(changes))
        found = {
            memory.isa: memory
            for memory in (*facts.modelled_memory, *facts.changed_memory)
            if frozenset(memory.changes) == wanted
        }
        if "optimised-offline" in wanted and self.is_portable and _PORTABLE_ISA in found:
            # Loaded without the optimizer, such a file has no channel blocks anywhere.
            portable = found[_PORTABLE_ISA]
            return tuple(replace(portable, isa=isa) for isa in found)
        return tuple(found.values())


@dataclass(slots=True)
class CandidateRuns:
    """Runs of one variant with one set of changes; each is a fresh process.

    Every method raises a FeasibilityError if the model does not load or run.
    """

    variant: Variant
    changes: ChangeSet
    options: MeasureOptions
    plan: InputPlan
    passes: Passes = field(init=False)

    def __post_init__(self) -> None:
        """The passes over the changed model, with the settings of the changes."""
        options = dataclasses.replace(
            self.options, recipe=recipe_of(self.changes), settings=settings_of(self.changes)
        )
        self.passes = local_passes(self.variant.path, options)

    def profile(self) -> Profile:
        """Memory and latency as a profile."""
        plain = self.passes.finished(self.passes.brief(self.plan, _SAMPLE_COUNT))
        steady = self.passes.finished(self.passes.steady(self.plan))
        results = PassResults(self.plan, plain, defaults=[memory_of(plain)], steady=steady)
        return build_profile(self.variant.reading_with(self.changes), self.passes, results)

    def median_ns(self) -> int:
        """Median latency of one more process."""
        result = self.passes.finished(self.passes.brief(self.plan, _SAMPLE_COUNT))
        return percentile(sorted(result.sent(Done).samples_ns), 50)

    def outputs(self, plan: InputPlan, seed: int) -> Outputs:
        """Outputs of one run by name."""
        return model_outputs(self.passes, plan, seed).named(names_of_outputs(self.variant.reading))


def latency_ratio(
    changed: CandidateRuns,
    original: CandidateRuns,
    go_on: Callable[[], bool],
    target_ratio: float | None,
) -> float:
    """Median latency over that of the original, from processes that alternate.

    No further pair starts when `go_on` says no, or when the ratios so far leave no doubt.
    """
    ratios: list[float] = []
    for number in range(_PAIR_COUNT):
        order = (changed, original) if number % 2 == 0 else (original, changed)
        times = {id(runs): runs.median_ns() for runs in order}
        ratios.append(times[id(changed)] / times[id(original)])
        if not go_on() or _is_settled(ratios, target_ratio):
            break
    return median(ratios)


def _is_settled(ratios: Sequence[float], target_ratio: float | None) -> bool:
    """Whether the model is clearly slow, or two pairs are clearly on one side of the target."""
    if min(ratios) > _CLEARLY_SLOW_RATIO:
        return True
    if target_ratio is None or len(ratios) < 2:
        return False
    return min(ratios) > target_ratio * _CLEAR_MARGIN or max(ratios) * _CLEAR_MARGIN < target_ratio
