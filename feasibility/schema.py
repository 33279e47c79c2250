"""Records to JSON documents and back, with versions checked.

Format history, newest first. A version changes only when a field is removed or
changes its meaning; added fields keep it, because readers ignore what they do
not know.

* feasibility/assessment/2: `reasons` are objects with code, part and figures; the sentences of
  version 1 are in `reasons_text`.
* feasibility/profile/1, feasibility/assessment/1, feasibility/facts/1,
  feasibility/catalogue/1, feasibility/device/1, feasibility/doctor/1,
  feasibility/proof/1, feasibility/baseline/1, feasibility/budget/1, feasibility/runners/1,
  feasibility/trial/1: first.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from feasibility.errors import DocumentError, UsageError
from feasibility.records.accuracy import Accuracy
from feasibility.records.assessment import Assessment
from feasibility.records.budget import BudgetReport, Snapshot
from feasibility.records.catalogue import Catalogue
from feasibility.records.device import Device
from feasibility.records.doctor import HostReport
from feasibility.records.facts import ModelFacts
from feasibility.records.profile import Profile
from feasibility.records.proof import Proof
from feasibility.records.runners import RunnerForms, RunnerTrial
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
}
_MAX_DOCUMENT_BYTES: Final = 256 * 1024**2
_SCHEMA_NAME: Final = re.compile(r"feasibility/([a-z]+)/(\d+)", re.ASCII)


class _Header(msgspec.Struct):
    schema: str


def encode(record: msgspec.Struct) -> bytes:
    """The record as one indented JSON document with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def decode(data: bytes, record_type: type[RecordT], source: str) -> RecordT:
    """The record that a JSON document holds.

    Args:
        data: The document.
        record_type: What it must be.
        source: Where it came from, for messages.

    Raises:
        DocumentError: It is not JSON, not this kind of document, of a newer version, or invalid.
    """
    what = f"Cannot read {safe_text(source)}"
    wanted = str(record_type.__struct_config__.tag)
    try:
        header = msgspec.json.decode(data, type=_Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DocumentError(
            what, f"it is not a document of this tool ({error})", "write one with --json"
        ) from error
    if header.schema != wanted:
        raise DocumentError(what, *_mismatch(header.schema, wanted))
    try:
        return msgspec.json.decode(data, type=record_type)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise DocumentError(
            what,
            f"it says {wanted} but is not valid: {safe_text(str(error), 300)}",
            f"compare it with `feasibility schema {wanted.split('/')[1]}`",
        ) from error


def read_document(path: Path, record_type: type[RecordT]) -> RecordT:
    """The record saved in a file.

    Raises:
        DocumentError: The file cannot be read or does not hold such a record.
    """
    what = f"Cannot read {safe_text(str(path))}"
    try:
        if path.stat().st_size > _MAX_DOCUMENT_BYTES:
            raise DocumentError(what, "it is larger than any document of this tool")
        data = path.read_bytes()
    except OSError as error:
        raise DocumentError(what, error.strerror or str(error), "check the path") from error
    return decode(data, record_type, str(path))


def is_document_of_this_tool(path: Path) -> bool:
    """Whether a JSON file says that it is one; a file that cannot be read is left to others."""
    try:
        if path.stat().st_size > _MAX_DOCUMENT_BYTES:
            return True
        header = msgspec.json.decode(path.read_bytes(), type=_Header)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return not path.exists()
    return _SCHEMA_NAME.fullmatch(header.schema) is not None


def json_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a document, by its short name.

    Raises:
        UsageError: There is no such document.
    """
    record_type = DOCUMENTS.get(name)
    if record_type is None:
        raise UsageError(
            f"There is no document {safe_text(name)!r}",
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
        return f"it is {safe_text(found)!r}, not {wanted}", "pass the right kind of document"
    if int(found_match[2]) > int(wanted_match[2]):
        return (
            f"it was written by a newer feasibility ({safe_text(found)}; this one reads {wanted})",
            "update feasibility",
        )
    return f"it is {safe_text(found)}, which is no longer read", "measure again"
