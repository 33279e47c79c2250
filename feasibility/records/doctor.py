"""What a machine lets the tool measure."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from feasibility.records.base import Record

State: TypeAlias = Literal["ok", "limited", "missing"]


class HostCheck(Record, frozen=True, kw_only=True):
    """One thing that measuring relies on."""

    subject: Annotated[str, Meta(description="What was looked at.")]
    state: Annotated[State, Meta(description="Whether it is there, there in part, or not.")]
    finding: Annotated[str, Meta(description="What was found, in words.")]
    hint: Annotated[str, Meta(description="What to do about it; empty where nothing is.")] = ""


class HostReport(Record, frozen=True, kw_only=True, tag_field="schema", tag="feasibility/doctor/1"):
    """The answer of `doctor`."""

    tool_version: Annotated[str, Meta(description="Version of feasibility that wrote this.")]
    checks: Annotated[tuple[HostCheck, ...], Meta(description="One per instrument.")]
