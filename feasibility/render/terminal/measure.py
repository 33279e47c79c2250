"""The terminal report of `measure`: every figure with what it includes."""

from __future__ import annotations

from rich.console import Console

from feasibility.records.profile import Profile
from feasibility.render.rows.profile import host_row, memory_section, model_row, time_section
from feasibility.render.rows.profile_details import (
    allocation_section,
    distribution_section,
    operator_memory_section,
    operator_time_section,
    workload_section,
)
from feasibility.render.rows.rows import assumption_rows, assumption_section, name_text, notice_rows
from feasibility.render.terminal.anatomy import render_anatomy
from feasibility.render.terminal.layout import print_heading, print_rows, print_section

FIRST_SCREEN_COUNT = 5


def render_profile(profile: Profile, console: Console, *, details: bool = False) -> None:
    """Print what the model is, its memory, its times and its slowest nodes."""
    print_heading(console, name_text(profile.model.name, console.width))
    assumed = assumption_rows(profile.workload.assumptions)
    print_rows(console, (model_row(profile), host_row(profile), *assumed))
    if not details:
        print_section(console, memory_section(profile))
        print_section(console, time_section(profile.latency))
        slowest = operator_time_section(profile, FIRST_SCREEN_COUNT)
        if slowest is not None:
            print_section(console, slowest)
    else:
        render_profile_details(profile, console)
    notices = notice_rows(profile.warnings)
    if notices:
        console.print()
        print_rows(console, notices)


def render_profile_details(profile: Profile, console: Console) -> None:
    """Print memory and where it is, operators, allocations, spread and assumptions."""
    print_section(console, memory_section(profile))
    render_anatomy(profile, console)
    sections = (
        allocation_section(profile),
        operator_memory_section(profile),
        time_section(profile.latency),
        distribution_section(profile),
        operator_time_section(profile),
        workload_section(profile),
        assumption_section(profile.workload.assumptions),
    )
    for section in sections:
        if section is not None:
            print_section(console, section)
