"""What does the report of `doctor` say? One row per instrument, and what to do."""

from __future__ import annotations

from typing import Final

from feasibility.records.doctor import HostReport, State
from feasibility.render.reports.sections import Report, Row, Section, Tone, name_text

_TONES: Final[dict[State, Tone]] = {"ok": "plain", "limited": "caution", "missing": "bad"}


def doctor_report(report: HostReport) -> Report:
    """What was found, and under it what to do where something is missing."""
    rows: list[Row] = []
    for check in report.checks:
        state = "" if check.state == "ok" else f"{check.state}: "
        finding = state + name_text(check.finding, 300)
        rows.append(Row(check.subject, finding, _TONES[check.state]))
        if check.hint:
            rows.append(Row("", f"-> {name_text(check.hint, 300)}"))
    return (Section(rows=tuple(rows)),)
