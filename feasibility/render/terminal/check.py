"""The terminal report of `check`: one block per model, then all models together."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from feasibility.records.assessment import Assessment, ModelAssessment
from feasibility.render.rows.assessment import (
    advice_text,
    alternative_section,
    device_grid,
    device_section,
    failures_text,
    general_reasons,
    overview_grid,
    reason_rows,
    runtime_remarks,
    source_remarks,
)
from feasibility.render.rows.measure import profile_details
from feasibility.render.rows.places import cloud_row, places_section, settling_row
from feasibility.render.rows.profile import host_row, model_row, summary_rows
from feasibility.render.rows.prove import device_proof_grid, device_proof_remark
from feasibility.render.rows.rows import assumption_rows, name_text, notice_rows
from feasibility.render.terminal.grid import print_grid
from feasibility.render.terminal.layout import (
    print_heading,
    print_remarks,
    print_report,
    print_rows,
    print_section,
)
from feasibility.render.terminal.text_lines import print_hanging


def render_assessment(assessment: Assessment, console: Console, *, details: bool = False) -> None:
    """Print every model's block, then all of them together."""
    for number, model in enumerate(assessment.models):
        if number:
            console.print()
        render_model_assessment(model, console, details=details)
    render_overview(assessment, console)


def render_overview(assessment: Assessment, console: Console) -> None:
    """Print a table of all models where there are several, and those that failed."""
    if len(assessment.models) > 1:
        console.print()
        print_heading(console, "all models")
        print_grid(console, overview_grid(assessment.models))
    if assessment.errors and assessment.models:
        console.print()
        print_remarks(console, (failures_text(assessment),))


def render_model_assessment(
    model: ModelAssessment, console: Console, *, details: bool = False
) -> None:
    """Print what the model is and needs, the devices, the advice and why."""
    profile = model.profile
    print_heading(console, name_text(profile.model.name, console.width))
    rows = (model_row(profile), host_row(profile), *summary_rows(profile))
    print_rows(console, (*rows, *assumption_rows(profile.workload.assumptions)))
    console.print()
    print_grid(console, device_grid(model.devices), indent=0)
    print_remarks(console, (*source_remarks(model.devices), *runtime_remarks(model)))
    proven = device_proof_grid(model.devices)
    if proven is not None:
        console.print()
        print_grid(console, proven, indent=0)
        print_remarks(console, (device_proof_remark(model.devices),))
    console.print()
    _print_advice(model, console)
    notices = notice_rows(profile.warnings)
    if notices:
        console.print()
        print_rows(console, notices)
    if details:
        for item in model.devices:
            console.print()
            print_section(console, device_section(item))
        places = places_section(model)
        if places is not None:
            console.print()
            print_section(console, places)
        considered = alternative_section(model.placement, model.devices)
        if considered is not None:
            console.print()
            print_section(console, considered)
        console.print()
        print_report(console, profile_details(profile))


def _print_advice(model: ModelAssessment, console: Console) -> None:
    arrow = Text("-> " if console.options.ascii_only else "→  ", style="bold")
    print_hanging(console, arrow, Text(advice_text(model.placement), style="bold"))
    for reason in general_reasons(model):
        print_hanging(console, Text("   "), Text(reason))
    added = (cloud_row(model), settling_row(model))
    rows = (*reason_rows(model), *(row for row in added if row is not None))
    print_rows(console, rows, indent=3)
