"""How do models compare when they are measured now? One process each, in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from feasibility.compare.noise import is_settled
from feasibility.errors import FeasibilityError
from feasibility.measure.latency_percentiles import percentile
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.memory_figures import memory_of
from feasibility.measure.passes import Passes, passes_over
from feasibility.records.comparison import FigureName
from feasibility.records.drift import Drift
from feasibility.records.model_reading import ModelReading
from feasibility.records.profile import Profile
from feasibility.records.workload import InputPlan
from feasibility.runners.child_protocol import Done, Loaded

# Samples of a process; its median is one observation.
_SAMPLE_COUNT: Final = 5
# Rounds in which memory is measured again, to see how well it repeats. Where it has two usual
# values, fewer would often show only one of them per model.
_MEMORY_ROUND_COUNT: Final = 5
# No round starts after this time, so that slow models do not take hours.
_LONGEST_S: Final = 150.0
_MEMORY: Final[tuple[FigureName, ...]] = ("load_peak", "resident", "inference_peak", "floor")


@dataclass(slots=True, eq=False)
class ModelInTurn:
    """A model with the inputs of its profile, and its other figures.

    `drift`: difference between its outputs and the reference's, if they were compared before.
    """

    reading: ModelReading
    options: MeasureOptions
    profile: Profile
    drift: Drift | None = None
    series: dict[FigureName, tuple[int, ...]] = field(default_factory=dict)
    passes: Passes = field(init=False)
    plan: InputPlan = field(init=False)

    def __post_init__(self) -> None:
        """The first figures of memory are those of the profile."""
        self.passes = passes_over(self.reading, self.options)
        workload = self.profile.workload
        self.plan = InputPlan(inputs=workload.inputs, dims=workload.dims)
        memory = self.profile.memory
        for name in _MEMORY:
            value = None if memory is None else getattr(memory, f"{name}_bytes")
            if value is not None:
                self.series[name] = (value,)

    def take_times(self) -> None:
        """Times of one more process."""
        result = self.passes.finished(self.passes.brief(self.plan, _SAMPLE_COUNT))
        done = result.sent(Done)
        self._add("latency", percentile(sorted(done.samples_ns), 50))
        self._add("first_run", done.first_run_ns)
        self._add("load", result.sent(Loaded).load_ns)

    def take_memory(self) -> None:
        """Memory of one more process with the steady allocator."""
        child = memory_of(self.passes.finished(self.passes.steady(self.plan)))
        for name in _MEMORY:
            if name in self.series:
                self._add(name, getattr(child, f"{name}_bytes"))

    def _add(self, name: FigureName, value: int) -> None:
        self.series[name] = (*self.series.get(name, ()), value)


def measure_in_turns(
    models: Sequence[ModelInTurn],
    on_round: Callable[[int], None],
    on_failure: Callable[[ModelInTurn, FeasibilityError], None] | None = None,
) -> int:
    """Rounds of one process per model until their times are compared; the number of rounds.

    The first model is the reference. Each round begins with the next model, so that no model is
    always first.

    Args:
        models: At least two.
        on_round: Called with the number of each round.
        on_failure: Called with a model that fails, and its error; the other models continue. None:
            raise the error.

    Raises:
        FeasibilityError: The reference fails, or another model without `on_failure`.
    """
    running, number, deadline = [*models], 0, time.monotonic() + _LONGEST_S
    while not _are_settled(running) and time.monotonic() < deadline:
        on_round(number)
        first = number % len(running)
        for model in (*running[first:], *running[:first]):
            try:
                model.take_times()
                if number < _MEMORY_ROUND_COUNT:
                    model.take_memory()
            except FeasibilityError as error:
                if on_failure is None or model is models[0]:
                    raise
                on_failure(model, error)
                running.remove(model)
        number += 1
    return number


def _are_settled(models: Sequence[ModelInTurn]) -> bool:
    first, *others = (model.series.get("latency", ()) for model in models)
    return all(is_settled(first, other) for other in others)
