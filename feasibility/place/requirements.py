"""What somebody demands of a placement, over and above what the device file says."""

from __future__ import annotations

from dataclasses import dataclass

from feasibility.records.device import Role


@dataclass(frozen=True, slots=True)
class Requirements:
    """Demands that replace the defaults of the device files; None keeps the default.

    Attributes:
        latency_budget_ns: What one inference may take.
        memory_budget_bytes: What the model and its runtime may use.
        storage_budget_bytes: What the model's files may take.
        role: What the process is to the device's system.
        threads: Threads on the device's CPU.
    """

    latency_budget_ns: int | None = None
    memory_budget_bytes: int | None = None
    storage_budget_bytes: int | None = None
    role: Role | None = None
    threads: int | None = None
