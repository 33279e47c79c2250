"""What does `feasibility doctor` do? Shows what can be measured here, and how to measure more."""

from __future__ import annotations

from feasibility import __version__
from feasibility.commands.option_groups import CommandApp
from feasibility.commands.options import JsonOption
from feasibility.commands.output import print_result

app = CommandApp()


@app.add_command()
def doctor(*, json: JsonOption = False) -> None:
    """Check what this machine can measure, and what to install to measure more."""
    from feasibility.commands.host_checks import check_host
    from feasibility.records.doctor import HostReport
    from feasibility.render.reports.doctor import doctor_report

    report = HostReport(tool_version=__version__, checks=check_host())
    print_result(report, lambda: doctor_report(report), as_json=json)
