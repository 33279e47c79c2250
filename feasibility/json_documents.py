"""How are records written as JSON documents and read back, and which versions are accepted?

Format history, newest first. A version changes only if a field is removed or changes its
meaning. New fields keep the version, because readers ignore unknown fields.

* feasibility/assessment/2: `reasons` are objects with code, part and figures; the sentences of
  version 1 are in `reasons_text`.
* feasibility/profile/1, feasibility/assessment/1, feasibility/facts/1,
  feasibility/catalogue/1, feasibility/device/1, feasibility/doctor/1,
  feasibility/proof/1, feasibility/baseline/1, feasibility/budget/1, feasibility/runners/1,
  feasibility/trial/1, feasibility/session_options/1, feasibility/comparison/1, feasibility/fit/1,
  feasibility/accuracy/1: first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from feasibility.errors import DocumentError, UsageError
from feasibility.prepared_types import prepared
from feasibility.records.accuracy import Accuracy
from feasibility.records.assessment import Assessment
from feasibility.records.budget import BudgetReport, Snapshot
from feasibility.records.comparison import Comparison
from feasibility.records.device import Catalogue, Device
from feasibility.records.doctor import HostReport
from feasibility.records.facts import ModelFacts
from feasibility.records.fit import Fit
from feasibility.records.profile import Profile
from feasibility.records.proof import Proof
from feasibility.records.runners import RunnerForms, RunnerTrial
from feasibility.records.session_options import SessionOptions
from feasibility.text import safe_text

RecordT = TypeVar("RecordT", bound=msgspec.Struct)

DOCUMENTS: Final[dict[str, type[msgspec.Struct]]] = {
    "profile": Profile,
    "assessment": Assessment,
    "facts": ModelFacts,
    "catalogue": Catalogue,
    "device": Device,
    "doctor": HostReport,
    "accuracy": Accuracy,
    "baseline": Snapshot,
    "budget": BudgetReport,
    "proof": Proof,
    "runners": RunnerForms,
    "trial": RunnerTrial,
    "session_options": SessionOptions,
    "comparison": Comparison,
    "fit": Fit,
}
_MAX_DOCUMENT_BYTES: Final = 256 * 1024**2
_SCHEMA_NAME: Final = re.compile(r"feasibility/([a-z_]+)/(\d+)", re.ASCII)


class _Header(msgspec.Struct):
    schema: str


def encode(record: msgspec.Struct) -> bytes:
    """The record as one indented JSON document with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def decode(data: bytes, record_type: type[RecordT], source: str) -> RecordT:
    """The record in a JSON document."""
    what = f"Cannot read {safe_text(source)}"
    wanted = str(record_type.__struct_config__.tag)
    try:
        header = msgspec.json.decode(data, type=prepared(_Header))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DocumentError(
            what, f"it is not a document of this tool ({error})", "write one with --json"
        ) from error
    if header.schema != wanted:
        raise DocumentError(what, *_mismatch(header.schema, wanted))
    try:
        return msgspec.json.decode(data, type=prepared(record_type))
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise DocumentError(
            what,
            f"its schema is {wanted}, but it is not valid: {safe_text(str(error), 300)}",
            f"compare it with `feasibility schema {wanted.split('/')[1]}`",
        ) from error


def read_document(path: Path, record_type: type[RecordT]) -> RecordT:
    """The record saved in a file.

    Raises:
        DocumentError: The file cannot be read or does not hold such a record.
    """
    return decode(_bytes_of(path), record_type, str(path))


def _bytes_of(path: Path) -> bytes:
    what = f"Cannot read {safe_text(str(path))}"
    try:
        if path.stat().st_size > _MAX_DOCUMENT_BYTES:
            raise DocumentError(what, "it is larger than any document of this tool")
        return path.read_bytes()
    except OSError as error:
        raise DocumentError(what, error.strerror or str(error), "check the path") from error


def read_any_document(path: Path, record_types: Sequence[type[msgspec.Struct]]) -> msgspec.Struct:
    """The record saved in a file, of one of these types.

    Raises:
        DocumentError: The file cannot be read or does not hold such a record.
    """
    data = _bytes_of(path)
    by_tag = {str(each.__struct_config__.tag): each for each in record_types}
    try:
        found = msgspec.json.decode(data, type=prepared(_Header)).schema
    except (msgspec.DecodeError, UnicodeDecodeError):
        found = ""
    kind = found.rpartition("/")[0]
    # Without an exact match: the type of another version, else any; decoding raises the error.
    near = (each for tag, each in by_tag.items() if kind and tag.startswith(f"{kind}/"))
    wanted = by_tag.get(found) or next(near, None)
    if wanted is None and found:
        names = ", ".join(tag.split("/")[1] for tag in by_tag)
        raise DocumentError(
            f"Cannot read {safe_text(str(path))}",
            f"it is {safe_text(found)!r}",
            f"give a document of one of these kinds: {names}",
        )
    return decode(data, wanted or record_types[0], str(path))


def is_document_of_this_tool(path: Path, name: str | None = None) -> bool:
    """Whether a JSON file has a schema of this tool; with a name, the schema of that document.

    Without a name, the result is true for a file that does not exist.
    """
    try:
        if path.stat().st_size > _MAX_DOCUMENT_BYTES:
            return name is None
        header = msgspec.json.decode(path.read_bytes(), type=prepared(_Header))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return name is None and not path.exists()
    schema = _SCHEMA_NAME.fullmatch(header.schema)
    return schema is not None and name in (None, schema[1])


def json_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a document, by its short name."""
    record_type = DOCUMENTS.get(name)
    if record_type is None:
        raise UsageError(
            f"Cannot find the document {safe_text(name)!r}",
            f"the documents are {', '.join(sorted(DOCUMENTS))}",
            "for example: feasibility schema profile",
        )
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **msgspec.json.schema(record_type),
    }
    return schema


def _mismatch(found: str, wanted: str) -> tuple[str, str]:
    """Why a document with another schema is refused, and what to do."""
    found_match, wanted_match = _SCHEMA_NAME.fullmatch(found), _SCHEMA_NAME.fullmatch(wanted)
    if found_match is None or wanted_match is None or found_match[1] != wanted_match[1]:
        return f"it is {safe_text(found)!r}, not {wanted}", "give a document of that kind"
    if int(found_match[2]) > int(wanted_match[2]):
        return (
            f"it was written by a newer feasibility ({safe_text(found)}; this one reads {wanted})",
            "update feasibility",
        )
    return f"it is {safe_text(found)}, an old version that cannot be read", "measure again"
