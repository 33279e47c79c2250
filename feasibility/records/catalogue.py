"""Which devices can models be checked against?"""

from __future__ import annotations

from typing import Annotated

from feasibility.records.device import Device
from feasibility.records.shared_fields import Record, doc


class Catalogue(
    Record, frozen=True, kw_only=True, tag_field="schema", tag="feasibility/catalogue/1"
):
    """The result of `devices list` and of `devices validate FILE`."""

    tool_version: Annotated[str, doc("Version of feasibility that wrote this document.")]
    devices: Annotated[tuple[Device, ...], doc("The devices.")]
