"""What does the report of `zoo list` say? The architectures that can be built."""

from __future__ import annotations

from collections.abc import Iterable

from feasibility.render.reports.sections import Report, Row, Section
from feasibility.units import format_bytes


def zoo_report(entries: Iterable[tuple[str, str, str, int]]) -> Report:
    """One row per architecture: name, title, description and size of the file in bytes."""
    rows = tuple(
        Row(name, f"{title}, {format_bytes(file_bytes)}: {description}")
        for name, title, description, file_bytes in entries
    )
    return (Section(rows=rows),)
