"""Which blocks does the page of a record have? Its report, its plots and its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from feasibility.records.assessment import Assessment, ModelAssessment
from feasibility.records.budget import BudgetReport
from feasibility.records.comparison import Comparison
from feasibility.records.facts import ModelFacts
from feasibility.records.fit import Fit
from feasibility.records.profile import Profile
from feasibility.records.proof import Proof
from feasibility.render.html.assessment_plots import assessment_plots
from feasibility.render.html.comparison_plots import comparison_plots
from feasibility.render.html.data_tables import DataTable, device_table, node_tables, overview_table
from feasibility.render.html.fit_plots import fit_plots
from feasibility.render.html.limit_plots import budget_plots, facts_plots, proof_plots
from feasibility.render.html.plots import Plot
from feasibility.render.html.profile_plots import profile_plots
from feasibility.render.reports.budget import budget_check_report
from feasibility.render.reports.check import check_report
from feasibility.render.reports.compare import compare_report
from feasibility.render.reports.fit import fit_report
from feasibility.render.reports.inspect import inspect_report
from feasibility.render.reports.measure import measure_report
from feasibility.render.reports.prove import prove_report
from feasibility.render.reports.sections import Report, Section, counted, name_text
from feasibility.render.reports.verdict_table import (
    common_legend,
    device_grid,
    mark_legend,
    model_legend,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A part of the page with a heading.

    Args:
        kind: What the block shows: the command that wrote its record.
        lead: Sections above the plots: the answer and what it is about.
        tables: Tables between these sections and the plots.
        nodes: Tables below the plots.
        rest: The other sections.
        more: Sections that a reader can open.
    """

    title: str
    kind: str
    lead: tuple[Section, ...]
    tables: tuple[DataTable, ...] = ()
    plots: tuple[Plot, ...] = ()
    nodes: tuple[DataTable, ...] = ()
    rest: tuple[Section, ...] = ()
    more: tuple[Section, ...] = ()


def blocks_of(record: msgspec.Struct) -> Iterator[Block]:
    """The blocks of a record, its answer first.

    Raises:
        KeyError: Records of this type have no page.
    """
    yield from _BLOCKS[type(record)](record)


def _assessment_blocks(assessment: Assessment) -> Iterator[Block]:
    """The table of all models and devices, then one block per model."""
    models = assessment.models
    is_many = len(models) > 1
    if not models and not assessment.errors:
        yield Block("no models", "check", ())
    if is_many:
        title = f"{counted(len(models), 'model')} on {_devices_text(models)}"
        remarks = (*filter(None, mark_legend(models)), *common_legend(models))
        tables = (overview_table(models), device_table(models, remarks))
        yield Block(title, "check", (), tables)
    # A page that is too large leaves out its last blocks, so errors come before many models.
    blocks = (_model_block(model, is_one_of_many=is_many) for model in models)
    if not is_many:
        yield from blocks
    if assessment.errors:
        failed = tuple(
            Section(
                name_text(each.path, 200),
                remarks=(name_text(each.message, 600), name_text(each.hint, 600)),
                tone="bad",
            )
            for each in assessment.errors
        )
        yield Block("models that were not assessed", "check", failed)
    yield from blocks


def _devices_text(models: Iterable[ModelAssessment]) -> str:
    return counted(len({found.device for model in models for found in model.devices}), "device")


def _model_block(model: ModelAssessment, *, is_one_of_many: bool) -> Block:
    alone = Assessment(tool_version="", models=(model,))
    title = name_text(model.profile.model.name, 200)
    # The table of devices is not repeated: here it has intervals and can be sorted.
    lead, everything = (
        [each for each in _without_plots(report) if each.grid != device_grid(model)]
        for report in (check_report(alone), check_report(alone, details=True))
    )
    remarks = model_legend(model) + (() if is_one_of_many else common_legend((model,)))
    return Block(
        title,
        "check",
        tuple(_without_title(each, title) for each in lead),
        tables=(device_table((model,), remarks),),
        plots=(*assessment_plots(model), *profile_plots(model.profile)),
        nodes=tuple(node_tables(model.profile)),
        more=tuple(each for each in everything if each not in lead),
    )


def _reported(name: str, kind: str, report: Report, plots: Iterable[Plot]) -> Block:
    """A block with a whole report: its rows above the plots, its long tables below them."""
    title = name_text(name, 200)
    shown = _without_plots(report)
    is_table = [number > 0 and bool(each.title and each.grid) for number, each in enumerate(shown)]
    end = is_table.index(True) if True in is_table else len(shown)
    lead = tuple(_without_title(each, title) for each in shown[:end])
    return Block(title, kind, lead, plots=tuple(plots), rest=tuple(shown[end:]))


def _without_plots(report: Report) -> list[Section]:
    """The sections with more than a plot for terminals; the page has its own plots."""
    return [
        each
        for each in report
        if each is not None and (each.plot is None or each.rows or each.grid or each.remarks)
    ]


def _without_title(section: Section, title: str) -> Section:
    """The section without the title of its block, as title and as label of a row."""
    rows = tuple(replace(row, label="") if row.label == title else row for row in section.rows)
    return replace(section, title="" if section.title == title else section.title, rows=rows)


def _profile_blocks(profile: Profile) -> Iterator[Block]:
    report = measure_report(profile, details=True)
    block = _reported(profile.model.name, "measure", report, profile_plots(profile))
    yield replace(block, nodes=tuple(node_tables(profile)))


def _comparison_blocks(comparison: Comparison) -> Iterator[Block]:
    names = dict.fromkeys(name_text(each.model, 60) for each in comparison.subjects)
    report = compare_report(comparison, details=True)
    yield _reported(", ".join(names), "compare", report, comparison_plots(comparison))


def _fit_blocks(fit: Fit) -> Iterator[Block]:
    yield _reported(fit.model.name, "fit", fit_report(fit, details=True), fit_plots(fit))


def _proof_blocks(proof: Proof) -> Iterator[Block]:
    report = prove_report(proof, details=True)
    yield _reported(proof.model.name, "prove", report, proof_plots(proof))


def _budget_blocks(found: BudgetReport) -> Iterator[Block]:
    report = budget_check_report(found, all_lines=True)
    yield _reported(found.config, "budget check", report, budget_plots(found))


def _facts_blocks(facts: ModelFacts) -> Iterator[Block]:
    report = inspect_report(facts, details=True)
    yield _reported(facts.name, "inspect", report, facts_plots(facts))


_BLOCKS: Final[dict[type[msgspec.Struct], Callable[[Any], Iterator[Block]]]] = {
    Assessment: _assessment_blocks,
    Profile: _profile_blocks,
    Comparison: _comparison_blocks,
    Fit: _fit_blocks,
    Proof: _proof_blocks,
    BudgetReport: _budget_blocks,
    ModelFacts: _facts_blocks,
}
# Documents that `feasibility report` accepts.
RECORD_TYPES: Final = tuple(_BLOCKS)
