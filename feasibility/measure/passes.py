"""What does each pass ask its child to do, and which files does it need? One instrument each."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import posixpath
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from feasibility.errors import FeasibilityError, ModelError, UsageError
from feasibility.measure.child_errors import child_error
from feasibility.measure.measure_options import MeasureOptions
from feasibility.model_file.open_model import format_of_file
from feasibility.records.facts import ModelFormat
from feasibility.records.model_reading import ModelReading
from feasibility.records.shared_fields import AllocatorSetting
from feasibility.records.workload import (
    STEADY_ENVIRONMENT,
    EngineName,
    InputPlan,
    InputSpec,
    Workload,
)
from feasibility.runners.child_process import ChildResult, Watcher, run_children
from feasibility.runners.child_protocol import (
    Done,
    Event,
    Instrument,
    Loaded,
    Ready,
    Request,
    Schedule,
)
from feasibility.runners.engines import (
    ENGINES,
    Engine,
    require_format,
    require_installed,
    usual_engine,
)
from feasibility.runners.session import LocalSession, Runner, Session, StagedFile
from feasibility.system_differences import require_linux
from feasibility.text import safe_text
from feasibility.units import SECOND_NS

# After this share of the time limit the child stops sampling, so that it can still report.
_SAMPLING_SHARE: Final = 0.7
# Emulated arithmetic takes about a hundred times as long, but an emulated pass has few runs.
_EMULATION_SLOWDOWN: Final = 20
_MAX_CONCURRENCY: Final = 4
_MODEL_FOLDER: Final = "model"

# The peak is the highest of several runs: the second run can need more than the first, because
# the runtime then plans its arena ahead.
_STEADY: Final = Schedule(run_count_min=1, run_count_max=3, warmup_count=0, enough_ns=2 * SECOND_NS)
_TWO_RUNS: Final = Schedule(run_count_min=1, run_count_max=1, warmup_count=0)
_ONE_RUN: Final = Schedule(run_count_min=0, run_count_max=0, warmup_count=0)
_PROFILED: Final = Schedule(
    run_count_min=1, run_count_max=8, warmup_count=0, enough_ns=SECOND_NS // 4
)

PairOfResults: TypeAlias = tuple[ChildResult, ChildResult | None]
WITHOUT_PREPACKING: Final = {"session.disable_prepacking": "1"}
_ENVIRONMENTS: Final = {"steady": STEADY_ENVIRONMENT, "timeline": STEADY_ENVIRONMENT}


def local_passes(path: Path, options: MeasureOptions) -> Passes:
    """The passes over one model on this machine.

    Raises:
        FeasibilityError: The engine does not read the file, or is not installed.
    """
    engine = engine_for(format_of_file(path), options)
    session, own = LocalSession(), dataclasses.replace(options, engine=engine)
    return Passes(path.absolute(), own, session, session.host.free_bytes)


def names_of_outputs(reading: ModelReading) -> tuple[str, ...]:
    """Names of the outputs by position."""
    return tuple(each.name for each in reading.facts.outputs)


def passes_over(reading: ModelReading, options: MeasureOptions) -> Passes:
    """Like `local_passes`, for a model that was read; errors use the name in its facts."""
    return _passes(reading, options, engine_for(reading.facts.format, options), LocalSession())


def _passes(
    reading: ModelReading, options: MeasureOptions, engine: EngineName, session: Session
) -> Passes:
    return Passes(
        reading.path.absolute(),
        dataclasses.replace(options, engine=engine),
        session,
        session.host.free_bytes,
        model_name=reading.facts.name,
        output_names=names_of_outputs(reading),
    )


def engine_for(
    form: ModelFormat, options: MeasureOptions, runner_name: str = "local"
) -> EngineName:
    """The engine that the options name, or the usual one for a format.

    Raises:
        UsageError: The engine does not read the format, or is not in the emulator.
        HostError: The engine must run on this machine, but is not installed.
    """
    engine = options.engine or usual_engine(form)
    require_format(engine, form)
    if runner_name == "local":
        require_installed(engine)
    elif runner_name.startswith("emulate") and not ENGINES[engine].is_onnxruntime:
        raise UsageError(
            f"Cannot run the model with {ENGINES[engine].title} on {safe_text(runner_name)}",
            "the emulator has ONNX Runtime only",
            "measure on the device: --on ssh:HOST",
        )
    return engine


@contextlib.contextmanager
def connected_passes(
    reading: ModelReading, options: MeasureOptions, runner: Runner
) -> Iterator[Passes]:
    """The passes over one model on a runner; files there are removed when the block ends."""
    if runner.name == "local":
        require_linux("Cannot measure")
    engine = engine_for(reading.facts.format, options, runner.name)
    files = partial(files_to_stage, reading, options)
    with runner.connect(files, ENGINES[engine].package) as session:
        yield _passes(reading, options, engine, session)


def files_to_stage(reading: ModelReading, options: MeasureOptions) -> tuple[StagedFile, ...]:
    """The files to copy to a machine where the model is to run.

    Raises:
        ModelError: Its external data lies where it cannot be copied to.
    """
    path = Path(reading.facts.path)
    inputs = [*options.input_files.values(), *filter(None, [options.inputs_archive])]
    return (
        StagedFile(path.absolute(), f"{_MODEL_FOLDER}/{path.name}"),
        *_external_files(path, reading.external_locations),
        *(
            StagedFile(file.absolute(), f"inputs/{number}{file.suffix}")
            for number, file in enumerate(inputs)
        ),
    )


def _external_files(path: Path, locations: tuple[str, ...]) -> Iterator[StagedFile]:
    for location in locations:
        name = posixpath.normpath(f"{_MODEL_FOLDER}/{location}")
        if not name.startswith(f"{_MODEL_FOLDER}/"):
            raise ModelError(
                f"Cannot read model '{safe_text(str(path))}'",
                f"its external data {safe_text(location)!r} lies outside the folder that is copied",
                "save the model again with its data beside it",
            )
        yield StagedFile(Path(os.path.realpath(path.parent / location)), name)


@dataclass(frozen=True, slots=True)
class Passes:
    """The passes over one model; each starts a fresh child and waits for its end.

    `model_path` is absolute. A child may allocate `ceiling_bytes` of private memory. `watch`
    replaces the watcher of the session, if it has one. `model_name` is for errors; empty for the
    name of the file. `output_names` are needed by some engines.
    """

    model_path: Path
    options: MeasureOptions
    session: Session
    ceiling_bytes: int
    watch: Callable[[int], Watcher] | None = None
    model_name: str = ""
    output_names: tuple[str, ...] = ()

    @property
    def engine(self) -> Engine:
        """What runs the model."""
        assert self.options.engine is not None
        return ENGINES[self.options.engine]

    def concurrency(self, largest_bytes: int) -> int:
        """How many children of this size may run at once without changing their memory figures."""
        fitting = self.ceiling_bytes // (2 * largest_bytes + 1)
        return max(1, min(self.session.host.core_count, fitting, _MAX_CONCURRENCY))

    def workload(self, plan: InputPlan, result: ChildResult) -> Workload:
        """The workload of a child that finished."""
        versions, done = result.sent(Ready).versions, result.sent(Done)
        return Workload(
            dims=plan.dims,
            inputs=plan.inputs,
            assumptions=plan.assumptions,
            threads=self.options.threads,
            warmup_count=done.warmup_count,
            run_count=len(done.samples_ns),
            runtime=f"{self.engine.title} {versions.get(self.engine.package, '')}".strip(),
            engine=self.options.engine,
            precision=result.sent(Loaded).precision,
            provider=self.options.provider_name,
            recipe=self.options.recipe,
            settings=self.options.settings,
            seed=self.options.seed,
        )

    def finished(self, result: ChildResult) -> ChildResult:
        """The result itself; raises a FeasibilityError if the child did not finish."""
        if result.ending == "done":
            return result
        raise self.error(result, " under emulation" if self.session.is_emulated else "")

    def error(self, result: ChildResult, where: str = "") -> FeasibilityError:
        """Why a child did not finish."""
        name = self.model_name or self.model_path.name
        return child_error(result, f"{name}{where}", self.ceiling_bytes, self.engine.title)

    def plain(self, plan: InputPlan) -> ChildResult:
        """Latency, and the kernel's memory figures with the default allocator."""
        schedule = _ONE_RUN if self.session.is_emulated else self._latency_schedule()
        return self._run(self._request(plan, "plain", schedule))

    def brief(self, plan: InputPlan, sample_count: int) -> ChildResult:
        """A few latency samples, for comparisons in which the processes of two models alternate."""
        schedule = Schedule(
            run_count_min=sample_count,
            run_count_max=8 * sample_count,
            warmup_time_ns=SECOND_NS // 20,
            sampling_time_ns=0,
            enough_ns=2 * SECOND_NS // 5,
        )
        return self._run(self._request(plan, "plain", schedule))

    def repeats(self, plan: InputPlan, numbers: range) -> list[ChildResult]:
        """Default-allocator memory of several children; even numbers get a disturbed heap."""
        schedule = _ONE_RUN if self.session.is_emulated else _TWO_RUNS
        requests = [
            self._request(plan, "plain", schedule, disturb_heap=number % 2 == 0)
            for number in numbers
        ]
        return self._run_all(requests)

    def steady(self, plan: InputPlan) -> ChildResult:
        """The kernel's memory figures with the steady allocator."""
        # Under an emulator a survey would include the emulator's own mappings and heap.
        survey = not self.session.is_emulated
        return self._run(self._request(plan, "steady", _STEADY, survey=survey))

    def memray(self, plan: InputPlan, capture_prefix: str, *, width: int) -> PairOfResults:
        """Allocations, written to files with this prefix; and steady memory with prepacking off.

        At most `width` children run at once.
        """
        return self._run_beside(
            self._request(plan, "memray", _TWO_RUNS, capture_prefix=capture_prefix),
            self._request(plan, "steady", _TWO_RUNS, session_config=WITHOUT_PREPACKING),
            width,
        )

    def timeline(self, plan: InputPlan, log_path: str, *, width: int) -> PairOfResults:
        """Memory over time, with the runtime's log in a file; steady memory with the arena off."""
        return self._run_beside(
            self._request(plan, "timeline", _TWO_RUNS, record=True, log_path=log_path),
            self._request(plan, "steady", _TWO_RUNS, arena=False, survey=True),
            width,
        )

    def ort_profile(self, plan: InputPlan, profile_prefix: str) -> ChildResult:
        """Time and arena memory per node, in a file whose name the child reports."""
        return self._run(
            self._request(plan, "ort-profile", _PROFILED, profile_prefix=profile_prefix)
        )

    def outputs(self, plan: InputPlan, outputs_path: str) -> ChildResult:
        """The outputs of the model, written to a .npz file."""
        return self._run(self._request(plan, "plain", _ONE_RUN, outputs_path=outputs_path))

    def convert(self, target: Path) -> ChildResult:
        """The model, written in another form by the engine."""
        plan = InputPlan(inputs=())
        return self._run(self._request(plan, "steady", action="convert", target_path=str(target)))

    def limited(
        self,
        plan: InputPlan,
        *,
        allocator: AllocatorSetting,
        longest_ns: int,
        timeout_s: float,
        on_event: Callable[[Event], None],
    ) -> ChildResult:
        """Latency in a child that may thrash under a limit; no run starts after `longest_ns`."""
        schedule = replace(
            self._latency_schedule(),
            enough_ns=SECOND_NS,
            time_limit_ns=min(longest_ns, round(self.options.timeout_s * SECOND_NS / 2)),
        )
        request = self._request(plan, "steady" if allocator == "steady" else "plain", schedule)
        return self._run_all([request], timeout_s=timeout_s, on_event=on_event)[0]

    def _latency_schedule(self) -> Schedule:
        count = self.options.run_count
        schedule = Schedule(
            warmup_count=self.options.warmup_count,
            time_limit_ns=round(self.options.timeout_s * _SAMPLING_SHARE * SECOND_NS),
        )
        if count is None:
            return schedule
        return replace(schedule, run_count_min=count, run_count_max=count)

    def _request(
        self,
        plan: InputPlan,
        instrument: Instrument,
        schedule: Schedule | None = None,
        **further: Any,
    ) -> Request:
        """A request with the fields that all passes share, and further ones.

        A pass that turns a setting off wins over the settings of the options.
        """
        settings = self.options.settings
        further = {
            "action": "measure",
            "optimize": settings.optimization_level == "all",
            "arena": settings.arena,
            "memory_pattern": settings.memory_pattern,
            "session_config": {} if settings.prepacking else WITHOUT_PREPACKING,
            **further,
        }
        return Request(
            instrument=instrument,
            engine=self.engine.child,
            variant=self.engine.variant,
            output_names=self.output_names,
            model_path=self.session.child_path(self.model_path),
            provider=self.options.provider_name,
            threads=self.options.threads,
            inputs=tuple(map(self._input_there, plan.inputs)),
            seed=self.options.seed,
            schedule=schedule or Schedule(),
            ceiling_bytes=self.ceiling_bytes,
            emulated=self.session.is_emulated,
            **further,
        )

    def _environment(self, instrument: Instrument) -> dict[str, str]:
        return {**self.options.settings.environment, **_ENVIRONMENTS.get(instrument, {})}

    def _input_there(self, spec: InputSpec) -> InputSpec:
        """The input with the path of its file where the child runs."""
        if spec.fill.path is None:
            return spec
        path = self.session.child_path(Path(spec.fill.path).absolute())
        return replace(spec, fill=replace(spec.fill, path=path))

    def _run(self, request: Request) -> ChildResult:
        return self._run_all([request])[0]

    def _run_beside(self, first: Request, without_setting: Request, width: int) -> PairOfResults:
        """Results of two children, at once if `width` allows it.

        The second one turns a setting of ONNX Runtime off; None for other engines.
        """
        if not self.engine.is_onnxruntime:
            return self._run(first), None
        if width > 1:
            one, other = self._run_all([first, without_setting])
            return one, other
        return self._run(first), self._run(without_setting)

    def _run_all(
        self,
        requests: Sequence[Request],
        timeout_s: float | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> list[ChildResult]:
        """Results of children that run at once; raises HostError if the machine failed."""
        slowdown = _EMULATION_SLOWDOWN if self.session.is_emulated else 1
        results = run_children(
            [
                (request, self.session.command(self._environment(request.instrument)))
                for request in requests
            ],
            timeout_s=(timeout_s or self.options.timeout_s) * slowdown,
            on_event=on_event,
            watch=self.watch or self.session.watch,
        )
        for error in map(self.session.host_error, results):
            if error is not None:
                raise error
        return results
