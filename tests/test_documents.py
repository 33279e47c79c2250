"""JSON documents: each is its record and can be read back."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from feasibility.json_documents import encode
from feasibility.records.assessment import Assessment
from feasibility.records.facts import ModelFacts
from feasibility.records.profile import Profile
from tests import samples

DOCUMENTS = [
    (samples.profile(), Profile, "feasibility/profile/1"),
    (samples.facts(), ModelFacts, "feasibility/facts/1"),
    (samples.assessment_of_many(), Assessment, "feasibility/assessment/2"),
]


@pytest.mark.parametrize(("record", "kind", "schema"), DOCUMENTS)
def test_a_document_is_the_record(record: Any, kind: type, schema: str) -> None:
    document = encode(record)
    assert json.loads(document)["schema"] == schema
    assert msgspec.json.decode(document, type=kind) == record


def test_a_document_ends_its_line_and_names_its_schema_first() -> None:
    document = encode(samples.profile())
    assert document.endswith(b"}\n")
    assert next(iter(json.loads(document))) == "schema"


def test_what_was_not_measured_is_null() -> None:
    bare = msgspec.structs.replace(samples.profile(), memory=None)
    assert json.loads(encode(bare))["memory"] is None


@pytest.mark.parametrize("name", [name for name in samples.HOSTILE_NAMES if name.isprintable()])
def test_names_are_kept_as_they_are(name: str) -> None:
    measured = samples.profile()
    model = msgspec.structs.replace(measured.model, name=name)
    document = encode(msgspec.structs.replace(measured, model=model))
    assert json.loads(document)["model"]["name"] == name


def test_no_control_character_stands_in_a_document() -> None:
    measured = samples.profile()
    model = msgspec.structs.replace(measured.model, name="\x1b[2J\x00\n")
    document = encode(msgspec.structs.replace(measured, model=model)).decode()
    assert {c for c in document if not c.isprintable()} == {"\n"}
