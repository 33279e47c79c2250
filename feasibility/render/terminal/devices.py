"""The terminal reports of `devices`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from feasibility.records.device import Device
from feasibility.render.rows.devices import catalogue_grid, catalogue_remarks, device_sections
from feasibility.render.terminal.grid import print_grid
from feasibility.render.terminal.layout import print_remarks, print_section


def render_catalogue(devices: Sequence[Device], console: Console) -> None:
    """Print one line per device."""
    print_grid(console, catalogue_grid(devices), indent=0)
    print_remarks(console, catalogue_remarks(devices))


def render_device(device: Device, console: Console) -> None:
    """Print everything the catalogue says of one device."""
    for number, section in enumerate(device_sections(device)):
        print_section(console, section, separate=number > 0)
