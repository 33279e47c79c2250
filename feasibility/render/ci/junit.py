"""How is a budget report written as JUnit XML? A suite per model, a case per limit.

Source: the attributes and elements that the Jenkins xUnit schema (junit-10.xsd) allows.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from feasibility.records.budget import BudgetFailure, BudgetLine, BudgetReport, ModelBudget
from feasibility.render.reports.budget import growth_cells, metric_text, sentence_of
from feasibility.render.reports.sections import name_text

_EXPLAINED_LINES = 20
_COUNTED = {
    "tests": "testcase",
    "failures": "testcase/failure",
    "errors": "testcase/error",
    "skipped": "testcase/skipped",
}


def render_junit(report: BudgetReport) -> bytes:
    """The report as XML in UTF-8; an undecided limit counts as skipped unless strict."""
    root = ET.Element("testsuites", name="feasibility budget")
    for model in report.models:
        _add_model(root, model, is_strict=report.strict)
    for failure in report.errors:
        _add_failure(root, failure)
    for suite in root:
        for count, path in _COUNTED.items():
            suite.set(count, str(len(suite.findall(path))))
    for count in ("tests", "failures", "errors"):  # the schema knows `skipped` on suites only
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _add_model(root: ET.Element, model: ModelBudget, *, is_strict: bool) -> None:
    model_name = name_text(model.model, 200)
    suite = ET.SubElement(root, "testsuite", name=model_name)
    explained = [" | ".join(growth_cells(part)) for part in model.growth[:_EXPLAINED_LINES]]
    for line in model.lines:
        name = f"{metric_text(line.metric)} <= {name_text(line.limit_text)}"
        case = ET.SubElement(suite, "testcase", classname=model_name, name=name)
        _add_outcome(case, line, explained, is_strict=is_strict)


def _add_outcome(
    case: ET.Element, line: BudgetLine, explained: list[str], *, is_strict: bool
) -> None:
    sentence = sentence_of(line)
    if line.outcome == "fail" or (line.outcome == "inconclusive" and is_strict):
        failure = ET.SubElement(case, "failure", message=sentence, type=line.outcome)
        failure.text = "\n".join((sentence, *explained))
    elif line.outcome in ("inconclusive", "skipped"):
        ET.SubElement(case, "skipped", message=sentence)


def _add_failure(root: ET.Element, failure: BudgetFailure) -> None:
    name = name_text(failure.model, 200)
    suite = ET.SubElement(root, "testsuite", name=name)
    case = ET.SubElement(suite, "testcase", classname=name, name="check")
    message = name_text(failure.message, 600)
    error = ET.SubElement(case, "error", message=message, type="error")
    error.text = "\n".join(filter(None, (message, name_text(failure.hint, 600))))
