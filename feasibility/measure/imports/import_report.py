"""Which program wrote this file? Recognises the format and makes a profile of its figures."""

from __future__ import annotations

import codecs
import json
import os
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from feasibility.errors import DocumentError
from feasibility.measure.imports import ai_hub, optimum, ort_runner, perf_test
from feasibility.measure.imports.imported_figures import UnreadableError
from feasibility.records.profile import Profile, ProfiledModel
from feasibility.records.shared_fields import Notice
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
    """The profile of the figures in a file of another program; `model` if the model file is known.

    Words after a `#` in the path choose one of several devices in the file.
    """
    file, choice = divided(path)
    what = f"Cannot read figures from {safe_text(str(file))}"
    content = _content(file, what)
    try:
        profile = _recognised(content, choice)
    except UnreadableError as error:
        hint = error.hint or f"expected: {'; '.join(FORMATS)}"
        raise DocumentError(what, str(error), hint) from error
    if profile is None:
        raise DocumentError(
            what, "its format is not known", f"expected one of: {'; '.join(FORMATS)}"
        )
    return _with_model(profile, file, model)


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


def _recognised(content: str, choice: str) -> Profile | None:
    """The profile by the first format that fits; None if no format does."""
    profile = perf_test.read_output(content) or perf_test.read_result_file(content)
    if profile is not None:
        return profile
    if not content.lstrip().startswith("{"):
        return ai_hub.read_performance(content, choice)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"it is broken JSON ({error})") from error
    return ort_runner.read_report(document) or optimum.read_report(document)


def _with_model(profile: Profile, path: Path, model: ProfiledModel | None) -> Profile:
    """The profile with the given model, and a warning if none or another one was given."""
    measured, warning = profile.model, None
    if model is None:
        warning = Notice(
            code="imported-without-model",
            message="the model file was not given, so its size and operators are unknown",
            hint=f"feasibility measure MODEL --import {safe_text(path.name)} -o profile.json",
        )
    elif measured.file_bytes and measured.file_bytes != model.file_bytes:
        warning = Notice(
            code="imported-other-model",
            message=f"{profile.source} measured {safe_text(measured.name) or 'the model'} of "
            f"{format_bytes(measured.file_bytes)}, but {safe_text(model.name)} has "
            f"{format_bytes(model.file_bytes)}; size, operators and work in this profile are "
            f"those of {safe_text(model.name)}",
            hint="if these are two different models, give the one that was measured",
        )
    unknown = replace(measured, name=measured.name or path.name, path=str(path))
    return replace(
        profile,
        source=f"{profile.source} ({path.name})",
        model=model or unknown,
        warnings=(*profile.warnings, *([warning] if warning else [])),
    )
