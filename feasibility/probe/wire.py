"""What crosses the process boundary: the request and the events, typed and validated.

`feasibility.probe.child` is the other side. It imports nothing of the package, so
the names here and there are the protocol; a test runs every event through both.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import msgspec

from feasibility.records.workload import InputSpec

Instrument: TypeAlias = Literal["plain", "steady", "memray", "ort-profile"]
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
        enough_ns: Time after which the least number of samples suffices.
        time_limit_ns: Time after which it ends with whatever it has.
    """

    run_count_min: int = 10
    run_count_max: int = 100
    precision_ratio: float = 0.01
    warmup_count: int | None = None
    warmup_count_max: int = 50
    warmup_time_ns: int = 100_000_000
    enough_ns: int = 3_000_000_000
    time_limit_ns: int = 45_000_000_000


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One job for one child."""

    action: Literal["measure", "describe"]
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


class MemoryReading(msgspec.Struct, frozen=True):
    """Resident memory of the child at one moment, in bytes."""

    resident: int
    anonymous: int
    file: int
    pss: int | None = None
    private_dirty: int | None = None
    data: int | None = None


class Ready(msgspec.Struct, frozen=True, tag_field="event", tag="ready"):
    """Libraries are imported; the baseline has been read."""

    versions: dict[str, str]
    modules: tuple[str, ...]
    baseline: MemoryReading
    peak_source: Literal["vmhwm", "sampled"]


class Loaded(msgspec.Struct, frozen=True, tag_field="event", tag="loaded"):
    """The session exists."""

    load_ns: int
    peak: int
    memory: MemoryReading


class First(msgspec.Struct, frozen=True, tag_field="event", tag="first"):
    """The first run is over."""

    first_run_ns: int


class Done(msgspec.Struct, frozen=True, tag_field="event", tag="done"):
    """All runs are over."""

    first_run_ns: int
    warmup_count: int
    samples_ns: tuple[int, ...]
    peak: int
    memory: MemoryReading
    profile_path: str | None = None


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


Event: TypeAlias = Ready | Loaded | First | Done | Described | Failed

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
