"""What does `demo --full` show? Per document: published figures, our figures, verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from feasibility.records.profile import Host
from feasibility.records.systems import (
    AnsweredDocument,
    AnsweredFigure,
    AnsweredSystem,
    Quantity,
)
from feasibility.render.reports.model_and_machine import host_text
from feasibility.render.reports.sections import (
    Column,
    Report,
    Row,
    Section,
    known,
    notice_section,
    table,
)
from feasibility.render.reports.verdict_table import VERDICT_TONE, verdict_text
from feasibility.units import (
    NOT_MEASURED,
    format_bytes,
    format_bytes_range,
    format_duration,
    format_duration_range,
)

_TIMES: Final[tuple[Quantity, ...]] = ("run", "load")
_NONE: Final = "-"
_REMARKS: Final[dict[Quantity, str]] = {
    "load-memory": "they measured memory to import; here and on their hardware: memory to load",
}


def systems_report(documents: Sequence[AnsweredDocument]) -> Report:
    """One table per document, then what the columns mean, and whether times can be trusted."""
    profiles = [each.profile for document in documents for each in document.systems]
    busy = [notice for each in profiles for notice in each.warnings if notice.code == "host-busy"]
    return (
        *map(_section, documents),
        Section("", (Row("measured", _measured_text(profiles[0].host)),)),
        notice_section(busy[:1]),
    )


def _section(answered: AnsweredDocument) -> Section:
    document = answered.document
    title = f"{document.title} ({document.hardware})"
    if not answered.systems:
        return Section(title)
    devices = answered.systems[0].verdicts
    quantities = {
        figure.published.quantity for figure in map(_headline, answered.systems) if figure
    }
    grid = table(
        answered.systems,
        (Column("system", min_width=12), lambda each: each.system.title),
        (Column("they measured", "right", title_width=8), _published_cell),
        (Column("here", "right"), _here_cell),
        (Column("projected there", "right", title_width=9), _projected_cell),
        *(
            (
                Column(device.name, title_width=12),
                lambda each, number=number: verdict_text(each.verdicts[number].verdict),
            )
            for number, device in enumerate(devices)
        ),
        tone=lambda each: VERDICT_TONE[each.verdicts[-1].verdict] if each.verdicts else "plain",
    )
    return Section(
        title,
        grid=grid,
        remarks=tuple(text for quantity, text in _REMARKS.items() if quantity in quantities),
    )


def _headline(each: AnsweredSystem) -> AnsweredFigure | None:
    """The first figure that a document has for a system."""
    return each.figures[0] if each.figures else None


def _published_cell(each: AnsweredSystem) -> str:
    figure = _headline(each)
    return _NONE if figure is None else figure.published.words


def _here_cell(each: AnsweredSystem) -> str:
    figure, latency = _headline(each), each.profile.latency
    if figure is None:
        return known(None if latency is None else latency.median_ns, format_duration)
    return here_text(figure)


def _projected_cell(each: AnsweredSystem) -> str:
    figure = _headline(each)
    return _NONE if figure is None else projected_text(figure)


def _measured_text(host: Host) -> str:
    return (
        f"with few runs, on {host_text(host)}, CPU, 1 thread; projected: 80 % intervals for ONNX "
        "Runtime; target for sound: the time that it lasts; other targets: defaults of the "
        "devices; in brackets: number of tokens or layers. docs/systems.md compares all figures"
    )


def here_text(figure: AnsweredFigure) -> str:
    """Our figure of the same quantity."""
    form = format_duration if figure.published.quantity in _TIMES else format_bytes
    return known(figure.here, form, NOT_MEASURED)


def projected_text(figure: AnsweredFigure) -> str:
    """The interval on their hardware."""
    projected = figure.projected
    if projected is None:
        return _NONE
    if figure.published.quantity in _TIMES:
        return format_duration_range(projected.low, projected.high)
    return format_bytes_range(projected.low, projected.high)
