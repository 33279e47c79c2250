"""How does the page `docs/systems.md` look? Everything in it follows from recorded files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from benchmarks.systems_answers import (
    CHANGE_TITLES,
    Answers,
    SystemsRecordings,
    figure_values,
    time_and_memory,
    verdict_with_parts,
)
from benchmarks.systems_claims import CLAIMS, answers_of_questions
from feasibility.records.assessment import DeviceAssessment
from feasibility.records.comparison import Comparison
from feasibility.records.fit import Fit, FitCandidate
from feasibility.records.systems import AnsweredDocument, AnsweredFigure
from feasibility.render.reports.change_texts import changes_text, main_changes
from feasibility.render.reports.compare_figures import difference_text
from feasibility.render.reports.drift_texts import drift_percent
from feasibility.render.reports.systems import here_text, projected_text
from feasibility.units import (
    SECOND_NS,
    format_bytes,
    format_change,
    format_duration,
    format_factor,
    format_number,
    format_similarity,
)

_NONE: Final = "-"
# An error of at least this factor is shown as a factor, not as a percentage.
_MANY_TIMES: Final = 3.0

_INTRODUCTION: Final = """\
# The systems that started this tool

`make systems` writes this page from the files in `profiles/systems/`; do not edit it.

Five documents are the reason for this tool. Their authors measured models by hand, and guessed
where these models can run. This page has the same systems, measured here.
`feasibility demo --full` measures them on your machine in a few minutes.

* **Networks** are those of the [zoo](zoo.md): sizes and operators of published models, random
  weights.
* **Here** is {host}, one thread, recorded from {first} to {last} (UTC).{busy}
* **Projected** is the 80 % interval for their hardware ([accuracy.md](accuracy.md)). It follows
  from the work of a network; the time here does not change it{slow}. **Error** is the likely value
  compared with the published figure: +30 % means that the projection is 30 % higher.
* **Verdicts** use the targets of the devices: 100 ms on phones, 200 ms on boards. For sound, the
  target is the time that the sound lasts, for example `check --latency 975ms`. In brackets: the
  figures that are not clearly within their target or limit.
"""


def systems_page(recordings: SystemsRecordings) -> str:
    """The page in Markdown."""
    answers = Answers(recordings)
    lines = [
        _introduction(answers),
        "## Answers",
        "",
        *_table(("question", "answer"), answers_of_questions(answers)),
        "",
    ]
    for document in answers.documents:
        lines += [*_document(document, answers), ""]
    return "\n".join(lines)


def _introduction(answers: Answers) -> str:
    profiles = [*answers.recordings.profiles.values()]
    hosts = dict.fromkeys(
        f"{each.host.cpu} ({each.host.arch}, {each.host.core_count} cores), {each.workload.runtime}"
        for each in profiles
    )
    times = sorted(each.measured_at[:16].replace("T", " ") for each in profiles)
    busy = [each for each in profiles if any(one.code == "host-busy" for one in each.warnings)]
    slow = answers.slow_systems
    return _INTRODUCTION.format(
        host=" and ".join(hosts),
        first=times[0],
        last=times[-1],
        busy=f" **The machine was busy before {len(busy)} of {len(profiles)} "
        "measurements, so times here may be too long.**"
        if busy
        else "",
        slow=f" (except for {', '.join(slow)}, which is much slower here than its work explains)"
        if slow
        else "",
    )


def _document(answered: AnsweredDocument, answers: Answers) -> Iterator[str]:
    document = answered.document
    yield f"## {document.title}"
    yield ""
    assumed = f" Assumed: {document.assumed}." if document.assumed else ""
    yield f"Source: {document.source}. Hardware: {document.hardware}.{assumed}"
    yield ""
    figures = [figure for system in answered.systems for figure in system.figures]
    if figures:
        yield from _figure_table(answered)
        yield ""
        yield from _misses(figures)
    if document.id in _FURTHER:
        yield from _FURTHER[document.id](answers)
    verdicts = [each for each in answered.systems if each.verdicts]
    if verdicts:
        yield "Where it runs, projected:"
        yield ""
        names = [each.name for each in verdicts[0].verdicts]
        yield from _table(
            ("system", *names),
            ((each.system.title, *map(_verdict_cell, each.verdicts)) for each in verdicts),
        )
        yield ""
        if document.id in _VERDICT_REMARKS:
            yield _VERDICT_REMARKS[document.id]
            yield ""
    claims = CLAIMS.get(document.id, ())
    if claims:
        yield from _table(
            ("they say", "we find", ""),
            ((claim.quote, *claim.answer(answers)) for claim in claims),
        )


def _figure_table(answered: AnsweredDocument) -> Iterator[str]:
    yield from _table(
        ("system", "they measured", "how", "here", "projected there", "error", "inside"),
        (
            (
                system.system.title,
                figure.published.words,
                figure.published.condition,
                here_text(figure),
                projected_text(figure),
                _error_text(figure),
                {None: _NONE, True: "yes", False: "**no**"}[figure.is_inside],
            )
            for system in answered.systems
            for figure in system.figures
        ),
    )


def _misses(figures: Sequence[AnsweredFigure]) -> Iterator[str]:
    """Why published figures are outside the interval; each reason is listed once."""
    reasons: dict[str, list[str]] = {}
    for figure in figures:
        if figure.is_inside is False:
            reasons.setdefault(figure.published.miss, []).append(figure.published.words)
    for reason, words in reasons.items():
        yield f"* Outside the interval: {', '.join(words)}. Known difference: {reason or 'none'}."
    if reasons:
        yield ""


def _error_text(figure: AnsweredFigure) -> str:
    ratio = figure.error_ratio
    if ratio is None:
        return _NONE
    if ratio >= _MANY_TIMES or ratio <= 1 / _MANY_TIMES:
        return format_factor(ratio)
    return format_change(ratio)


def _verdict_cell(found: DeviceAssessment) -> str:
    return f"{verdict_with_parts(found)}: {time_and_memory(found)}"


def _changes(answers: Answers) -> Iterator[str]:
    """The stacks of layers with changes, in turns."""
    yield "Before and after optimisation, measured in turns here with one thread:"
    yield ""
    yield f"    feasibility compare espnet-encoder.onnx --changes {','.join(CHANGE_TITLES)}"
    yield ""
    yield from _table(
        (
            "network",
            "form",
            "time",
            "ratio to as it is",
            "load peak",
            "files",
            "outputs",
            "they measured",
        ),
        (
            row
            for name, comparison in answers.recordings.changes.items()
            for row in _change_rows(answers.systems[name].system.title, name, comparison, answers)
        ),
    )
    yield ""
    yield (
        'Their "before optimize" is our "as it is": espnet_onnx loads the model with the default '
        "settings of ONNX Runtime, which optimise the graph (class Encoder in "
        "espnet_onnx/asr/model/encoders). Outputs are cosine similarities over random inputs; "
        "with random weights, they say little about accuracy."
    )
    yield ""


def _change_rows(
    title: str, name: str, comparison: Comparison, answers: Answers
) -> Iterator[Sequence[str]]:
    times = figure_values(comparison, "latency")
    peaks, sizes = figure_values(comparison, "load_peak"), figure_values(comparison, "file_size")
    differences = next(each for each in comparison.figures if each.name == "latency").differences
    drifts = {each.subject: each.drift for each in comparison.outputs}
    for number, subject in enumerate(comparison.subjects):
        difference = differences[number - 1] if number else None
        ratio = None if difference is None else difference.value_ratio
        drift = drifts.get(subject.label)
        recipe = subject.workload.recipe
        cosines = [] if drift is None else [each.cosine for each in drift.outputs]
        known = [each for each in cosines if each is not None]
        yield (
            title,
            CHANGE_TITLES[recipe],
            format_duration(times[number]),
            _NONE if ratio is None else f"{format_factor(ratio)}, {difference_text(difference)}",
            format_bytes(peaks[number]),
            format_bytes(sizes[number]),
            "reference" if drift is None else format_similarity(min(known)) if known else _NONE,
            answers.published_change(name, recipe),
        )


def _engines(answers: Answers) -> Iterator[str]:
    """One network with several engines, in turns."""
    comparison = answers.recordings.engines
    yield "The same network with several engines, measured in turns here with one thread:"
    yield ""
    yield (
        "    feasibility compare wespeaker-resnet34-198.onnx --engines onnxruntime,openvino,mnn "
        "--realtime 2s"
    )
    yield ""
    yield from _table(
        (
            "engine", "type", "parameters", "multiply-adds", "time", "real-time factor",
            "ratio to the first", "load peak", "inference peak", "outputs", "they measured",
        ),
        _engine_rows(comparison, answers),
    )  # fmt: skip
    yield ""
    for notice in comparison.warnings:
        if notice.code in ("engine-failed", "same-precision"):
            yield f"* {notice.message}."
    yield (
        '* They write FLOPs for multiply-adds. "External weights" of MNN are in a file beside the '
        "model."
    )
    yield ""


def _engine_rows(comparison: Comparison, answers: Answers) -> Iterator[Sequence[str]]:
    signal_ns = comparison.signal_ns or SECOND_NS
    times = figure_values(comparison, "latency")
    loads = figure_values(comparison, "load_peak")
    runs = figure_values(comparison, "inference_peak")
    differences = next(each for each in comparison.figures if each.name == "latency").differences
    drifts = {each.subject: each.drift for each in comparison.outputs}
    profile = answers.recordings.profiles["wespeaker"]
    for number, subject in enumerate(comparison.subjects):
        time_ns, drift = times[number], drifts.get(subject.label)
        difference = differences[number - 1] if number else None
        ratio = None if difference is None else difference.value_ratio
        workload = subject.workload
        way = ", external weights" if workload.engine == "mnn-external" else ""
        yield (
            f"{workload.runtime}{way}",
            workload.precision or "float32",
            answers.count_text(profile.model.parameter_count),
            answers.count_text((profile.model.flops or 0) // 2),
            format_duration(time_ns),
            _NONE if time_ns is None else format_number(time_ns / signal_ns),
            _NONE if ratio is None else f"{format_factor(ratio)}, {difference_text(difference)}",
            format_bytes(loads[number]),
            format_bytes(runs[number]),
            "reference" if drift is None else f"differ by {drift_percent(drift.relative_ratio)}",
            answers.published_engine(workload.engine),
        )


def _fits(answers: Answers) -> Iterator[str]:
    """What `fit` finds for the sentence encoder."""
    yield "What `fit` finds for a sentence of 32 tokens, with one thread:"
    yield ""
    for fit in answers.recordings.fits:
        targets = fit.requirements
        latency = f" --latency {targets.latency_ns // 10**6}ms" if targets.latency_ns else ""
        command = f"feasibility fit xlmr-base-sentence.onnx --dim sequence=32{latency}"
        yield f"    {command} --device {targets.device}"
    yield ""
    yield from _table(
        (
            "phone",
            "targets",
            "changes",
            "memory on the phone, at most",
            "likely time on the phone",
            "memory here",
            "files",
            "outputs",
            "result",
        ),
        (
            _candidate_row(fit, candidate, answers)
            for fit in answers.recordings.fits
            for candidate in _shown(fit)
        ),
    )
    yield ""
    yield (
        "The time on the phone is the projected time multiplied by the ratio that was measured "
        "here. On another processor, the ratio of a quantized model can be different. Outputs were "
        "compared for random inputs; use `--samples` before you deploy quantized models."
    )
    yield ""


def _shown(fit: Fit) -> Iterator[FitCandidate]:
    """The unchanged model, and the changed model that was chosen or is nearest to the targets."""
    yield fit.baseline
    changed = fit.chosen or fit.nearest
    if changed is not None and changed.changes:
        yield changed


def _candidate_row(fit: Fit, candidate: FitCandidate, answers: Answers) -> Sequence[str]:
    measured, targets = candidate.measured, fit.requirements
    limits = [format_bytes(targets.device_limit_bytes)]
    limits += [format_duration(targets.latency_ns)] if targets.latency_ns else []
    missed = {"latency": "time", "memory": "memory"}
    return (
        answers.device_name(targets.device or ""),
        ", ".join(limits),
        changes_text(main_changes(candidate.changes)),
        format_bytes(candidate.device_memory_bytes),
        format_duration(candidate.device_latency_ns),
        format_bytes(None if measured is None else measured.peak_bytes),
        format_bytes(None if measured is None else measured.file_bytes),
        _drift_text(candidate),
        f"misses {', '.join(missed.get(name, name) for name in candidate.missed)}"
        if candidate.missed
        else "meets all targets",
    )


def _drift_text(candidate: FitCandidate) -> str:
    if not candidate.changes:
        return "reference"
    if candidate.drift is None:
        return "not compared"
    if candidate.drift.is_identical:
        return "the same"
    return f"differ by {drift_percent(candidate.drift.relative_ratio)}"


_VERDICT_REMARKS: Final = {
    "notes": "A run of YAMNet covers 975 ms of sound. In brackets after a system: number of "
    "tokens.",
    "espnet": "A run of an encoder covers 1 s of sound (100 frames). The decoder runs once per "
    "token and hypothesis; its verdict is for one step. In brackets after a system: number "
    "of layers.",
    "wespeaker": "A run covers 2 s of sound (198 frames).",
}
_FURTHER: Final = {"notes": _fits, "espnet": _changes, "wespeaker": _engines}


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield f"|{'---|' * len(headings)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
