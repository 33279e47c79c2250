"""The terminal report of `devices validate --report`."""

from __future__ import annotations

from rich.console import Console

from feasibility.records.accuracy import Accuracy
from feasibility.render.rows.accuracy import HEADINGS, accuracy_grid, accuracy_remarks
from feasibility.render.terminal.grid import print_grid
from feasibility.render.terminal.layout import print_remarks


def render_accuracy(accuracy: Accuracy, console: Console) -> None:
    """Print the error by group, by kind of device and by runtime."""
    for scope, heading in HEADINGS:
        if any(line.scope == scope for line in accuracy.lines):
            print_grid(console, accuracy_grid(accuracy, scope, heading), indent=0)
            console.print()
    print_remarks(console, accuracy_remarks(accuracy))
