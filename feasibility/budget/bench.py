"""One model that is measured step by step, as far as a decision needs it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from feasibility import __version__
from feasibility.budget.conditions import host_conditions
from feasibility.budget.config import BudgetedWorkload
from feasibility.budget.digests import file_digest, model_digest
from feasibility.budget.readings import Readings
from feasibility.budget.store import Store
from feasibility.measure.measure_options import DEFAULT_TIMEOUT_S, MeasureOptions
from feasibility.records.budget import Conditions
from feasibility.records.workload import InputPlan

if TYPE_CHECKING:
    from feasibility.budget.trials import Trials

# A 95th percentile of fewer samples would be their maximum.
_P95_SAMPLE_COUNT: Final = 20
_SAMPLE_COUNT: Final = 5


@dataclass(slots=True)
class Bench:
    """A model, and the readings that each step adds to.

    What runs the model is imported when it first runs: a check of models that have not
    changed needs none of it.

    Args:
        name: Its name in the report.
        path: The model file.
        workload: How it is run.
        store: Where readings are kept from one check to the next.
        timeout_s: Seconds that one process may take.
        is_p95_wanted: True if processes are to take enough samples for a 95th percentile.
    """

    name: str
    path: Path
    workload: BudgetedWorkload
    store: Store
    timeout_s: float = DEFAULT_TIMEOUT_S
    is_p95_wanted: bool = False
    is_cached: bool = field(init=False, default=False)
    digest: str = field(init=False, default="")
    _readings: Readings | None = field(init=False, default=None)
    _trials: Trials | None = field(init=False, default=None)

    def open(self) -> None:
        """Reads what tells the model from others, and what is known of it already.

        Raises:
            ModelError: The file cannot be read, or is no model.
        """
        self.digest = model_digest(self.path, self.store)
        known = self.store.get("readings", self.key, Readings)
        self.is_cached = known is not None
        if known is not None:  # of the same bytes, perhaps under another name
            snapshot = msgspec.structs.replace(known.snapshot, model=self.name)
            self._readings = msgspec.structs.replace(known, snapshot=snapshot)

    @property
    def readings(self) -> Readings:
        """What is known so far; at least what the file says."""
        if self._readings is None:
            from feasibility.budget.contents import read_contents

            snapshot = read_contents(self.name, self.path, self.workload.dims)
            snapshot = msgspec.structs.replace(
                snapshot, digest=self.digest or None, conditions=self.conditions
            )
            self._readings = Readings(snapshot=snapshot)
        return self._readings

    @property
    def conditions(self) -> Conditions:
        """Conditions under which it runs here."""
        provider = self.options.provider_name
        return msgspec.structs.replace(
            host_conditions(), provider=provider, threads=self.workload.threads
        )

    def take_memory(self) -> None:
        """Adds the steady memory of one more process.

        Raises:
            FeasibilityError: The model does not load or run.
        """
        child = self.trials.memory()
        self._settle()
        self._readings = self.readings.with_memory(child)

    def take_latency(self) -> None:
        """Adds the times of one more process.

        Raises:
            FeasibilityError: The model does not load or run.
        """
        times = self.trials.times(_P95_SAMPLE_COUNT if self.is_p95_wanted else _SAMPLE_COUNT)
        self._settle()
        self._readings = self.readings.with_latency(
            times.median_ns,
            times.p95_ns if self.is_p95_wanted else None,
            times.processor_ns,
            is_quiet=times.is_quiet,
        )

    def take_allocations(self) -> None:
        """Adds what the model requests from the allocators.

        Raises:
            FeasibilityError: The model does not load or run.
        """
        peak_bytes = self.trials.allocated_peak_bytes()
        self._settle()
        self._readings = self.readings.with_allocations(peak_bytes)

    def take_operators(self) -> None:
        """Adds the time of each operator type.

        Raises:
            FeasibilityError: The model does not load or run.
        """
        times = self.trials.operator_times()
        self._settle()
        self._readings = self.readings.with_operator_times(times)

    def forget_latency(self) -> None:
        """Drops times that were kept, so that both models' times are of the same minutes."""
        self._readings = self.readings.without_latency()

    def keep(self) -> None:
        """Keeps the readings for the next check."""
        self.store.put("readings", self.key, self.readings)

    @property
    def options(self) -> MeasureOptions:
        """How it is measured."""
        return MeasureOptions(
            dims=self.workload.dims,
            inputs_archive=self.workload.inputs,
            threads=self.workload.threads,
            timeout_s=self.timeout_s,
            provider=self.workload.provider,
            seed=self.workload.seed,
        )

    @property
    def key(self) -> bytes:
        """Everything that readings depend on, the model's content included."""
        inputs = self.workload.inputs
        parts = (
            __version__,
            self.digest,
            self.conditions,
            sorted(self.workload.dims.items()),
            None if inputs is None else file_digest(inputs, self.store),
            self.workload.seed,
            self.is_p95_wanted,
        )
        return msgspec.json.encode(parts)

    @property
    def trials(self) -> Trials:
        """What runs the model, with the inputs of an earlier check where there was one."""
        if self._trials is None:
            from feasibility.budget.trials import Trials

            known = self.readings.snapshot if self.is_cached else None
            plan = (
                InputPlan(inputs=known.inputs, dims=known.dims) if known and known.inputs else None
            )
            self._trials = Trials(self.name, self.path, self.options, plan)
        return self._trials

    def _settle(self) -> None:
        """Once it has run, tells the work of its graph with the inputs that it ran with."""
        known = self.readings
        if known.snapshot.inputs:
            return
        snapshot = msgspec.structs.replace(
            self.trials.contents(),
            digest=known.snapshot.digest,
            conditions=known.snapshot.conditions,
            operator_times=known.snapshot.operator_times,
        )
        self._readings = msgspec.structs.replace(known, snapshot=snapshot)
