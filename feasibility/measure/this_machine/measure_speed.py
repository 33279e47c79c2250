"""How fast is this machine? Times small models, each with one kind of operation.

One child per number of threads times all models, because on a small board importing the runtime
takes longer than the models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from feasibility.errors import MeasurementError
from feasibility.facts.read_model import inspect_model
from feasibility.measure.child_errors import child_error, is_out_of_memory
from feasibility.measure.latency_percentiles import percentile
from feasibility.measure.measure_options import PROVIDERS, Progress, no_progress
from feasibility.measure.profiled_model import profiled_model
from feasibility.records.profile import ProfiledModel
from feasibility.records.workload import InputSpec
from feasibility.runners.child_command import local_command
from feasibility.runners.child_process import ChildResult, run_child
from feasibility.runners.child_protocol import Event, Failed, Ready, Request, Schedule, Task, Timed
from feasibility.temporary_folders import scratch_folder
from feasibility.units import MIB, SECOND_NS
from feasibility.zoo.network import Network
from feasibility.zoo.onnx_file import write_network
from feasibility.zoo.single_operator_networks import KERNELS, bus

BUS: Final = "bus"
MAX_THREADS: Final = 16
_BUS_LEAST_BYTES: Final = 16 * MIB
_BUS_MOST_BYTES: Final = 128 * MIB
# Runtime, inputs and activations together need several times the longest vector.
_BUS_MEMORY_SHARE: Final = 8
# Added to a child's time limit: every model is timed once, even on a slow machine.
_FIRST_ROUND_S: Final = 60
_WHAT: Final = "Cannot measure this machine"
# Measured need of the child and some reserve; the tool itself needs 60 MiB more.
_ENOUGH_TEXT: Final = "200 MiB of free memory"
_ELEMENT_BYTES: Final = 4
_SEVERAL_THREADS_PERCENT: Final = 10
_SCHEDULE: Final = Schedule(
    run_count_min=2,
    run_count_max=200,
    precision_ratio=0.01,
    warmup_time_ns=SECOND_NS // 20,
    sampling_time_ns=SECOND_NS // 5,
    enough_ns=3 * SECOND_NS // 10,
)


@dataclass(frozen=True, slots=True)
class Pace:
    """How much time the measurement takes.

    Each model is timed `round_count` times, in turns. The shortest time counts, because other
    programs only make runs slower. After `time_ns`, which is for all numbers of threads, no
    further round begins.
    """

    schedule: Schedule = _SCHEDULE
    round_count: int = 3
    time_ns: int = 60 * SECOND_NS


@dataclass(frozen=True, slots=True)
class KernelTime:
    """The shortest time of one small model over all rounds."""

    model: ProfiledModel
    ns: int


@dataclass(frozen=True, slots=True)
class Speed:
    """The times of all small models, by number of threads and kernel.

    `baseline_bytes` is resident memory of Python and the runtime; vectors of `bus_bytes` do not
    fit into a cache.
    """

    versions: Mapping[str, str]
    baseline_bytes: int
    bus_bytes: int
    times: Mapping[int, Mapping[str, KernelTime]]


def thread_counts(core_count: int) -> tuple[int, ...]:
    """1, 2, 4 and so on, and the number of cores; at most sixteen."""
    most = max(1, min(core_count, MAX_THREADS))
    powers = [1 << power for power in range(most.bit_length()) if 1 << power <= most]
    return tuple(sorted({*powers, most}))


def bus_bytes(cache_bytes: int | None, free_bytes: int) -> int:
    """Length of vectors that fit into memory, but not into the last cache."""
    wanted = max(_BUS_LEAST_BYTES, min(_BUS_MOST_BYTES, 2 * (cache_bytes or 0)))
    return max(MIB, min(wanted, free_bytes // _BUS_MEMORY_SHARE))


def measure_speed(
    counts: Sequence[int],
    *,
    cache_bytes: int | None,
    free_bytes: int,
    pace: Pace | None = None,
    progress: Progress = no_progress,
) -> Speed:
    """Times of all kernels with each number of threads; the first number is 1.

    Raises:
        MeasurementError: A child did not finish all kernels.
    """
    pace = pace or Pace()
    length = bus_bytes(cache_bytes, free_bytes)
    networks = {name: make() for name, make in KERNELS.items()}
    networks[BUS] = bus(length // _ELEMENT_BYTES)
    order = tuple(networks) * pace.round_count
    total = len(counts) * len(order)
    time_ns = pace.time_ns // len(counts)
    progress(0, total, "writing small models")
    results: dict[int, ChildResult] = {}
    with scratch_folder() as folder:
        models = {name: _written(network, folder) for name, network in networks.items()}
        tasks = [_task(models[name], networks[name]) for name in order]
        for position, count in enumerate(counts):
            request = Request(
                action="series",
                instrument="plain",
                model_path="",
                provider=PROVIDERS["cpu"],
                threads=count,
                schedule=pace.schedule,
                ceiling_bytes=free_bytes,
                tasks=tuple(tasks),
                tasks_needed=len(models),
                tasks_time_ns=time_ns,
            )
            result = run_child(
                request,
                local_command(),
                timeout_s=time_ns / SECOND_NS + _FIRST_ROUND_S,
                on_event=_reporting(progress, position * len(order), total, count),
            )
            if result.ending != "done":
                raise _failure(result, free_bytes)
            results[count] = result
    progress(total, total, "")
    ready = results[counts[0]].sent(Ready)
    return Speed(
        versions=ready.versions,
        baseline_bytes=ready.baseline.resident_bytes,
        bus_bytes=length,
        times={count: _times(result, order, models, count) for count, result in results.items()},
    )


def _task(model: ProfiledModel, network: Network) -> Task:
    inputs = tuple(
        InputSpec(
            name=value.name,
            dtype=value.dtype,
            shape=tuple(dim for dim in value.shape if isinstance(dim, int)),
        )
        for value in network.inputs
    )
    return Task(model_path=model.path, inputs=inputs)


def _failure(result: ChildResult, free_bytes: int) -> MeasurementError:
    """The error for a child that did not finish all kernels once."""
    if result.ending == "timeout":
        return MeasurementError(
            _WHAT,
            f"small models took longer than {result.timeout_s:g} s",
            "close other programs and try again",
        )
    cause = child_error(result, "timing models", free_bytes, "ONNX Runtime")
    failed = result.event(Failed)
    is_short = failed is not None and is_out_of_memory(failed)
    hint = f"close other programs; {_ENOUGH_TEXT} is enough" if is_short else cause.hint
    return MeasurementError(_WHAT, cause.why, hint)


def _times(
    result: ChildResult, order: Sequence[str], models: Mapping[str, ProfiledModel], threads: int
) -> dict[str, KernelTime]:
    """The shortest time of each kernel over all rounds."""
    found: dict[str, list[int]] = {}
    for event in result.events:
        if isinstance(event, Timed):
            found.setdefault(order[event.index], []).append(_undisturbed(event, threads))
    return {name: KernelTime(models[name], min(times)) for name, times in found.items()}


def _reporting(progress: Progress, begun: int, total: int, threads: int) -> Callable[[Event], None]:
    """Reports progress after each kernel."""
    where = "1 thread" if threads == 1 else f"{threads} threads"
    progress(begun, total, f"speed with {where}")

    def on_event(event: Event) -> None:
        if isinstance(event, Timed):
            progress(begun + event.index + 1, total, f"speed with {where}")

    return on_event


def _undisturbed(event: Timed, threads: int) -> int:
    """The time of a model without other load on the processor.

    With one thread this is the median processor time. Several threads spin while they wait for
    each other, so a low percentile of the times is used instead.
    """
    if threads == 1 and event.processor_ns:
        return max(1, percentile(sorted(event.processor_ns), 50))
    return percentile(sorted(event.samples_ns), _SEVERAL_THREADS_PERCENT)


def _written(network: Network, folder: Path) -> ProfiledModel:
    """Writes a network into the folder; returns its facts."""
    path = folder / f"{network.name}.onnx"
    with path.open("wb") as file:
        write_network(network, file)
    return profiled_model(inspect_model(path, hash_file=False))
