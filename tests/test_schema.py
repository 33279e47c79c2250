"""Documents: written, read again, refused for a stated reason, and described field by field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from feasibility import json_documents as schema
from feasibility.errors import DocumentError, UsageError
from feasibility.records.facts import ModelFacts
from feasibility.records.profile import Profile

FACTS = ModelFacts(tool_version="0", name="a.onnx", path="a.onnx", format="onnx", file_bytes=7)


def test_a_document_comes_back_as_it_was() -> None:
    """Encoding and decoding are inverse, and the document names its schema."""
    data = schema.encode(FACTS)
    assert json.loads(data)["schema"] == "feasibility/facts/1"
    assert data.endswith(b"}\n")
    assert schema.decode(data, ModelFacts, "a.json") == FACTS


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (b"", "not a document of this tool"),
        (b"[1]", "not a document of this tool"),
        (b'{"a": 1}', "not a document of this tool"),
        (b'{"schema": "feasibility/facts/1"}', "it is 'feasibility/facts/1', not feasibility/pro"),
        (b'{"schema": "feasibility/profile/2"}', "written by a newer feasibility"),
        (b'{"schema": "feasibility/profile/0"}', "an old version"),
        (b'{"schema": "feasibility/profile/1"}', "is not valid"),
        (b"\xff\xfe", "not a document of this tool"),
    ],
)
def test_other_documents_are_refused(document: bytes, why: str) -> None:
    """Each kind of wrong document has its own reason."""
    with pytest.raises(DocumentError, match=r"Cannot read a\.json") as caught:
        schema.decode(document, Profile, "a.json")
    assert why in caught.value.why
    assert caught.value.hint


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The system's reason is passed on."""
    with pytest.raises(DocumentError, match="No such file"):
        schema.read_document(tmp_path / "none.json", Profile)


def test_unknown_fields_are_ignored() -> None:
    """A later minor version may add fields."""
    document = json.loads(schema.encode(FACTS)) | {"added_later": 1}
    assert schema.decode(json.dumps(document).encode(), ModelFacts, "a.json") == FACTS


def test_an_unknown_schema_name_lists_the_known_ones() -> None:
    """The error tells what there is."""
    with pytest.raises(UsageError, match="assessment, baseline, budget, catalogue, compari"):
        schema.json_schema("prophecy")


@pytest.mark.parametrize("name", sorted(schema.DOCUMENTS))
def test_every_field_is_described(name: str) -> None:
    """A document can be read with its schema alone."""
    undescribed = [
        f"{title}.{field}"
        for title, definition in schema.json_schema(name)["$defs"].items()
        for field, entry in definition.get("properties", {}).items()
        if field != "schema" and not _description(entry)
    ]
    assert undescribed == []


@pytest.mark.parametrize("name", sorted(schema.DOCUMENTS))
def test_field_names_carry_their_unit(name: str) -> None:
    """Numbers are bytes, nanoseconds, counts or ratios, and their names say so."""
    unitless = {"score", "threads", "opset", "ir_version", "seed", "low", "high", "flops", "macs"}
    unitless |= {"value"}  # of a device's figure, whose own name ends in the unit
    unitless |= {"limit", "baseline", "actual", "before", "after"}  # whose unit stands beside them
    unitless |= {"line_number"}
    unitless |= {"worst", "usual", "best"}  # of a network's figure, as with `value`
    # Of outputs, whose unit only the model knows; a cosine has none.
    unitless |= {"max_difference", "mean_difference", "cosine"}
    suffixes = ("_bytes", "_ns", "_count", "_ratio", "_per_s", "_uj", "_mw", "_microusd")
    nameless = [
        f"{title}.{field}"
        for title, definition in schema.json_schema(name)["$defs"].items()
        for field, entry in definition.get("properties", {}).items()
        if _is_number(entry) and field not in unitless and field != "bytes"
        if not field.endswith(suffixes)
    ]
    assert nameless == []


def _description(entry: dict[str, Any]) -> str:
    return str(entry.get("description", ""))


def _is_number(entry: dict[str, Any]) -> bool:
    kinds = [entry, *entry.get("anyOf", [])]
    return any(kind.get("type") in ("integer", "number") for kind in kinds)
