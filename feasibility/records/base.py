"""The base class and the field types that all records share."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta


class Record(msgspec.Struct, frozen=True):
    """An immutable record; every subclass also says `kw_only`, which is not inherited.

    Unknown fields are ignored on reading, so that a document written by a later
    minor version, which may only add fields, can still be read.
    """


def doc(description: str) -> Meta:
    """The sentence about a field that the JSON Schema shows."""
    return Meta(description=description)


Bytes: TypeAlias = Annotated[int, Meta(ge=0)]
Nanoseconds: TypeAlias = Annotated[int, Meta(ge=0)]
Count: TypeAlias = Annotated[int, Meta(ge=0)]
Ratio: TypeAlias = Annotated[float, Meta(ge=0)]

Isa: TypeAlias = Literal["aarch64", "x86_64"]
# What other systems call them.
ISA_ALIASES: Final = {"arm64": "aarch64", "amd64": "x86_64"}
Method: TypeAlias = Literal["measured", "emulated", "projected"]
Dim: TypeAlias = int | str | None


class Notice(Record, frozen=True, kw_only=True):
    """Something a reader should know before trusting a figure."""

    code: Annotated[str, Meta(description="Stable identifier, for scripts.")]
    message: Annotated[str, Meta(description="What was noticed, in one sentence.")]
    hint: Annotated[str, Meta(description="What to do about it; may be empty.")] = ""


class Assumption(Record, frozen=True, kw_only=True):
    """A value that the model left open and that was chosen for it."""

    subject: Annotated[str, Meta(description="The dim or input that was open.")]
    value: Annotated[str, Meta(description="The value chosen.")]
    reason: Annotated[str, Meta(description="Why this value is likely.")]
    option: Annotated[str, Meta(description="The option that sets it, ready to paste.")]


class TensorSpec(Record, frozen=True, kw_only=True):
    """One declared input or output of a model."""

    name: Annotated[str, Meta(description="Name as the model gives it; untrusted text.")]
    dtype: Annotated[
        str,
        Meta(
            description="Element type in numpy's words (float32, int64, bool, string, bfloat16), "
            "or for maps and sequences the type of their values."
        ),
    ]
    shape: Annotated[
        tuple[Dim, ...] | None,
        Meta(
            description="One entry per dim: a size, a symbolic name, or null where the model "
            "says nothing; null as a whole if even the rank is open."
        ),
    ] = None
    kind: Annotated[
        Literal["tensor", "sequence", "map", "optional", "sparse"],
        Meta(description="What the value is; anything but a tensor is rare."),
    ] = "tensor"
    type_text: Annotated[
        str, Meta(description="The full type, for example seq(map(int64,tensor(float))).")
    ] = ""
