"""The terminal report of `inspect`."""

from __future__ import annotations

from rich.console import Console

from feasibility.records.facts import ModelFacts
from feasibility.render.rows.facts import (
    FIRST_SCREEN_COUNT,
    file_row,
    file_section,
    node_sections,
    operator_section,
    peak_section,
    summary_rows,
)
from feasibility.render.rows.rows import assumption_rows, assumption_section, name_text, notice_rows
from feasibility.render.terminal.layout import print_heading, print_rows, print_section


def render_facts(facts: ModelFacts, console: Console, *, details: bool = False) -> None:
    """Print what is in the file, what it asks for and what is open."""
    print_heading(console, name_text(facts.name, console.width))
    assumed = assumption_rows(facts.assumptions)
    notices = notice_rows(facts.warnings)
    print_rows(console, (file_row(facts), *summary_rows(facts), *assumed, *notices))
    every = len(facts.operators)
    sections = [operator_section(facts, every if details else FIRST_SCREEN_COUNT)]
    if details:
        sections += [
            *node_sections(facts),
            peak_section(facts.activation_peak),
            file_section(facts),
            assumption_section(facts.assumptions),
        ]
    for section in sections:
        if section is not None:
            print_section(console, section)
