"""What does the reader process return about a model file?"""

from __future__ import annotations

from pathlib import Path

from feasibility.records.budget import InitializerSize
from feasibility.records.facts import ModelFacts
from feasibility.records.shared_fields import Record
from feasibility.records.workload import InputPlan


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
