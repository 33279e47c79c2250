"""Which program wrote this file? Recognises the format and makes a profile of its figures."""

from __future__ import annotations

import codecs
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import feasibility
from feasibility.errors import DocumentError
from feasibility.measure.imports import ai_hub, optimum, ort_runner, perf_test
from feasibility.measure.imports.imported_figures import ImportedFigures, UnreadableError
from feasibility.records.base import Notice
from feasibility.records.profile import Host, Profile, ProfiledModel
from feasibility.records.workload import Workload
from feasibility.text import safe_text
from feasibility.units import format_bytes

FORMATS: Final = (
    "a JSON report of ort_runner",
    "the output of onnxruntime_perf_test, or its results file",
    "benchmark.json or benchmark_report.json of optimum-benchmark",
    "a perf.yaml of Qualcomm AI Hub models",
)
SUFFIXES: Final = frozenset({".json", ".yaml", ".yml", ".txt", ".log", ".out", ".csv"})
_MAX_BYTES: Final = 64 * 1024**2
_UTF_16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_CHOICE: Final = "#"


def read_figures(path: Path, model: ProfiledModel | None = None) -> Profile:
    """The profile of the figures in a file of another program.

    Args:
        path: The file; words after a `#` choose one of several devices in it.
        model: The model that was measured, if it is available.

    Raises:
        DocumentError: The file cannot be read, or has another format.
    """
    file, choice = divided(path)
    what = f"Cannot read figures from {safe_text(str(file))}"
    content = _content(file, what)
    try:
        figures = _recognised(content, choice)
    except UnreadableError as error:
        hint = error.hint or f"expected: {'; '.join(FORMATS)}"
        raise DocumentError(what, str(error), hint) from error
    if figures is None:
        raise DocumentError(
            what, "its format is not known", f"expected one of: {'; '.join(FORMATS)}"
        )
    return _profile(figures, file, model)


def divided(path: Path) -> tuple[Path, str]:
    """The path of the file, and the words after its `#`."""
    name, mark, choice = str(path).partition(_CHOICE)
    # `Path.exists` raises an error for a name that is too long.
    if not mark or os.path.exists(path):  # noqa: PTH110
        return path, ""
    return Path(name), choice


def _content(path: Path, what: str) -> str:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DocumentError(
                what,
                f"it is larger than {format_bytes(_MAX_BYTES)}, so it is not a report",
                "check the path",
            )
        data = path.read_bytes()
        # PowerShell redirects a program's output as UTF-16.
        return data.decode("utf-16" if data.startswith(_UTF_16_MARKS) else "utf-8-sig")
    except OSError as error:
        raise DocumentError(
            what, (error.strerror or str(error)).lower(), "check the path"
        ) from error
    except UnicodeDecodeError as error:
        raise DocumentError(what, "it is not text", "check the path") from error


def _recognised(content: str, choice: str) -> ImportedFigures | None:
    """The figures by the first format that fits; None if no format does.

    Raises:
        UnreadableError: A format fits, but something is missing.
    """
    if perf_test.is_output(content):
        return perf_test.read_output(content)
    if perf_test.is_result_file(content):
        return perf_test.read_result_file(content)
    if content.lstrip().startswith("{"):
        return _from_json(content)
    return ai_hub.read_performance(content, choice)


def _from_json(content: str) -> ImportedFigures | None:
    try:
        document: Any = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"it is broken JSON ({error})") from error
    if ort_runner.is_report(document):
        return ort_runner.read_report(document)
    if optimum.is_report(document):
        return optimum.read_report(document)
    return None


def _profile(figures: ImportedFigures, path: Path, model: ProfiledModel | None) -> Profile:
    notices = [
        Notice(code="imported", message=f"{figures.tool}: {caveat}") for caveat in figures.caveats
    ]
    if model is None:
        notices.append(
            Notice(
                code="imported-without-model",
                message="the model file was not given, so its size and operators are unknown",
                hint=f"feasibility measure MODEL --import {safe_text(path.name)} -o profile.json",
            )
        )
    elif figures.model_bytes is not None and figures.model_bytes != model.file_bytes:
        notices.append(_other_model(figures, figures.model_bytes, model))
    samples = figures.latency.samples_ns if figures.latency else ()
    return Profile(
        tool_version=feasibility.__version__,
        measured_at=figures.measured_at or datetime.now(UTC).isoformat(timespec="seconds"),
        runner="",
        source=f"{figures.tool} ({path.name})",
        model=model
        or ProfiledModel(
            name=figures.model_name or path.name,
            path=str(path),
            file_bytes=figures.model_bytes or 0,
        ),
        host=Host(
            cpu=figures.cpu,
            arch=figures.arch,
            core_count=figures.core_count,
            memory_bytes=figures.memory_bytes,
            device=figures.device,
            os=figures.system,
            python=figures.python,
        ),
        workload=Workload(
            threads=figures.threads or 0,
            warmup_count=figures.warmup_count,
            run_count=figures.run_count or len(samples),
            runtime=figures.runtime,
            provider=figures.provider,
        ),
        memory=figures.memory,
        process_peak_bytes=figures.process_peak_bytes,
        latency=figures.latency,
        warnings=tuple(notices),
    )


def _other_model(figures: ImportedFigures, measured_bytes: int, model: ProfiledModel) -> Notice:
    """A warning that the measured file has another size than the given model."""
    named = safe_text(figures.model_name) or "the model"
    return Notice(
        code="imported-other-model",
        message=f"{figures.tool} measured {named} of {format_bytes(measured_bytes)}, but "
        f"{safe_text(model.name)} has {format_bytes(model.file_bytes)}; size, operators and work "
        f"in this profile are those of {safe_text(model.name)}",
        hint="if these are two different models, give the one that was measured",
    )
