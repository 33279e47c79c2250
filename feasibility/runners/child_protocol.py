"""What crosses the process boundary: the request and the events, typed and validated.

`feasibility.runners.child` is the other side. It imports nothing of the package, so
the names here and there are the protocol; a test runs every event through both.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import msgspec

from feasibility.records.workload import InputSpec

Instrument: TypeAlias = Literal["plain", "steady", "memray", "ort-profile", "timeline"]
Phase: TypeAlias = Literal["start", "import", "load", "inputs", "run", "end"]


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """How often the model is run.

    Args:
        run_count_min: Samples that are wanted in any case.
        run_count_max: Samples after which it ends in any case.
        precision_ratio: It ends earlier once the 95 % interval of the median is
            within this share of the median on both sides.
        warmup_count: Fixed number of warm-up runs; None for "until steady".
        warmup_count_max: Most warm-up runs where the number is not fixed.
        warmup_time_ns: Least time of warming up where the number is not fixed.
        sampling_time_ns: Least time that the samples span, unless there are the most.
        enough_ns: Time after which the least number of samples suffices.
        time_limit_ns: Time after which it ends with whatever it has.
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
    """One model of a series that a single child times one after the other."""

    model_path: str
    inputs: tuple[InputSpec, ...]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One job for one child.

    Args:
        tasks: The models of a series, which takes the place of `model_path` and `inputs`.
        tasks_needed: How many of them are run however long they take.
        tasks_time_ns: Time after which no further task of the series is begun.
    """

    action: Literal["measure", "describe", "series"]
    instrument: Instrument
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
    arena: bool = True
    survey: bool = False
    record: bool = False
    log_path: str | None = None
    outputs_path: str | None = None
    emulated: bool = False
    tasks: tuple[Task, ...] = ()
    tasks_needed: int = 0
    tasks_time_ns: int = 0


class MemoryReading(msgspec.Struct, frozen=True):
    """Resident memory of the child at one moment, in bytes.

    `translated` is the part that holds an emulator's translated code; None without one.
    """

    resident: int
    anonymous: int
    file: int
    pss: int | None = None
    private_dirty: int | None = None
    data: int | None = None
    translated: int | None = None


class HeapReading(msgspec.Struct, frozen=True):
    """The C library's own account of its heap, in bytes.

    Args:
        in_use: Allocated and not freed, with the headers of the blocks.
        kept: Freed and not given back to the kernel.
        mapped: The part of `in_use` in blocks so large that each is a mapping of its own.
    """

    in_use: int
    kept: int
    mapped: int


class Survey(msgspec.Struct, frozen=True):
    """Where the memory of the child is.

    Args:
        mappings: Resident bytes and private ones among them, by the mapping's name: a path,
            a word in brackets, or empty for memory that nothing stands behind.
        heap: The state of the heap; None where the C library does not tell.
    """

    mappings: dict[str, tuple[int, int]]
    heap: HeapReading | None = None


class Ready(msgspec.Struct, frozen=True, tag_field="event", tag="ready"):
    """Libraries are imported; the baseline has been read."""

    versions: dict[str, str]
    modules: tuple[str, ...]
    baseline: MemoryReading
    peak_source: Literal["vmhwm", "sampled"]
    survey: Survey | None = None


class Loaded(msgspec.Struct, frozen=True, tag_field="event", tag="loaded"):
    """The session exists."""

    load_ns: int
    peak: int
    memory: MemoryReading
    survey: Survey | None = None


class First(msgspec.Struct, frozen=True, tag_field="event", tag="first"):
    """The first run is over."""

    first_run_ns: int


class Course(msgspec.Struct, frozen=True, tag_field="event", tag="course"):
    """Memory over time, by the child's clock in nanoseconds.

    Args:
        marks: Each phase with its beginning and the two figures then; the last one is `end`.
        at: When it was looked at.
        resident: Resident bytes then.
        allocated: Bytes in use on the heap then; -1 where the C library does not tell.
    """

    marks: tuple[tuple[str, int, int, int], ...]
    at: tuple[int, ...]
    resident: tuple[int, ...]
    allocated: tuple[int, ...]


class Done(msgspec.Struct, frozen=True, tag_field="event", tag="done"):
    """All runs are over.

    Args:
        first_run_ns: Time of the first run.
        warmup_count: Runs before the samples.
        samples_ns: Time of each run.
        peak: Highest resident memory of all runs.
        memory: Memory after them.
        profile_path: Where the runtime's profile is.
        survey: Where the memory is.
        processor_ns: Processor time that the calling thread used in each of the samples.
    """

    first_run_ns: int
    warmup_count: int
    samples_ns: tuple[int, ...]
    peak: int
    memory: MemoryReading
    profile_path: str | None = None
    survey: Survey | None = None
    processor_ns: tuple[int, ...] = ()


class Timed(msgspec.Struct, frozen=True, tag_field="event", tag="timed"):
    """One task of a series is over.

    Args:
        index: Which one, from 0.
        first_run_ns: Time of the first run.
        warmup_count: Runs before the samples.
        samples_ns: Time of each run.
        processor_ns: Processor time that the calling thread used in each of them.
    """

    index: int
    first_run_ns: int
    warmup_count: int
    samples_ns: tuple[int, ...]
    processor_ns: tuple[int, ...] = ()


class Finished(msgspec.Struct, frozen=True, tag_field="event", tag="finished"):
    """The series is over; `task_count` of its tasks were begun in time."""

    task_count: int


class Described(msgspec.Struct, frozen=True, tag_field="event", tag="described"):
    """Inputs and outputs as (name, type, shape) in the runtime's words."""

    inputs: tuple[tuple[str, str, tuple[Any, ...]], ...]
    outputs: tuple[tuple[str, str, tuple[Any, ...]], ...]


class Failed(msgspec.Struct, frozen=True, tag_field="event", tag="failed"):
    """The child could not go on."""

    phase: Phase
    error_type: str
    message: str
    input_name: str | None = None
    available_providers: tuple[str, ...] = ()


Event: TypeAlias = Ready | Loaded | First | Course | Done | Timed | Finished | Described | Failed

_EVENT_DECODER: Final = msgspec.json.Decoder(Event)


def encode_request(request: Request) -> bytes:
    """The request as the one line that the child reads."""
    return msgspec.json.encode(request) + b"\n"


def decode_event(line: bytes) -> Event:
    """One event from one line of the child's reply.

    Raises:
        msgspec.DecodeError: The line is no event.
    """
    event: Event = _EVENT_DECODER.decode(line)
    return event
