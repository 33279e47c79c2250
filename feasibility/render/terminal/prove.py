"""The terminal report of `prove`: the limit, what the model did under it, where it changes."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.text import Text

from feasibility.records.proof import Proof
from feasibility.render.rows.latency_plot import Mark, Plot, latency_plot
from feasibility.render.rows.profile import model_row
from feasibility.render.rows.prove import (
    advice_text,
    bisection_section,
    proof_rows,
    runs_section,
)
from feasibility.render.rows.rows import Tone, assumption_rows, name_text, notice_rows
from feasibility.render.terminal.layout import print_heading, print_rows, print_section
from feasibility.render.terminal.text_lines import TONE_STYLES, fitted, print_hanging, print_line

_LABEL_WIDTH: Final = 9
_WIDEST_PLOT: Final = 100
_GLYPHS: Final[dict[Mark, tuple[str, str]]] = {
    "empty": (" ", " "),
    "alive": ("●", "o"),
    "killed": ("x", "x"),
}
_STYLES: Final[dict[Mark, Tone]] = {"empty": "plain", "alive": "good", "killed": "bad"}


def render_proof(proof: Proof, console: Console, *, details: bool = False) -> None:
    """Print the limit, the outcome, and with --bisect the floor, the comfort point and a plot."""
    print_heading(console, name_text(proof.model.name, console.width))
    assumed = assumption_rows(proof.workload.assumptions)
    print_rows(console, (model_row(proof), *proof_rows(proof), *assumed))
    section = bisection_section(proof)
    if section is not None:
        print_section(console, section)
        plot = latency_plot(proof, min(console.width, _WIDEST_PLOT) - _LABEL_WIDTH - 4)
        if plot is not None:
            print_plot(console, plot)
    runs = runs_section(proof)
    if runs is not None and (details or section is not None):
        print_section(console, runs)
    advice = advice_text(proof)
    if advice:
        console.print()
        arrow = Text("-> " if console.options.ascii_only else "→  ", style="bold")
        print_hanging(console, arrow, Text(advice, style="bold"))
    notices = notice_rows(proof.warnings)
    if notices:
        console.print()
        print_rows(console, notices)


def print_plot(console: Console, plot: Plot) -> None:
    """A field of marks with labels on its left and the ends of its axis below."""
    ascii_only = console.options.ascii_only
    bar, corner, axis = ("|", "+", "-") if ascii_only else ("│", "└", "─")
    console.print()
    print_heading(console, plot.title)
    for line in plot.lines:
        text = Text(f"  {fitted(line.label, _LABEL_WIDTH, 'right')} {bar}")
        for mark in line.marks:
            text.append(_GLYPHS[mark][ascii_only], style=TONE_STYLES[_STYLES[mark]])
        print_line(console, text)
    width = len(plot.lines[0].marks)
    margin = " " * (_LABEL_WIDTH + 3)
    print_line(console, Text(margin + corner + axis * width))
    room = width + 1 - len(plot.left)
    print_line(console, Text(margin + plot.left + fitted(plot.right, room, "right")))
