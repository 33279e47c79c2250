"""What does the user require, beyond the targets and limits of the device files?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from feasibility.predict.projected_latency import DEFAULT_RUNTIME
from feasibility.records.device import Role
from feasibility.records.intervals import Network
from feasibility.records.profile import Profile
from feasibility.records.workload import PROJECTED_AS


@dataclass(frozen=True, slots=True)
class Requirements:
    """Requirements that replace the defaults of the device files; None keeps the default.

    Attributes:
        latency_budget_ns: Target of one inference; on a server the network is part of it.
        memory_budget_bytes: Limit of the model and its runtime.
        storage_budget_bytes: Limit of the model's files on local devices.
        threads: Threads on the device's CPU; None for the best number up to four.
        runtime: What runs the model there, a key of `RUNTIME_NAMES`; None for the runtime that
            belongs to the engine of the profile.
        rate_per_s: Inferences per second to keep up with.
        realtime_ns: Signal that one inference covers.
        upload_bytes: Bytes that one request sends; None for the raw tensors.
        prices_microusd: Hourly prices by server id, before those of the device files; the
            empty id stands for all servers.
    """

    latency_budget_ns: int | None = None
    memory_budget_bytes: int | None = None
    storage_budget_bytes: int | None = None
    role: Role | None = None
    threads: int | None = None
    runtime: str | None = None
    rate_per_s: float | None = None
    realtime_ns: int | None = None
    upload_bytes: int | None = None
    network: Network | None = None
    is_offline: bool = False
    is_private: bool = False
    prices_microusd: Mapping[str, int] = field(default_factory=dict)


def runtime_for(profile: Profile, asked: str | None = None) -> str:
    """Key in `RUNTIME_NAMES`: the runtime asked for, else that of the engine of the profile."""
    engine = profile.workload.engine
    usual = DEFAULT_RUNTIME if engine is None else PROJECTED_AS.get(engine, DEFAULT_RUNTIME)
    return asked or usual
