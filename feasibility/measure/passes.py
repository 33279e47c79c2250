"""What each pass asks of its child: one instrument each, so that none distorts another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from msgspec.structs import replace

from feasibility.measure.measure_options import MeasureOptions
from feasibility.records.workload import InputPlan, InputSpec
from feasibility.runners.child_command import STEADY_ENVIRONMENT
from feasibility.runners.child_process import ChildResult, Watcher, run_children
from feasibility.runners.child_protocol import Instrument, Request, Schedule
from feasibility.runners.runner import Session
from feasibility.units import SECOND_NS

# Past this share of a pass's time limit the child stops sampling, so that it can still report.
_SAMPLING_SHARE: Final = 0.7
# User-mode emulation takes some hundred times as long for arithmetic; a child that loads and
# runs a model a few times takes this much of the time that the device's own passes get.
_EMULATION_SLOWDOWN: Final = 20

# The peak is the highest of several runs: the second can need more than the first, because
# the runtime then plans its arena ahead.
_STEADY: Final = Schedule(run_count_min=1, run_count_max=3, warmup_count=0, enough_ns=2 * SECOND_NS)
_BRIEF_WARMUP_NS: Final = SECOND_NS // 20
_BRIEF_NS: Final = 2 * SECOND_NS // 5
_TWO_RUNS: Final = Schedule(run_count_min=1, run_count_max=1, warmup_count=0)
_ONE_RUN: Final = Schedule(run_count_min=0, run_count_max=0, warmup_count=0)
_PROFILED: Final = Schedule(
    run_count_min=1, run_count_max=8, warmup_count=0, enough_ns=SECOND_NS // 4
)

_ENVIRONMENTS: Final = {"steady": STEADY_ENVIRONMENT, "timeline": STEADY_ENVIRONMENT}


@dataclass(frozen=True, slots=True)
class Passes:
    """The passes over one model; each starts a fresh child and waits for its end.

    Args:
        model_path: The model, absolute.
        options: The caller's choices.
        session: Where the children run, with the model on it.
        ceiling_bytes: Most private memory that a child may allocate.
        watch: Makes a watcher of each child; None for that of the session, if it has one.
    """

    model_path: Path
    options: MeasureOptions
    session: Session
    ceiling_bytes: int
    watch: Callable[[int], Watcher] | None = None

    def describe(self) -> ChildResult:
        """Inputs and outputs as the runtime sees them."""
        return self._run(self._request(InputPlan(inputs=()), "plain", _TWO_RUNS, "describe"))

    def plain(self, plan: InputPlan) -> ChildResult:
        """Latency, and memory from the kernel with the C library's defaults."""
        schedule = _ONE_RUN if self.session.is_emulated else self._latency_schedule()
        return self._run(self._request(plan, "plain", schedule))

    def brief(self, plan: InputPlan, sample_count: int) -> ChildResult:
        """A few latency samples, for models whose processes take turns."""
        schedule = Schedule(
            run_count_min=sample_count,
            run_count_max=8 * sample_count,
            warmup_time_ns=_BRIEF_WARMUP_NS,
            sampling_time_ns=0,
            enough_ns=_BRIEF_NS,
        )
        return self._run(self._request(plan, "plain", schedule))

    def repeats(self, plan: InputPlan, numbers: range) -> list[ChildResult]:
        """Load and two runs in fresh children at once; even numbers get a disturbed heap."""
        schedule = _ONE_RUN if self.session.is_emulated else _TWO_RUNS
        requests = [
            self._request(plan, "plain", schedule, disturb_heap=number % 2 == 0)
            for number in numbers
        ]
        return self._run_all(requests)

    def steady(self, plan: InputPlan) -> ChildResult:
        """Memory from the kernel with the allocator's threshold fixed."""
        # Under an emulator the mappings and the heap would be surveyed with its own.
        survey = not self.session.is_emulated
        return self._run(self._request(plan, "steady", _STEADY, survey=survey))

    def memray(self, plan: InputPlan, capture_prefix: str, *, width: int) -> list[ChildResult]:
        """Allocations only, into files that start with the prefix; its times mean nothing.

        Beside it, if two children fit, the steady memory with prepacking off.
        """
        without = {"session.disable_prepacking": "1"}
        requests = (
            self._request(plan, "memray", _TWO_RUNS, capture_prefix=capture_prefix),
            self._request(plan, "steady", _TWO_RUNS, session_config=without),
        )
        return self._run_beside(requests, width)

    def timeline(self, plan: InputPlan, log_path: str, *, width: int) -> list[ChildResult]:
        """Memory over time, the runtime's log in a file; beside it, memory with the arena off."""
        requests = (
            self._request(plan, "timeline", _TWO_RUNS, record=True, log_path=log_path),
            self._request(plan, "steady", _TWO_RUNS, arena=False, survey=True),
        )
        return self._run_beside(requests, width)

    def ort_profile(self, plan: InputPlan, profile_prefix: str) -> ChildResult:
        """Time and arena memory per node, into a file whose name the child reports."""
        return self._run(
            self._request(plan, "ort-profile", _PROFILED, profile_prefix=profile_prefix)
        )

    def outputs(self, plan: InputPlan, outputs_path: str) -> ChildResult:
        """What the model makes of the inputs, into a .npz file."""
        return self._run(self._request(plan, "plain", _TWO_RUNS, outputs_path=outputs_path))

    def _latency_schedule(self) -> Schedule:
        options, default = self.options, Schedule()
        count = options.run_count
        return Schedule(
            run_count_min=default.run_count_min if count is None else count,
            run_count_max=default.run_count_max if count is None else count,
            warmup_count=options.warmup_count,
            enough_ns=default.enough_ns,
            time_limit_ns=round(options.timeout_s * _SAMPLING_SHARE * SECOND_NS),
        )

    def _request(
        self,
        plan: InputPlan,
        instrument: Instrument,
        schedule: Schedule,
        action: Literal["measure", "describe"] = "measure",
        **further: Any,
    ) -> Request:
        """A job with everything that all have in common, and further fields of the request."""
        return Request(
            action=action,
            instrument=instrument,
            model_path=self.session.child_path(self.model_path),
            provider=self.options.provider_name,
            threads=self.options.threads,
            inputs=tuple(map(self._placed, plan.inputs)),
            seed=self.options.seed,
            schedule=schedule,
            ceiling_bytes=self.ceiling_bytes,
            emulated=self.session.is_emulated,
            **further,
        )

    def _placed(self, spec: InputSpec) -> InputSpec:
        """The input as the child finds it."""
        if spec.fill.path is None:
            return spec
        path = self.session.child_path(Path(spec.fill.path).absolute())
        return replace(spec, fill=replace(spec.fill, path=path))

    def _run(self, request: Request) -> ChildResult:
        return self._run_all([request])[0]

    def _run_beside(self, requests: Sequence[Request], width: int) -> list[ChildResult]:
        """Results of children of which at most `width` run at once."""
        results: list[ChildResult] = []
        for begin in range(0, len(requests), width):
            results += self._run_all(requests[begin : begin + width])
        return results

    def _run_all(self, requests: Sequence[Request]) -> list[ChildResult]:
        """Results of children that run at once.

        Raises:
            HostError: The machine failed rather than the model.
        """
        slowdown = _EMULATION_SLOWDOWN if self.session.is_emulated else 1
        results = run_children(
            [
                (request, self.session.command(_ENVIRONMENTS.get(request.instrument, {})))
                for request in requests
            ],
            timeout_s=self.options.timeout_s * slowdown,
            watch=self.watch or self.session.watch,
        )
        for error in map(self.session.host_error, results):
            if error is not None:
                raise error
        return results
