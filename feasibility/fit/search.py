"""Which candidate is run next, and when is the search over?

What asks least of the people who deploy comes first: settings, then files with the same
arithmetic, then other arithmetic. A candidate runs only if its modelled memory is near the targets
and what was measured so far leaves it a chance.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from msgspec.structs import replace

from feasibility.errors import FeasibilityError, HostError, UselessChangeError
from feasibility.fit.candidates import (
    Destination,
    loading_candidates,
    may_meet,
    rewritings_for,
)
from feasibility.fit.changes import ChangeSet, precision_of
from feasibility.fit.targets import nearest
from feasibility.records.changes import ChangeCode, Precision
from feasibility.records.fit import FitCandidate, FitFigures, FitTargets
from feasibility.records.profile import ProfiledModel

# Changes of loading do not make a model faster than by this, never smaller, nor more exact.
_FASTER_RATIO: Final = 1.1
_MORE_DRIFT_RATIO: Final = 2.0
_ONLY_PRECISION: Final = frozenset({"latency", "latency_ratio", "size", "drift"})
# Other arithmetic that takes more than this times as long is chosen only if none is faster.
_SLOW_RATIO: Final = 1.5

_KILLED: Final = (
    "it meets the targets, but the kernel kills it under them: page tables and pages of libraries "
    "count there too"
)

Report: TypeAlias = Callable[[ChangeSet, FitCandidate | None, float], None]
"""Called before each candidate: its changes, the nearest one so far, seconds left."""


class Workshop(Protocol):
    """Makes and measures candidates."""

    def model_with(self, rewriting: ChangeCode) -> ProfiledModel:
        """The model with a change of its graph, made now.

        Raises FeasibilityError if it cannot be made; UselessChangeError if it is the same model.
        """

    def measured(self, changes: ChangeSet, modelled: FitFigures | None) -> FitCandidate:
        """One candidate, made and run now; raises FeasibilityError if it does not run."""

    def survives(self, changes: ChangeSet) -> bool:
        """Whether the kernel lets a model run under the memory targets; True if unknown."""


@dataclass(slots=True)
class Search:
    """A search and what it found so far.

    Attributes:
        measures_all: True to go on after a candidate that meets the targets.
        is_complete: False if time or disk space ran out.
    """

    workshop: Workshop
    targets: FitTargets
    baseline: FitCandidate
    destination: Destination
    deadline: float
    measures_all: bool
    report: Report
    tried: list[FitCandidate] = field(default_factory=list)
    chosen: FitCandidate | None = None
    is_complete: bool = True

    def run(self, model: ProfiledModel) -> None:
        """Try candidates until one meets the targets.

        If its arithmetic makes it slow and there is no target for the time, the next arithmetic is
        tried too, and chosen if it is faster.

        Raises:
            HostError: The machine fails, for example the disk is full, and nothing was found.
        """
        if not self.baseline.missed:
            self.baseline = self._proved(self.baseline)
            if self.chosen is not None and not self.measures_all:
                return
        self._try_loading(model, (), self.baseline)
        for rewriting in rewritings_for(self._missed_by_nearest()):
            made = (rewriting,)
            if self._is_over(precision_of(made)):
                if not self.is_complete:
                    self.tried.append(FitCandidate(changes=made, status="modelled"))
                continue
            self.report(made, self._nearest(), self._seconds_left())
            try:
                changed = self.workshop.model_with(rewriting)
            except UselessChangeError:
                continue
            except FeasibilityError as error:
                self.tried.append(self._failed(made, None, error))
                continue
            self._try_loading(changed, made, None)

    def _try_loading(
        self, model: ProfiledModel, made: ChangeSet, first: FitCandidate | None
    ) -> None:
        """Try ways to store and load one model; `first` is the one measured before, if any.

        Of a model with other arithmetic, the first way is always tried: what quantized operators
        need is modelled badly.
        """
        precision = precision_of(made)
        for changes, modelled in loading_candidates(model, self.destination, made).items():
            is_modelled = first is not None or precision is None
            is_hopeless = not self.measures_all and (
                (first is not None and _is_out_of_reach(first))
                or (
                    is_modelled
                    and not may_meet(modelled, self.targets, self.destination.limit_bytes)
                )
            )
            if self._is_over(precision) or is_hopeless:
                self.tried.append(
                    FitCandidate(changes=changes, status="modelled", modelled=modelled)
                )
                continue
            candidate = self._tried(changes, modelled)
            first = first or candidate
            if candidate.status == "meets" and self._is_preferred(candidate):
                self.tried[-1] = self._proved(candidate)

    def _tried(self, changes: ChangeSet, modelled: FitFigures | None) -> FitCandidate:
        self.report(changes, self._nearest(), self._seconds_left())
        try:
            candidate = self.workshop.measured(changes, modelled)
        except FeasibilityError as error:
            candidate = self._failed(changes, modelled, error)
        self.tried.append(candidate)
        return candidate

    def _failed(
        self, changes: ChangeSet, modelled: FitFigures | None, error: FeasibilityError
    ) -> FitCandidate:
        """A candidate that failed. After an error of the machine, no further one starts."""
        if isinstance(error, HostError):
            if self.chosen is None:
                raise error
            self.deadline = time.monotonic()
        return FitCandidate(
            changes=changes, status="failed", modelled=modelled, message=error.message
        )

    def _proved(self, candidate: FitCandidate) -> FitCandidate:
        """The candidate, chosen now; or failed, if the kernel kills it under the targets."""
        before, self.chosen = self.chosen, candidate
        if self.workshop.survives(candidate.changes):
            return candidate
        self.chosen = before
        return replace(candidate, status="failed", message=_KILLED)

    def _is_preferred(self, candidate: FitCandidate) -> bool:
        """Whether a candidate that meets the targets is better than the chosen one."""
        if self.chosen is None:
            return True
        return (
            self._is_slow(self.chosen)
            and precision_of(candidate.changes) != precision_of(self.chosen.changes)
            and _latency_ratio(candidate) * _FASTER_RATIO < _latency_ratio(self.chosen)
            # Speed is not bought with accuracy, unless the user said how much may be lost.
            and (
                self.targets.drift_ratio is not None
                or _drift_ratio(candidate) <= _MORE_DRIFT_RATIO * _drift_ratio(self.chosen)
            )
        )

    def _is_slow(self, candidate: FitCandidate) -> bool:
        """Whether other arithmetic made a model slow, and no target says how slow it may be."""
        has_target = (self.targets.latency_ns, self.targets.latency_ratio) != (None, None)
        has_other_arithmetic = precision_of(candidate.changes) is not None
        return has_other_arithmetic and not has_target and _latency_ratio(candidate) > _SLOW_RATIO

    def _is_over(self, precision: Precision | None) -> bool:
        """Whether no candidate with this arithmetic is wanted any more, or time ran out."""
        if self.chosen is not None and not self.measures_all:
            # Changes of loading make no arithmetic faster.
            is_same = precision_of(self.chosen.changes) == precision
            if is_same or not self._is_slow(self.chosen):
                return True
        if self._seconds_left() > 0:
            return False
        self.is_complete = False
        return True

    def _seconds_left(self) -> float:
        return self.deadline - time.monotonic()

    def _nearest(self) -> FitCandidate | None:
        return self.chosen or nearest(self.tried)

    def _missed_by_nearest(self) -> tuple[str, ...]:
        """Targets that other arithmetic would have to help with."""
        if self.measures_all:
            return ("memory", "size", "latency")
        found = self._nearest()
        # A model that the kernel killed misses no figure.
        return tuple((self.baseline if found is None else found).missed) or ("memory",)


def _latency_ratio(candidate: FitCandidate) -> float:
    """Time over that of the model as it is; 1 if it was not compared."""
    figures = candidate.measured
    return 1.0 if figures is None or figures.latency_ratio is None else figures.latency_ratio


def _drift_ratio(candidate: FitCandidate) -> float:
    return 0.0 if candidate.drift is None else candidate.drift.relative_ratio


def _is_out_of_reach(candidate: FitCandidate) -> bool:
    """Whether no change of loading can repair what a candidate misses."""
    return any(
        ratio > (_FASTER_RATIO if figure.startswith("latency") else 1.0)
        for figure, ratio in candidate.missed.items()
        if figure in _ONLY_PRECISION
    )
