"""What can be measured on a machine?"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from feasibility.records.shared_fields import Document, Record, doc

State: TypeAlias = Literal["ok", "limited", "missing"]


class HostCheck(Record, frozen=True):
    """One thing that measurements depend on."""

    subject: Annotated[str, doc("What was checked.")]
    state: Annotated[State, doc("Whether it is available, limited or missing.")]
    finding: Annotated[str, doc("The result, in words.")]
    hint: Annotated[str, doc("What to do; may be empty.")] = ""


class HostReport(Document, frozen=True, kw_only=True, tag="feasibility/doctor/1"):
    """The answer of `doctor`."""

    checks: Annotated[tuple[HostCheck, ...], doc("One check per instrument.")]
