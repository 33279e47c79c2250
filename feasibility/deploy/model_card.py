"""What does a person have to know who gets the files? The text of MODELCARD.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from string import Template
from typing import Final

from feasibility.deploy.card_figures import figure_notes, figure_rows, target_text
from feasibility.records.drift import Drift
from feasibility.records.fit import Fit, FitCandidate
from feasibility.records.profile import Profile
from feasibility.records.session_options import SessionOptions
from feasibility.records.shared_fields import TensorSpec
from feasibility.records.workload import STEADY_SETTING, TRIM_THRESHOLD, InputSpec
from feasibility.render.reports.change_texts import CHANGE_TEXTS
from feasibility.text import markdown_text, safe_text
from feasibility.units import (
    format_bytes,
    format_number,
    format_percent,
    format_similarity,
)

_TEMPLATE: Final = Path(__file__).with_name("templates") / "MODELCARD.md.template"
_PROOFS: Final = {
    "survived": "runs without a slowdown",
    "thrashed": (
        "runs, but thrashes: each run reads evicted pages again, so it takes longer than the time "
        "above"
    ),
    "killed": "is killed",
}
_SEEDED: Final = "seeded-samples"


def model_card(
    result: Fit, chosen: FitCandidate, options: SessionOptions, profile: Profile, unset: str
) -> str:
    """The text, in Markdown. Names out of the model are shown as code."""
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=code_span(options.model),
        tool_version=code_span(result.tool_version),
        original=_original(result),
        day=safe_text(result.measured_at[:10]),
        figures="\n".join(figure_rows(result, chosen, code_span(result.requirements.device or ""))),
        figure_notes=_list(figure_notes(result, profile)),
        drift=_drift_text(result, chosen.drift),
        changes=_list(_changes(chosen)),
        load_notes=_list(_load_notes(options)),
        options="\n".join(_option_rows(options)),
        limits=_limits(unset),
        tensors="\n".join(_tensor_rows(options, profile)),
        measured=_list(_measured_lines(result, chosen, options, profile)),
    )


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"* {line}" for line in lines)


def _original(result: Fit) -> str:
    digest = result.model.sha256
    return code_span(result.model.name) + (f" (SHA-256 {code_span(digest)})" if digest else "")


def _drift_text(result: Fit, drift: Drift | None) -> str:
    if drift is None:
        return "The outputs of this model and of the original were not compared."
    count = f"{drift.sample_count} input{'s' if drift.sample_count != 1 else ''}"
    if drift.is_identical:
        return f"The outputs are identical to those of the original bit by bit ({count})."
    limit = target_text(result.requirements.drift_ratio, _share)
    target = f"; target: {limit}" if limit else ""
    lines = [
        "The outputs differ from those of the original by at most "
        f"{_share(drift.relative_ratio)} of the largest value ({count}{target}).",
    ]
    if any(notice.code == _SEEDED for notice in result.warnings):
        lines.append(
            "**These inputs were random numbers: test the accuracy with real inputs before you "
            "deploy this model.**"
        )
    lines.append("")
    for output in drift.outputs:
        parts = [f"at most {_share(output.relative_ratio)}"]
        if output.cosine is not None:
            parts.append(f"cosine similarity {format_similarity(output.cosine)}")
        if output.top1_ratio is not None:
            parts.append(f"same largest element in {format_percent(output.top1_ratio)} of the rows")
        lines.append(f"* {code_span(output.name)}: {', '.join(parts)}")
    return "\n".join(lines)


def _share(ratio: float) -> str:
    return format_number(100 * ratio, "%")


def _changes(chosen: FitCandidate) -> Iterator[str]:
    if not chosen.changes:
        yield "none: this is the original model"
    for change in chosen.changes:
        text = CHANGE_TEXTS[change]
        yield f"**{text.title}**: {text.effect}. Cost: {text.cost}."


def _load_notes(options: SessionOptions) -> Iterator[str]:
    """What the machine needs that loads the model."""
    yield "Keep all files of this folder together, with their names."
    if options.runtime_version:
        yield (
            f"Measured with ONNX Runtime {code_span(options.runtime_version)}; an older version "
            "may not load it."
        )
    if options.loads_on:
        here, *emulated = map(code_span, options.loads_on)
        also = f"; under emulation: {', '.join(emulated)}" if emulated else ""
        yield f"Loaded and run on: {here}{also}. Test it first on any other instruction set."
    environment = options.settings.environment
    if not environment:
        yield "No environment variable is needed."
        return
    variables = " ".join(code_span(f"{name}={value}") for name, value in environment.items())
    yield (
        f"On Linux with glibc, set {variables} before the process starts. The Python and C++ files "
        "call `mallopt`, which does the same, so they need no variable. Android, iOS and browsers "
        "have other allocators, which need no setting."
    )


def _option_rows(options: SessionOptions) -> Iterator[str]:
    settings = options.settings
    yield f"| graph optimisation level | {settings.optimization_level} |"
    yield f"| arena | {_on(is_on=settings.arena)} |"
    yield f"| memory pattern | {_on(is_on=settings.memory_pattern)} |"
    yield f"| intra-op threads | {options.threads} |"
    for key, value in options.config_entries.items():
        yield f"| {code_span(key)} | {code_span(value)} |"


def _on(*, is_on: bool) -> str:
    return "on" if is_on else "off"


def _limits(unset: str) -> str:
    in_browser = (
        "A browser cannot map files: onnxruntime-web copies all weights into memory, so the "
        "figures above are not valid there."
    )
    return f"{unset} {in_browser}".lstrip()


def _tensor_rows(options: SessionOptions, profile: Profile) -> Iterator[str]:
    given = {spec.name: _given(spec) for spec in profile.workload.inputs}
    for direction, tensors in (("input", options.inputs), ("output", options.outputs)):
        for tensor in tensors:
            kind = code_span(tensor.type_text or tensor.dtype)
            value = given.get(tensor.name, "") if direction == "input" else ""
            name, shape = code_span(tensor.name), _shape(tensor)
            yield f"| {direction} | {name} | {kind} | {shape} | {value} |"


def _given(spec: InputSpec) -> str:
    """Shape and values of an input in the measurement."""
    fill = spec.fill
    if fill.kind == "absent":
        return "left out"
    values = {
        "uniform": f"{fill.low:g} to {fill.high:g}",
        "integers": f"{int(fill.low)} to {int(fill.high)}",
        "constant": f"all {fill.low:g}" if spec.shape else f"{fill.low:g}",
        "file": "from a file",
    }
    return f"{' x '.join(map(str, spec.shape)) or 'scalar'}: {values[fill.kind]}"


def _shape(tensor: TensorSpec) -> str:
    if tensor.shape is None:
        return "any"
    return code_span(
        " x ".join("?" if dim is None else str(dim) for dim in tensor.shape) or "scalar"
    )


def _measured_lines(
    result: Fit, chosen: FitCandidate, options: SessionOptions, profile: Profile
) -> Iterator[str]:
    host = profile.host
    yield f"Machine: {code_span(host.cpu)} ({code_span(host.arch)}), {code_span(host.os)}."
    versions = [f"{name} {version}" for name, version in sorted(host.libraries.items())]
    yield f"Versions: {', '.join(map(code_span, (*versions, f'Python {host.python}')))}."
    yield f"Threads: {options.threads}. Runs after warm-up: {profile.workload.run_count}."
    if chosen.changes:  # the figures of an unchanged model are those of the default allocator
        yield from _allocator_lines(options, profile)
    limit_bytes = result.requirements.enforced_bytes
    if result.proof_outcome is not None and limit_bytes is not None:
        yield (
            f"With {format_bytes(limit_bytes)} above the baseline, enforced by the kernel, the "
            f"model {_PROOFS[result.proof_outcome]}."
        )
    for notice in result.warnings:
        message = safe_text(notice.message.rstrip("."), 500)
        yield f"{markdown_text(message[:1].upper() + message[1:])}."


def _allocator_lines(options: SessionOptions, profile: Profile) -> Iterator[str]:
    """What glibc's default allocator needs more, if the trim threshold is not among the options."""
    default = profile.default_allocator
    if default is None or TRIM_THRESHOLD in options.settings.environment:
        return
    peaks = (default.load_peak_high_bytes, default.inference_peak_high_bytes or 0)
    yield (
        "Memory was measured with the steady allocator. With the default allocator of glibc, the "
        f"process needs up to {format_bytes(max(peaks))}. To prevent that, set "
        f"{code_span(STEADY_SETTING)} in its environment."
    )


def code_span(text: str) -> str:
    """Text as code that no character of it can end, also in the cell of a table."""
    shown = safe_text(text) or " "
    # Markdown has no escape for these, and its readers differ in the cells of tables.
    if shown.strip() != shown or not {"`", "|", "\\"}.isdisjoint(shown):
        return f"<code>{markdown_text(shown)}</code>"
    return f"`{shown}`"
