"""Each format read by a parser of its own, also where names are hostile."""

from __future__ import annotations

import json
import re
from io import StringIO
from typing import Literal
from xml.etree import ElementTree as ET

import msgspec
import pytest
from markdown_it import MarkdownIt

from feasibility.json_documents import decode, encode
from feasibility.records.budget import BudgetReport
from feasibility.render.ci.github import render_annotations
from feasibility.render.ci.gitlab import render_code_quality
from feasibility.render.ci.junit import render_junit
from feasibility.render.ci.markdown import MARKER, render_markdown
from feasibility.render.ci.sarif import render_sarif
from feasibility.render.reports.budget import budget_check_report
from feasibility.render.terminal.layout import print_report
from feasibility.render.terminal.text_lines import make_console
from tests.budget_samples import HOSTILE, broken_model, kept_model, report
from tests.snapshot import assert_matches_snapshot

REPORTS = {
    "kept": report(kept_model()),
    "empty": report(),
    "broken": report(broken_model(), kept_model()),
    "strict": report(broken_model(), strict=True),
    "hostile": report(broken_model(HOSTILE), kept_model(HOSTILE), errors=True),
}
every_report = pytest.mark.parametrize("shown", REPORTS.values(), ids=REPORTS)


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    """A part of a document of which nothing but these fields is known."""


class Lines(Strict):
    begin: int


class Location(Strict):
    path: str
    lines: Lines


class Issue(Strict):
    description: str
    check_name: str
    fingerprint: str
    severity: Literal["info", "minor", "major", "critical", "blocker"]
    location: Location


@every_report
def test_gitlab_takes_the_code_quality_report(shown: BudgetReport) -> None:
    """Fields, severities and unique fingerprints as GitLab's documentation asks for them."""
    issues = msgspec.json.decode(render_code_quality(shown), type=list[Issue])
    assert len({issue.fingerprint for issue in issues}) == len(issues)
    told = sum(line.outcome in ("fail", "inconclusive") for m in shown.models for line in m.lines)
    assert len(issues) == told + len(shown.errors)


class Text(Strict):
    text: str


class Region(Strict):
    startLine: int  # noqa: N815 (SARIF's name)


class Artifact(Strict):
    uri: str


class Physical(Strict):
    artifactLocation: Artifact  # noqa: N815 (SARIF's name)
    region: Region


class Logical(Strict):
    fullyQualifiedName: str  # noqa: N815 (SARIF's name)


class Place(Strict):
    physicalLocation: Physical  # noqa: N815 (SARIF's name)
    logicalLocations: list[Logical]  # noqa: N815 (SARIF's name)


class Finding(Strict):
    ruleId: str  # noqa: N815 (SARIF's name)
    ruleIndex: int  # noqa: N815 (SARIF's name)
    level: Literal["none", "note", "warning", "error"]
    message: Text
    locations: list[Place]
    partialFingerprints: dict[str, str]  # noqa: N815 (SARIF's name)


class Level(Strict):
    level: Literal["none", "note", "warning", "error"]


class Rule(Strict):
    id: str
    name: str
    shortDescription: Text  # noqa: N815 (SARIF's name)
    defaultConfiguration: Level  # noqa: N815 (SARIF's name)


class Driver(Strict):
    name: str
    semanticVersion: str  # noqa: N815 (SARIF's name)
    rules: list[Rule]


class Tool(Strict):
    driver: Driver


class Run(Strict):
    tool: Tool
    columnKind: Literal["utf16CodeUnits", "unicodeCodePoints"]  # noqa: N815 (SARIF's name)
    results: list[Finding]


class Log(Strict):
    schema: str = msgspec.field(name="$schema")
    version: Literal["2.1.0"] = "2.1.0"
    runs: list[Run] = msgspec.field(default_factory=list)


@every_report
def test_sarif_has_the_parts_that_the_standard_asks_for(shown: BudgetReport) -> None:
    """The used part of SARIF 2.1.0: its fields and words, and results that name their rules."""
    (run,) = msgspec.json.decode(render_sarif(shown), type=Log).runs
    rules = [rule.id for rule in run.tool.driver.rules]
    assert len(set(rules)) == len(rules)
    for result in run.results:
        assert rules[result.ruleIndex] == result.ruleId
        assert result.locations[0].physicalLocation.region.startLine >= 1
        assert result.message.text.isprintable()


@every_report
def test_junit_counts_what_it_holds(shown: BudgetReport) -> None:
    """Well-formed XML, the counts of each suite equal to its cases."""
    root = ET.fromstring(render_junit(shown))
    assert root.tag == "testsuites"
    assert len(root) == len(shown.models) + len(shown.errors)
    for suite in root:
        assert int(suite.get("tests", "")) == len(suite.findall("testcase"))
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped",) * 2):
            assert int(suite.get(attribute, "")) == len(suite.findall(f"testcase/{tag}"))
    failed = sum(line.outcome == "fail" for model in shown.models for line in model.lines)
    unclear = sum(line.outcome == "inconclusive" for m in shown.models for line in m.lines)
    assert int(root.get("failures", "")) == failed + (unclear if shown.strict else 0)


COMMAND = re.compile(r"::(error|warning|notice) ([^:]*)::(.*)")


@every_report
def test_github_gets_one_command_per_line(shown: BudgetReport) -> None:
    """Nothing in a name ends a command or starts another."""
    *told, total = render_annotations(shown).decode().splitlines()
    for line in told:
        command = COMMAND.fullmatch(line)
        assert command is not None
        properties = dict(pair.split("=", 1) for pair in command[2].split(","))
        assert set(properties) == {"file", "line", "title"}
        assert int(properties["line"]) >= 1
    assert total.startswith("::notice title=feasibility budget::")


@every_report
def test_markdown_shows_names_as_they_are(shown: BudgetReport) -> None:
    """One marker, tables whose rows have their columns, no markup out of a name."""
    text = render_markdown(shown).decode()
    assert text.startswith(f"{MARKER}\n")
    assert text.count(MARKER) == 1
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(text)
    inline = [child for token in tokens for child in token.children or ()]
    tags = {child.content for child in inline if child.type == "html_inline"}
    assert tags <= {"<code>", "</code>", "<sub>", "</sub>"}
    assert {child.type for child in inline} <= {
        "text", "text_special", "html_inline", "strong_open", "strong_close",
    }  # fmt: skip
    blocks = [token.content for token in tokens if token.type == "html_block"]
    assert not any("script" in block and "&lt;script" not in block for block in blocks)
    assert "@everyone" not in text
    cells, columns = 0, set()
    for token in tokens:
        if token.type == "tr_open":
            cells = 0
        cells += token.type in ("td_open", "th_open")
        if token.type == "tr_close":
            columns.add(cells)
    assert columns <= {4, 7}


@every_report
def test_json_comes_back(shown: BudgetReport) -> None:
    assert decode(encode(shown), BudgetReport, "r.json") == shown
    assert json.loads(encode(shown))["schema"] == "feasibility/budget/1"


@pytest.mark.parametrize("name", ["broken", "hostile", "kept"])
def test_the_terminal_report(name: str) -> None:
    stream = StringIO()
    print_report(make_console(stream), budget_check_report(REPORTS[name]))
    text = stream.getvalue()
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "\x1b" not in text
    assert_matches_snapshot(f"budget-{name}.txt", text)


def test_many_models_take_one_row_each_if_they_keep_to_their_budgets() -> None:
    many = report(*(kept_model(f"models/{number}.onnx") for number in range(20)), broken_model())
    stream = StringIO()
    print_report(make_console(stream), budget_check_report(many))
    assert_matches_snapshot("budget-many.txt", stream.getvalue())


def test_fingerprints_last_while_the_figures_change() -> None:
    """A service recognises the problem of yesterday, whatever the model weighs today."""
    first = json.loads(render_code_quality(report(broken_model())))
    grown = msgspec.structs.replace(broken_model().lines[0], actual=31 * 2**20)
    model = msgspec.structs.replace(broken_model(), lines=(grown,))
    again = json.loads(render_code_quality(report(model)))
    assert first[0]["fingerprint"] == again[0]["fingerprint"]
    assert first[0]["description"] != again[0]["description"]
