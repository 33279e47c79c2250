"""Which forms of `--on` are there, and what did a trial of a runner find?"""

from __future__ import annotations

from typing import Annotated

from feasibility.records.profile import Host
from feasibility.records.shared_fields import Bytes, Document, Method, Notice, Record, doc


class RunnerForm(Record, frozen=True, kw_only=True):
    """One form of `--on`."""

    form: Annotated[str, doc("The form, with its variable parts in capitals.")]
    description: Annotated[str, doc("Where the runner measures, and what it needs.")]
    usage: Annotated[str, doc("Other forms; may be empty.")] = ""
    is_ready: Annotated[bool, doc("True if this machine has the programs that the runner needs.")]
    finding: Annotated[str, doc("What is installed or missing.")] = ""
    hint: Annotated[str, doc("What to do; may be empty.")] = ""


class RunnerForms(Document, frozen=True, kw_only=True, tag="feasibility/runners/1"):
    """The answer of `runner list`."""

    runners: Annotated[tuple[RunnerForm, ...], doc("All forms.")]


class RunnerTrial(Document, frozen=True, kw_only=True, tag="feasibility/trial/1"):
    """The answer of `runner check`: the result of one small model."""

    runner: Annotated[str, doc("The runner, as --on takes it.")]
    method: Annotated[Method, doc("measured, or emulated: only memory can be measured.")]
    model: Annotated[str, doc("The model, one of the zoo.")]
    peak_bytes: Annotated[Bytes, doc("Peak memory while loading and running.")]
    host: Annotated[Host, doc("The machine.")]
    warnings: Annotated[tuple[Notice, ...], doc("Warnings about measurements on this runner.")] = ()
