"""Machines to measure on: what `--on` takes, and what a trial on one found."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from feasibility.records.base import Bytes, Method, Notice, Record
from feasibility.records.profile import Host


class RunnerForm(Record, frozen=True, kw_only=True):
    """One form of what `--on` takes."""

    form: Annotated[str, Meta(description="How it is written, its variable parts in capitals.")]
    description: Annotated[str, Meta(description="What it measures on, and what that needs.")]
    usage: Annotated[str, Meta(description="Further forms of it; may be empty.")] = ""
    is_ready: Annotated[
        bool, Meta(description="Whether this machine has what is needed on its side.")
    ]
    finding: Annotated[str, Meta(description="What is installed, or what is missing.")] = ""
    hint: Annotated[str, Meta(description="What to do about it; empty where nothing is.")] = ""


class RunnerForms(
    Record, frozen=True, kw_only=True, tag_field="schema", tag="feasibility/runners/1"
):
    """The answer of `runner list`."""

    tool_version: Annotated[str, Meta(description="Version of feasibility that wrote this.")]
    runners: Annotated[tuple[RunnerForm, ...], Meta(description="Every form.")]


class RunnerTrial(Record, frozen=True, kw_only=True, tag_field="schema", tag="feasibility/trial/1"):
    """The answer of `runner check`: one small model, loaded and run there."""

    tool_version: Annotated[str, Meta(description="Version of feasibility that wrote this.")]
    runner: Annotated[str, Meta(description="The machine, as --on takes it.")]
    method: Annotated[
        Method, Meta(description="emulated: memory alone can be measured there; else measured.")
    ]
    model: Annotated[str, Meta(description="The model, one of the zoo.")]
    peak_bytes: Annotated[Bytes, Meta(description="Most that it needed, loading and running.")]
    host: Annotated[Host, Meta(description="The machine that it ran on.")]
    warnings: Annotated[tuple[Notice, ...], Meta(description="What to know before measuring.")] = ()
