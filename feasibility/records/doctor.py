"""What can be measured on a machine?"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from feasibility.records.base import Record

State: TypeAlias = Literal["ok", "limited", "missing"]


class HostCheck(Record, frozen=True, kw_only=True):
    """One thing that measurements depend on."""

    subject: Annotated[str, Meta(description="What was checked.")]
    state: Annotated[State, Meta(description="Whether it is available, limited or missing.")]
    finding: Annotated[str, Meta(description="The result, in words.")]
    hint: Annotated[str, Meta(description="What to do about it; may be empty.")] = ""


class HostReport(Record, frozen=True, kw_only=True, tag_field="schema", tag="feasibility/doctor/1"):
    """The answer of `doctor`."""

    tool_version: Annotated[str, Meta(description="Version of feasibility that wrote this.")]
    checks: Annotated[tuple[HostCheck, ...], Meta(description="One per instrument.")]
