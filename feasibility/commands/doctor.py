"""`feasibility doctor`: what this machine can measure, and what to do for the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import typer

from feasibility.commands.options import JsonOption
from feasibility.commands.output import stdout_console, write_bytes

if TYPE_CHECKING:
    from feasibility.commands.host_checks import Check, State
    from feasibility.render.view import Row, Tone

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_TONES: Final[dict[State, Tone]] = {"ok": "plain", "limited": "caution", "missing": "bad"}


@app.command()
def doctor(*, json: JsonOption = False) -> None:
    """Tell what this machine can measure, and what to install or allow for the rest."""
    from feasibility.commands.host_checks import check_host

    checks = check_host()
    if json:
        import msgspec

        document = {"schema": "feasibility/doctor/1", "checks": checks}
        write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
        return
    from feasibility.render.terminal import print_rows

    print_rows(stdout_console(), [row for check in checks for row in _rows(check)], indent=0)


def _rows(check: Check) -> list[Row]:
    from feasibility.render.view import Row, name_text

    word = "" if check.state == "ok" else f"{check.state}: "
    rows = [Row(check.subject, word + name_text(check.finding, 300), _TONES[check.state])]
    if check.hint:
        rows.append(Row("", f"-> {check.hint}"))
    return rows
