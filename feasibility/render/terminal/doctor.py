"""The terminal report of `doctor`."""

from __future__ import annotations

from typing import Final

from rich.console import Console

from feasibility.records.doctor import HostCheck, HostReport, State
from feasibility.render.rows.rows import Row, Tone, name_text
from feasibility.render.terminal.layout import print_rows

_TONES: Final[dict[State, Tone]] = {"ok": "plain", "limited": "caution", "missing": "bad"}


def render_host_report(report: HostReport, console: Console) -> None:
    """Print what was found, and under it what to do where something is lacking."""
    print_rows(console, [row for check in report.checks for row in _rows(check)], indent=0)


def _rows(check: HostCheck) -> tuple[Row, ...]:
    word = "" if check.state == "ok" else f"{check.state}: "
    finding = Row(check.subject, word + name_text(check.finding, 300), _TONES[check.state])
    return (finding, Row("", f"-> {name_text(check.hint, 300)}")) if check.hint else (finding,)
