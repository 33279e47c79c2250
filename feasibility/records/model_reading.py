"""What is the reader process asked about a model file, and what does it return?"""

from __future__ import annotations

import os
from pathlib import Path

from feasibility.records.budget import InitializerSize
from feasibility.records.facts import ModelFacts
from feasibility.records.shared_fields import Record
from feasibility.records.workload import InputPlan


class ReadRequest(Record, frozen=True, kw_only=True):
    """What a reader process reads; `feasibility.facts.read_model` explains the arguments.

    Args:
        path: The file, as the system names it; paths need not be text.
        timeout_s: Seconds after which the process ends.
        only_locations: True for the names of the external data files instead of a `ModelReading`.
        must_exist: With `only_locations`: true if these files must exist.
    """

    path: bytes
    timeout_s: float
    only_locations: bool = False
    must_exist: bool = True
    dims: dict[str, int] = {}
    with_plans: bool = False
    input_files: dict[str, str] = {}
    archive: str | None = None
    all_changes: bool = False

    @property
    def file(self) -> Path:
        """The path of the file."""
        return Path(os.fsdecode(self.path))


class ModelReading(Record, frozen=True, kw_only=True):
    """What a model file says.

    Args:
        facts: Its facts, with the sizes of the first plan.
        plans: Complete choices of inputs, likeliest first, at most eight; empty if not asked for.
        dim_roles: What each open dim counts, for example samples or frames.
    """

    facts: ModelFacts
    plans: tuple[InputPlan, ...] = ()
    dim_roles: dict[str, str] = {}
    initializers: tuple[InitializerSize, ...] = ()
    external_locations: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The file as it was given."""
        return Path(self.facts.path)
