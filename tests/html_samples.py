"""Records of every kind that has an HTML page, and a reader of such pages."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import msgspec
from msgspec.structs import replace

from feasibility.records.assessment import Assessment, ModelAssessment
from feasibility.records.comparison import ComparedFigure
from tests import anatomy_samples, budget_samples, samples
from tests.test_compare import measured_now
from tests.test_fit_report import found, not_found
from tests.test_prove_report import bisected

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "{{ 7 * 7 }}{% raw %}",
)


def model_assessment(name: str = "resnet101.onnx") -> ModelAssessment:
    """A model with everything measured, on all sample devices."""
    profile = anatomy_samples.profile()
    model = replace(
        profile.model,
        name=name,
        flops_by_class={"conv": 15_000_000_000, "matmul": 4_000_000},
        moved_bytes_by_class={"conv": 300_000_000, "matmul": 8_000_000},
    )
    return replace(samples.model_assessment(name), profile=replace(profile, model=model))


def records() -> dict[str, msgspec.Struct]:
    """One record of every kind."""
    first = model_assessment()
    return {
        "check": Assessment(tool_version="0.1.0", models=(first,)),
        "check-many": replace(
            samples.assessment_of_many(), models=(first, model_assessment("cats.onnx"))
        ),
        "measure": first.profile,
        "compare": measured_now(),
        "fit": found(),
        "fit-not-found": not_found(),
        "prove": bisected(),
        "budget": budget_samples.report(
            budget_samples.broken_model(), budget_samples.kept_model(), errors=True
        ),
        "inspect": samples.facts(),
    }


def with_names(record: Any, hostile: str) -> Any:
    """The record with this text in every name that a model, a device or a path gives."""
    names = {"name", "node", "op_type", "producer", "path", "model", "cpu", "label", "config"}

    def changed(value: Any, key: str) -> Any:
        if isinstance(value, ComparedFigure):
            return value  # its name comes from a fixed list
        if isinstance(value, msgspec.Struct):
            fields = {each: getattr(value, each) for each in value.__struct_fields__}
            return replace(value, **{each: changed(old, each) for each, old in fields.items()})
        if isinstance(value, tuple):
            return tuple(changed(each, key) for each in value)
        is_name = isinstance(value, str) and key in names
        return hostile if is_name else value

    return changed(record, "")


@dataclass
class Page(HTMLParser):
    """What a browser finds in a page."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    blocks: dict[str, list[str]] = field(default_factory=lambda: {"script": [], "style": []})
    _inside: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in self.blocks:
            self._inside = tag
            self.blocks[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.blocks[self._inside][-1] += data
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))

    @property
    def data(self) -> Any:
        return json.loads(self.blocks["script"][0])

    @property
    def policy(self) -> str:
        (policy,) = (
            attributes["content"]
            for tag, attributes in self.tags
            if attributes.get("http-equiv") == "Content-Security-Policy"
        )
        assert policy is not None
        return policy


def read_page(page: bytes) -> Page:
    """The page as a browser parses it."""
    parsed = Page()
    parsed.feed(page.decode())
    parsed.close()
    return parsed


def source_hash(text: str) -> str:
    """The hash of a text as a Content-Security-Policy contains it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
