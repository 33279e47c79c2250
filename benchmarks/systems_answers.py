"""Which answers do the recorded systems give? The page and its claims use these answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from feasibility.catalogue.load_catalogue import find_device, load_catalogue
from feasibility.paths import devices_dir
from feasibility.predict.projected_latency import project_latency
from feasibility.records.assessment import DeviceAssessment
from feasibility.records.comparison import Comparison, FigureDifference, FigureName
from feasibility.records.device import Device
from feasibility.records.fit import Fit
from feasibility.records.profile import Profile
from feasibility.records.systems import AnsweredDocument, AnsweredSystem
from feasibility.render.reports.compare_devices import duration_text
from feasibility.render.reports.sections import joined
from feasibility.render.reports.verdict_table import verdict_text
from feasibility.systems.answers import answered
from feasibility.systems.documents import DOCUMENTS
from feasibility.units import format_bytes, format_count

PHONE_IDS: Final = ("budget_g85_4gb", "galaxy_s24")
ESPNET_IDS: Final = ("espnet-encoder", "espnet-decoder", "espnet-conformer")
BOARD_IDS: Final = ("rpi_zero2w", "rpi_4b", "rpi_5")
CHANGE_TITLES: Final = {
    "as-is": "as it is",
    "optimizer-off": "optimizer off",
    "transformer-fused": "fused by onnxruntime.transformers",
    "int8-dynamic": "dynamic int8",
}
_PART_WORDS: Final = {"latency": "time"}
_GOOD: Final = ("fits", "tight")


@dataclass(frozen=True, slots=True)
class SystemsRecordings:
    """What was recorded.

    Attributes:
        profiles: By the id of the system.
        changes: Comparisons with changed models, by the id of the system.
        engines: Comparison of engines.
        fits: Searches of a change for phones.
    """

    profiles: Mapping[str, Profile]
    changes: Mapping[str, Comparison]
    engines: Comparison
    fits: Sequence[Fit]


class Answers:
    """The documents with our answers, and what the page looks up in them."""

    def __init__(self, recordings: SystemsRecordings) -> None:
        """Answers all documents."""
        self.recordings = recordings
        self._catalogue: tuple[Device, ...] = load_catalogue(devices_dir())
        self.documents: tuple[AnsweredDocument, ...] = tuple(
            answered(each, recordings.profiles, self._catalogue, (*PHONE_IDS, *BOARD_IDS))
            for each in DOCUMENTS
        )

    @cached_property
    def systems(self) -> Mapping[str, AnsweredSystem]:
        """All systems by id."""
        return {each.system.id: each for document in self.documents for each in document.systems}

    @property
    def slow_systems(self) -> list[str]:
        """Titles of systems whose projection uses their time on this machine."""
        device = find_device("rpi_4b", self._catalogue)
        found = []
        for each in self.systems.values():
            basis = project_latency(each.profile, device).basis
            if basis is not None and basis.host_ratio != 1:
                found.append(each.system.title)
        return found

    def verdict(self, system: str, device: str) -> DeviceAssessment:
        """The verdict on one device."""
        return next(each for each in self.systems[system].verdicts if each.device == device)

    def verdicts(self, system: str, devices: tuple[str, ...]) -> list[DeviceAssessment]:
        """The verdicts on several devices."""
        return [self.verdict(system, device) for device in devices]

    def device_name(self, device_id: str) -> str:
        """Name of a device."""
        return find_device(device_id, self._catalogue).name

    def published_change(self, system: str, recipe: str) -> str:
        """Time that a document states for a changed form of a system."""
        wanted = {
            "as-is": (system, "before optimize"),
            "transformer-fused": (system, "after optimize"),
            "int8-dynamic": (f"{system}-int8", "before optimize"),
        }
        if recipe not in wanted:
            return "-"
        name, condition = wanted[recipe]
        words = [
            each.published.words
            for each in self.systems[name].figures
            if each.published.condition.endswith(condition)
        ]
        return " or ".join(words)

    def published_engine(self, engine: str) -> str:
        """Figure that a document states for an engine."""
        words = {
            each.published.condition.partition(",")[0]: each.published.condition.partition(", ")[2]
            for each in self.systems["wespeaker"].figures
        }
        return words.get(engine, "-")

    def count_text(self, count: int | None) -> str:
        """A count with a prefix."""
        return "-" if count is None else format_count(count)


def figure_values(comparison: Comparison, name: FigureName) -> tuple[int | None, ...]:
    """One value per subject."""
    return next(each.values for each in comparison.figures if each.name == name)


def difference_of(comparison: Comparison, name: FigureName, recipe: str) -> FigureDifference:
    """A figure of a changed form, compared with the unchanged model (the reference)."""
    figure = next(each for each in comparison.figures if each.name == name)
    recipes = [each.workload.recipe for each in comparison.subjects]
    assert recipes[0] == "as-is"
    difference = figure.differences[recipes.index(recipe) - 1]
    assert difference is not None
    return difference


def engine_differences(comparison: Comparison) -> dict[str, FigureDifference]:
    """Time of each other engine, compared with the time of the first engine."""
    figure = next(each for each in comparison.figures if each.name == "latency")
    return {
        str(subject.workload.engine): difference
        for subject, difference in zip(comparison.subjects[1:], figure.differences, strict=True)
        if difference is not None
    }


def recipe_of(comparison: Comparison, label: str) -> str:
    """How the model of a subject was changed."""
    return next(each.workload.recipe for each in comparison.subjects if each.label == label)


def reason_parts(found: DeviceAssessment) -> list[str]:
    """Figures because of which the verdict is not `fits` or `tight`."""
    return [
        _PART_WORDS.get(each.part, each.part) for each in found.reasons if each.verdict not in _GOOD
    ]


def verdict_with_parts(found: DeviceAssessment) -> str:
    """The verdict, with the parts that are not clearly within their target or limit."""
    parts = reason_parts(found)
    return verdict_text(found.verdict) + (f" ({joined(parts)})" if parts else "")


def time_and_memory(found: DeviceAssessment) -> str:
    """The projected time of a run and the likely memory."""
    return f"{duration_text(found.latency)}, {format_bytes(found.memory.likely_bytes)}"


def is_good(found: DeviceAssessment) -> bool:
    """Whether the model runs there as it is."""
    return found.verdict in _GOOD


def is_memory_enough(found: DeviceAssessment) -> bool:
    """Whether memory alone fits."""
    return all(each.verdict in _GOOD for each in found.reasons if each.part == "memory")
