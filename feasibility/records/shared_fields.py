"""Which base class and which field types do all records share?"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from feasibility.records.rows import Shown


class Record(msgspec.Struct, frozen=True):
    """An immutable record. Subclasses repeat `kw_only`, which is not inherited.

    Reading ignores unknown fields, because later minor versions may add fields.
    """


def doc(description: str) -> Meta:
    """The sentence about a field that the JSON Schema shows."""
    return Meta(description=description)


class Document(Shown, Record, frozen=True, kw_only=True, tag_field="schema"):
    """A record that is saved or printed as JSON of its own; its tag is name and version."""

    tool_version: Annotated[str, doc("Version of feasibility that wrote this document.")]


Bytes: TypeAlias = Annotated[int, Meta(ge=0)]
Nanoseconds: TypeAlias = Annotated[int, Meta(ge=0)]
Count: TypeAlias = Annotated[int, Meta(ge=0)]
Ratio: TypeAlias = Annotated[float, Meta(ge=0)]

Isa: TypeAlias = Literal["aarch64", "x86_64"]
# Names of instruction sets on other systems.
ISA_ALIASES: Final = {"arm64": "aarch64", "amd64": "x86_64"}
Method: TypeAlias = Literal["measured", "emulated", "projected"]
Dim: TypeAlias = int | str | None
AllocatorSetting: TypeAlias = Literal["steady", "default"]
ValueKind: TypeAlias = Literal["tensor", "sequence", "map", "optional", "sparse"]


class Notice(Record, frozen=True, kw_only=True):
    """A warning about a figure."""

    code: Annotated[str, doc("Stable identifier, for scripts.")]
    message: Annotated[str, doc("The warning in one sentence.")]
    hint: Annotated[str, doc("What to do; may be empty.")] = ""


class Assumption(Record, frozen=True, kw_only=True):
    """A value that the model leaves open and that was assumed."""

    subject: Annotated[str, doc("The dim or input.")]
    value: Annotated[str, doc("The assumed value.")]
    reason: Annotated[str, doc("Why this value is likely.")]
    option: Annotated[str, doc("The option that sets another value.")]


class TensorSpec(Record, frozen=True, kw_only=True):
    """One declared input or output of a model."""

    name: Annotated[str, doc("Name as the model gives it; untrusted text.")]
    dtype: Annotated[
        str,
        doc(
            "Element type as in numpy, for example float32 or string. "
            "For maps and sequences, the type of their values."
        ),
    ]
    shape: Annotated[
        tuple[Dim, ...] | None,
        doc("Sizes, symbolic names, or null for unknown dims; null if the rank is unknown."),
    ] = None
    kind: Annotated[ValueKind, doc("Kind of value; usually a tensor.")] = "tensor"
    type_text: Annotated[str, doc("The full type, for example seq(map(int64,tensor(float))).")] = ""
