"""`feasibility doctor`: what this machine can measure, and what to do for the rest."""

from __future__ import annotations

import typer

from feasibility import __version__
from feasibility.commands.options import JsonOption
from feasibility.commands.output import print_result

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def doctor(*, json: JsonOption = False) -> None:
    """Tell what this machine can measure, and what to install or allow for the rest."""
    from feasibility.commands.host_checks import check_host
    from feasibility.records.doctor import HostReport
    from feasibility.render.terminal.doctor import render_host_report

    report = HostReport(tool_version=__version__, checks=check_host())
    print_result(
        report, lambda console: render_host_report(report, console), as_json=json, output=None
    )
