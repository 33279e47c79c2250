"""What somebody demands of a placement, over and above what the device file says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from feasibility.predict.latency.latency import DEFAULT_RUNTIME
from feasibility.records.comparison import Network
from feasibility.records.device import Role


@dataclass(frozen=True, slots=True)
class Requirements:
    """Demands that replace the defaults of the device files; None keeps the default.

    Attributes:
        latency_budget_ns: What one inference may take, in the cloud with the network.
        memory_budget_bytes: What the model and its runtime may use.
        storage_budget_bytes: What the model's files may take on a device that is no server.
        role: What the process is to the device's system.
        threads: Threads on the device's CPU; None for the best number up to four.
        runtime: What runs the model there, a key of `RUNTIME_NAMES`.
        rate_per_s: Inferences that have to be done in each second.
        realtime_ns: Signal that one inference covers, which must not take longer than that.
        upload_bytes: What one request sends; None for the plain tensors.
        network: The way to a server; None where nobody said which.
        is_offline: True if it has to work without a network.
        is_private: True if no input may leave the device.
        prices_microusd: Hourly prices by server id, before those of the device files; the
            empty id stands for all servers.
    """

    latency_budget_ns: int | None = None
    memory_budget_bytes: int | None = None
    storage_budget_bytes: int | None = None
    role: Role | None = None
    threads: int | None = None
    runtime: str = DEFAULT_RUNTIME
    rate_per_s: float | None = None
    realtime_ns: int | None = None
    upload_bytes: int | None = None
    network: Network | None = None
    is_offline: bool = False
    is_private: bool = False
    prices_microusd: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
