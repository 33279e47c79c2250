"""Which messages do the tool and a child exchange? One request, then events.

`feasibility.runners.child` is the other side. It does not import this package, so the field
names on both sides are the protocol.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from feasibility.records.workload import InputSpec

Instrument: TypeAlias = Literal["plain", "steady", "memray", "ort-profile", "timeline"]
Phase: TypeAlias = Literal["start", "import", "load", "inputs", "run", "end"]


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """How often the model runs.

    Args:
        precision_ratio: Sampling ends earlier when the 95 % interval of the median is within
            this share of the median on both sides.
        warmup_count: Fixed number of warm-up runs; None to warm up until times are steady.
        warmup_time_ns: Shortest warm-up if the number of runs is not fixed.
        sampling_time_ns: Shortest time that fewer than `run_count_max` samples may span.
        enough_ns: Time after which `run_count_min` samples are enough.
        time_limit_ns: Time after which sampling ends in any case.
    """

    run_count_min: int = 10
    run_count_max: int = 100
    precision_ratio: float = 0.02
    warmup_count: int | None = None
    warmup_count_max: int = 1000
    warmup_time_ns: int = 100_000_000
    sampling_time_ns: int = 500_000_000
    enough_ns: int = 2_000_000_000
    time_limit_ns: int = 45_000_000_000


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One model of a series that one child times in order."""

    model_path: str
    inputs: tuple[InputSpec, ...]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One job for one child.

    Args:
        engine: Module of the child program that runs the model, without `engine_`.
        variant: One of several ways to use the engine; see `runners/engines.py`.
        output_names: Names of the outputs in order, for engines that need them.
        target_path: Where a conversion writes.
        optimize: False if the runtime takes the graph as it is.
        ceiling_bytes: Limit on private memory that the child sets on itself.
        tasks: The models of a series, instead of `model_path` and `inputs`.
        tasks_needed: How many of them run however long they take.
        tasks_time_ns: Time after which no further task starts.
    """

    action: Literal["measure", "series", "convert"]
    instrument: Instrument
    engine: str = "onnxruntime"
    variant: str = ""
    output_names: tuple[str, ...] = ()
    target_path: str | None = None
    model_path: str
    provider: str
    threads: int
    inputs: tuple[InputSpec, ...] = ()
    seed: int = 0
    schedule: Schedule = Schedule()
    session_config: dict[str, str] = {}
    ceiling_bytes: int | None = None
    capture_prefix: str | None = None
    profile_prefix: str | None = None
    force_sampling: bool = False
    disturb_heap: bool = False
    optimize: bool = True
    arena: bool = True
    memory_pattern: bool = True
    survey: bool = False
    record: bool = False
    log_path: str | None = None
    outputs_path: str | None = None
    emulated: bool = False
    tasks: tuple[Task, ...] = ()
    tasks_needed: int = 0
    tasks_time_ns: int = 0


class MemoryReading(msgspec.Struct, frozen=True):
    """Memory of the child at one moment.

    Args:
        data_bytes: Private writable memory that was allocated, which RLIMIT_DATA counts.
        emulator_bytes: The part that belongs to an emulator; None without one.
    """

    resident_bytes: int
    anonymous_bytes: int
    file_bytes: int
    pss_bytes: int | None = None
    private_dirty_bytes: int | None = None
    data_bytes: int | None = None
    emulator_bytes: int | None = None


class HeapReading(msgspec.Struct, frozen=True):
    """State of the heap, from the C library.

    Args:
        in_use_bytes: Allocated and not freed, with the headers of the blocks.
        retained_bytes: Freed and kept by the allocator.
        mapped_bytes: The part of `in_use_bytes` in large blocks with a mapping of their own.
    """

    in_use_bytes: int
    retained_bytes: int
    mapped_bytes: int


class Survey(msgspec.Struct, frozen=True):
    """All memory of the child, by mapping.

    Args:
        mappings_bytes: Resident bytes by the mapping's name: a path, a word in brackets, or empty
            for anonymous memory.
        heap: State of the heap; None if the C library does not report it.
    """

    mappings_bytes: dict[str, int]
    heap: HeapReading | None = None


class Ready(msgspec.Struct, frozen=True, tag_field="event", tag="ready"):
    """Libraries are imported; the baseline has been read."""

    versions: dict[str, str]
    modules: tuple[str, ...]
    baseline: MemoryReading
    peak_source: Literal["vmhwm", "sampled"]
    survey: Survey | None = None


class Loaded(msgspec.Struct, frozen=True, tag_field="event", tag="loaded"):
    """The model is loaded.

    Args:
        precision: Type in which the engine computes; None if it is that of the model.
    """

    load_ns: int
    peak_bytes: int
    memory: MemoryReading
    survey: Survey | None = None
    precision: str | None = None


class First(msgspec.Struct, frozen=True, tag_field="event", tag="first"):
    """The first run is over."""

    first_run_ns: int


class Recording(msgspec.Struct, frozen=True, tag_field="event", tag="recording"):
    """Memory over time; times in nanoseconds of the child's clock.

    Args:
        phases: Each phase with its start and the two figures at that time; the last is `end`.
        times_ns: When each sample was taken.
        resident_bytes: Resident memory in each sample.
        allocated_bytes: Bytes in use on the heap; -1 if the C library does not report them.
    """

    phases: tuple[tuple[str, int, int, int], ...]
    times_ns: tuple[int, ...]
    resident_bytes: tuple[int, ...]
    allocated_bytes: tuple[int, ...]


class Done(msgspec.Struct, frozen=True, tag_field="event", tag="done"):
    """All runs are over.

    Args:
        warmup_count: Runs before the samples.
        samples_ns: Time of each run.
        peak_bytes: Highest resident memory during the runs.
        memory: Memory after the runs.
        profile_path: The runtime's profile.
        processor_ns: Processor time of the calling thread in each sample.
        all_processor_ns: Processor time of all threads during the samples.
    """

    first_run_ns: int
    warmup_count: int
    samples_ns: tuple[int, ...]
    peak_bytes: int
    memory: MemoryReading
    profile_path: str | None = None
    survey: Survey | None = None
    processor_ns: tuple[int, ...] = ()
    all_processor_ns: int = 0


class Timed(msgspec.Struct, frozen=True, tag_field="event", tag="timed"):
    """The task at `index` of a series is over; the other fields are those of `Done`."""

    index: int
    samples_ns: tuple[int, ...]
    processor_ns: tuple[int, ...] = ()


class Finished(msgspec.Struct, frozen=True, tag_field="event", tag="finished"):
    """The series is over."""


class Converted(msgspec.Struct, frozen=True, tag_field="event", tag="converted"):
    """A model was written in another form."""

    convert_ns: int
    peak_bytes: int


class Failed(msgspec.Struct, frozen=True, tag_field="event", tag="failed"):
    """The child could not continue."""

    phase: Phase
    error_type: str
    message: str
    input_name: str | None = None
    available_providers: tuple[str, ...] = ()


Event: TypeAlias = Ready | Loaded | First | Recording | Done | Timed | Finished | Converted | Failed
