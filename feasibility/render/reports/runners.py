"""What do the reports of `runner` say? What --on accepts, and what a trial run found."""

from __future__ import annotations

from feasibility.records.runners import RunnerForms, RunnerTrial
from feasibility.render.reports.sections import (
    Report,
    Row,
    Section,
    counted,
    listed_rows,
    name_text,
    notice_rows,
)
from feasibility.units import format_bytes


def runners_report(forms: RunnerForms) -> Report:
    """Each form that --on accepts, and what is missing for it."""
    rows: list[Row] = []
    for form in forms.runners:
        finding = "; ".join(filter(None, (form.finding, form.hint)))
        rows += listed_rows(form.form, filter(None, (form.description, form.usage, finding)))
    return (Section(rows=tuple(rows)),)


def trial_report(trial: RunnerTrial) -> Report:
    """The machine of a runner, and what can be measured there."""
    host = trial.host
    libraries = ", ".join(f"{library} {version}" for library, version in host.libraries.items())
    scope = "memory only" if trial.method == "emulated" else "memory and time"
    machine = (
        f"{name_text(host.cpu)} ({name_text(host.arch)}), {counted(host.core_count or 0, 'core')}"
    )
    rows = (
        Row("runner", f"{name_text(trial.runner, 120)}: works for {scope}"),
        Row("machine", f"{machine}, {format_bytes(host.memory_bytes)}"),
        Row("system", name_text(f"{host.os}, {host.libc}", 120)),
        Row("runtime", name_text(f"Python {host.python}, {libraries}", 120)),
        Row("trial", f"{trial.model} needed {format_bytes(trial.peak_bytes)}"),
        *notice_rows(trial.warnings),
    )
    return (Section(rows=rows),)
