"""Runners: the forms of `--on`, and the result of a trial."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from feasibility.records.base import Bytes, Method, Notice, Record
from feasibility.records.profile import Host


class RunnerForm(Record, frozen=True, kw_only=True):
    """One form of `--on`."""

    form: Annotated[str, Meta(description="The form, with its variable parts in capitals.")]
    description: Annotated[str, Meta(description="Where it measures, and what that needs.")]
    usage: Annotated[str, Meta(description="Other forms; may be empty.")] = ""
    is_ready: Annotated[
        bool, Meta(description="Whether this machine has the programs that it needs.")
    ]
    finding: Annotated[str, Meta(description="What is installed or missing.")] = ""
    hint: Annotated[str, Meta(description="What to do about it; may be empty.")] = ""


class RunnerForms(
    Record, frozen=True, kw_only=True, tag_field="schema", tag="feasibility/runners/1"
):
    """The answer of `runner list`."""

    tool_version: Annotated[str, Meta(description="Version of feasibility that wrote this.")]
    runners: Annotated[tuple[RunnerForm, ...], Meta(description="All forms.")]


class RunnerTrial(Record, frozen=True, kw_only=True, tag_field="schema", tag="feasibility/trial/1"):
    """The answer of `runner check`: the result of one small model."""

    tool_version: Annotated[str, Meta(description="Version of feasibility that wrote this.")]
    runner: Annotated[str, Meta(description="The runner, as --on takes it.")]
    method: Annotated[
        Method, Meta(description="emulated: only memory can be measured there; else measured.")
    ]
    model: Annotated[str, Meta(description="The model, one of the zoo.")]
    peak_bytes: Annotated[Bytes, Meta(description="Peak memory while loading and running.")]
    host: Annotated[Host, Meta(description="The machine.")]
    warnings: Annotated[
        tuple[Notice, ...], Meta(description="What to know before a measurement.")
    ] = ()
