"""What does the report of `check` say? Verdict and next action first, then what was measured."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Final

from feasibility.records.assessment import Assessment, DeviceAssessment, ModelAssessment
from feasibility.records.intervals import BytesInterval, DurationInterval
from feasibility.render.reports.assessment_texts import (
    SERVER,
    best_server,
    candidate_of,
    kind_text,
    server_text,
)
from feasibility.render.reports.compare_devices import duration_text, energy_rows, places_section
from feasibility.render.reports.measure import profile_details
from feasibility.render.reports.model_and_machine import host_row, model_row, summary_rows
from feasibility.render.reports.prove import device_proof_section
from feasibility.render.reports.reasons import upload_text
from feasibility.render.reports.sections import (
    Report,
    Row,
    Section,
    Tone,
    answer_section,
    assumption_rows,
    listed_rows,
    name_text,
    notice_section,
    section_of,
)
from feasibility.render.reports.verdict_table import (
    METHOD_TEXT,
    VERDICT_TONE,
    common_legend,
    device_grid,
    model_legend,
    overview_grid,
    shown_latency,
    verdict_text,
)
from feasibility.units import format_bytes, format_bytes_range, format_duration

# Beginnings of the recommendation that are printed in capitals.
_ANSWERS: Final[dict[str, Tone]] = {
    "on device with changes": "caution",
    "on device": "good",
    "cloud": "good",
    "undecided": "plain",
    "does not fit": "bad",
}


def check_report(assessment: Assessment, *, details: bool = False) -> Report:
    """The report: of several models first all verdicts together, then each model."""
    models = assessment.models
    sections: list[Section | None] = []
    is_many = len(models) > 1
    if is_many:
        sections.append(Section(grid=overview_grid(models), remarks=common_legend(models)))
    for model in models:
        remarks = model_legend(model) + (() if is_many else common_legend(models))
        sections += _model_sections(model, remarks, details=details)
    if assessment.errors and models:
        # The errors themselves are on stderr.
        names = ", ".join(name_text(failure.path, 60) for failure in assessment.errors)
        sections.append(Section(remarks=(f"not assessed, see the errors: {names}",)))
    return tuple(sections)


def _model_sections(
    model: ModelAssessment, remarks: tuple[str, ...], *, details: bool
) -> Iterator[Section | None]:
    """One model: recommendation, verdicts, next actions, measurement, and everything else."""
    yield answer_section(model.profile.model.name, *headline(model))
    yield Section(grid=device_grid(model), remarks=remarks)
    yield device_proof_section(model.devices)
    yield section_of("", next_rows(model))
    profile, host = model.profile, host_row(model.profile)
    assumed = assumption_rows(profile.workload.assumptions)
    rows = (model_row(profile), *summary_rows(profile), *assumed)
    yield Section(f"{host.label} {host.text}", rows)
    yield notice_section(profile.warnings)
    if details:
        yield from map(device_section, model.devices)
        yield places_section(model)
        yield from profile_details(profile)
        yield section_of("", engine_rows(model))


def engine_rows(model: ModelAssessment) -> tuple[Row, ...]:
    """The command that measures the model with other engines, if some are installed here."""
    if not model.other_engines:
        return ()
    engines = ",".join(filter(None, (model.profile.workload.engine, *model.other_engines)))
    path = shlex.quote(name_text(model.profile.model.path, 200))
    text = (
        "another engine may be faster or need less memory on this machine; to measure it, run "
        "this with your options for inputs:"
    )
    return listed_rows("engines", (text, f"feasibility compare {path} --engines {engines}"))


def headline(model: ModelAssessment) -> tuple[str, Tone]:
    """The recommendation in one sentence, its answer in capitals."""
    text = name_text(model.placement.summary, 600)
    for answer, tone in _ANSWERS.items():
        if re.match(rf"{answer}\b(?! \()", text):
            return answer.upper() + text.removeprefix(answer), tone
    return text, "bad"


def next_rows(model: ModelAssessment) -> tuple[Row, ...]:
    """What to do for each device that is not a clear yes, and obstacles not in the table."""
    is_static = model.profile.method == "projected"
    is_open = any(found.verdict == "undecided" for found in model.devices)
    first = ("measure the model here: run the check without --static",)
    groups: dict[tuple[str, ...], list[DeviceAssessment]] = {}
    for found in model.devices:
        texts = (*_hidden_obstacles(found, model), *_next_texts(found, model))
        if texts:
            groups.setdefault(texts, []).append(found)
    rows = (
        row
        for texts, group in groups.items()
        for row in listed_rows(_label(group, model.devices), texts)
    )
    return (*(listed_rows("first", first) if is_static and is_open else ()), *rows)


def _hidden_obstacles(found: DeviceAssessment, model: ModelAssessment) -> tuple[str, ...]:
    """Obstacles without a column of their own in the table."""
    shown = ("memory", shown_latency(found, model)[1])
    return tuple(
        reason.text
        for reason in found.reasons
        if reason.part not in shown
        and (reason.verdict not in ("fits", "tight") or reason.code == "several-servers")
    )


def _next_texts(found: DeviceAssessment, model: ModelAssessment) -> tuple[str, ...]:
    """What to do next for one device."""
    placed = model.placement
    name = name_text(model.profile.model.name, 60)
    texts = [text.replace(" MODEL ", f" {name} ") for text in found.changes]
    if found.verdict == "undecided":
        texts += [one.text for one in placed.actions if one.device == found.device]
    if found.verdict != "does-not-fit":
        return tuple(line for text in texts for line in _with_command_below(text))
    if found.kind == SERVER:
        return ()
    server = best_server(model.devices, placed)
    if server is None:
        return ("add a server with --device to compare with the cloud",)
    if server.verdict not in ("fits", "tight"):
        return ()
    candidate = candidate_of(server.device, placed)
    text = f"use the cloud: {server_text(server, placed)}"
    if candidate is not None and candidate.upload_bytes:
        sent = upload_text(candidate.upload_bytes, is_given=candidate.is_upload_given)
        text += f"; each request sends {sent}"
    return (text,)


def _with_command_below(text: str) -> tuple[str, ...]:
    """A command to run gets a line of its own."""
    words, quote, command = text.removesuffix("`").partition("`feasibility ")
    return (words.rstrip(), f"feasibility {command}") if quote else (text,)


def _label(group: Sequence[DeviceAssessment], everyone: Sequence[DeviceAssessment]) -> str:
    """`boards` or `phone` where the group holds all devices of a kind, else names.

    If these names are long, devices that do not fit are named together.
    """
    labels: list[str] = []
    for kind in dict.fromkeys(found.kind for found in group):
        members = [found for found in group if found.kind == kind]
        if len(members) == sum(found.kind == kind for found in everyone):
            labels.append(kind_text(kind, len(members)))
        else:
            labels += [name_text(found.name, 32) for found in members]
    label, together = ", ".join(labels), "devices that do not fit"
    is_long = len(labels) > 1 and len(label) > len(together)
    if is_long and all(found.verdict == "does-not-fit" for found in group):
        return together
    return label


def device_section(found: DeviceAssessment) -> Section:
    """Everything that led to one device's verdict."""
    parts = ", ".join(f"{name_text(key, 20)} {value}" for key, value in found.score_parts.items())
    rows = [
        Row("verdict", verdict_text(found.verdict), VERDICT_TONE[found.verdict]),
        Row("score", f"{found.score} of 100" + (f" ({parts})" if parts else "")),
        Row("memory", _memory_text(found.memory)),
        Row("", name_text(found.memory.explanation, 1000)),
        Row("time", _latency_text(found.latency)),
        Row("", name_text(found.latency.explanation, 1000)),
        *energy_rows(found),
        *listed_rows("because", found.reasons_text),
        *listed_rows("change", found.changes),
    ]
    kept = tuple(row for row in rows if row.text)
    return Section(f"{name_text(found.name, 40)} ({name_text(found.device, 40)})", kept)


def _memory_text(memory: BytesInterval) -> str:
    text = format_bytes(memory.likely_bytes)
    if memory.low_bytes is not None and memory.high_bytes is not None:
        text = f"{format_bytes_range(memory.low_bytes, memory.high_bytes)}, likely {text}"
    if memory.budget_bytes is not None:
        text += f"; limit {format_bytes(memory.budget_bytes)}"
    if memory.runtime_bytes is not None:
        text += f"; includes {format_bytes(memory.runtime_bytes)} for the runtime"
    return f"{text}; {METHOD_TEXT[memory.method]}"


def _latency_text(latency: DurationInterval) -> str:
    text = duration_text(latency)
    if latency.likely_ns is not None and latency.low_ns != latency.high_ns:
        text += f", likely {format_duration(latency.likely_ns)}"
    if latency.budget_ns is not None:
        default = "default " if latency.is_budget_default else ""
        text += f"; {default}target {format_duration(latency.budget_ns)}"
    return f"{text}; {METHOD_TEXT[latency.method]}"
