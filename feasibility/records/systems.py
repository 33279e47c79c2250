"""What did others measure by hand, and what do we find for the same systems?

The figures are from the documents that are the reason for this tool. No record here is saved.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from feasibility.records.assessment import DeviceAssessment
from feasibility.records.changes import Precision
from feasibility.records.profile import Profile
from feasibility.records.shared_fields import Record

Quantity: TypeAlias = Literal["run", "load", "memory", "load-memory", "file-size"]


class System(Record, frozen=True, kw_only=True):
    """One network of the zoo with one workload, which stands for a system of a document.

    Args:
        id: Name of its recorded profile.
        title: Its name in tables.
        network: Name in the zoo.
        dims: Sizes of open dims; the others are the usual ones.
        signal_ns: Time of the sound that one run covers; it is then the target of a run.
        change: A change of the file that is made first.
    """

    id: str
    title: str
    network: str
    dims: dict[str, int] = {}
    signal_ns: int | None = None
    change: Precision | None = None


class PublishedFigure(Record, frozen=True, kw_only=True):
    """One figure of a document.

    Args:
        system: Id of the system that stands for what was measured.
        words: The figure as the page shows it.
        condition: How it was measured, in the words of the document.
        quantity: What it is: time of a run, time to load, memory, memory to load, or file size.
        value: Nanoseconds or bytes.
        device: Device of the catalogue that stands for the hardware; empty: not projected.
        threads: Threads; None if there are none, as on a GPU.
        runtime: Runtime that is projected.
        miss: Why the projection may miss it; a fact with its source, or empty.
    """

    system: str
    words: str
    condition: str
    quantity: Quantity
    value: int
    device: str = ""
    threads: int | None = None
    runtime: str = "onnxruntime"
    miss: str = ""


class SystemsDocument(Record, frozen=True, kw_only=True):
    """One document.

    Args:
        source: Where it is published; says so if that is not known.
        hardware: The machine of the measurements, in the words of the document.
        assumed: What the document does not state, and what we assume instead; may be empty.
    """

    id: str
    title: str
    source: str
    hardware: str
    assumed: str = ""
    systems: tuple[System, ...] = ()
    figures: tuple[PublishedFigure, ...] = ()


class Projection(NamedTuple):
    """A projected figure, in nanoseconds or bytes."""

    low: int
    likely: int
    high: int


class AnsweredFigure(Record, frozen=True, kw_only=True):
    """A published figure beside ours.

    Args:
        here: The same figure on the machine that measured; None if it was not measured.
        projected: On their hardware; None if such a figure is not projected.
    """

    published: PublishedFigure
    here: int | None
    projected: Projection | None = None

    @property
    def error_ratio(self) -> float | None:
        """The likely figure divided by the published one."""
        return None if self.projected is None else self.projected.likely / self.published.value

    @property
    def is_inside(self) -> bool | None:
        """Whether the published figure is inside the interval; None without one."""
        if self.projected is None:
            return None
        return self.projected.low <= self.published.value <= self.projected.high


class AnsweredSystem(Record, frozen=True, kw_only=True):
    """A system with its profile, its figures and the verdicts on devices."""

    system: System
    profile: Profile
    figures: tuple[AnsweredFigure, ...]
    verdicts: tuple[DeviceAssessment, ...]


class AnsweredDocument(Record, frozen=True, kw_only=True):
    """A document with answers for those of its systems that were measured."""

    document: SystemsDocument
    systems: tuple[AnsweredSystem, ...]
