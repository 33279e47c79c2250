"""What does a budget file say? Checks every key; docs/ci.md describes the format."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, cast

from feasibility.budget.metrics import METRICS
from feasibility.budget.parse_limit import Limit, parse_limit
from feasibility.errors import ConfigError, UsageError
from feasibility.records.assessment import Verdict
from feasibility.records.budget import Metric
from feasibility.text import safe_text
from feasibility.toml_key_errors import TomlTable

OWN_FILE: Final = "feasibility.toml"
PROJECT_FILE: Final = "pyproject.toml"
DEFAULT_BASELINE: Final = "profiles"

_TOP_KEYS: Final = ("baseline", "dedicated_runner", "budget")
_WORKLOAD_KEYS: Final = ("dims", "inputs", "threads", "provider", "seed")
_BUDGET_KEYS: Final = ("model", *METRICS, "operators", "devices", "drift", *_WORKLOAD_KEYS)
_PERCENT: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*", re.ASCII)
_DRIFT_HINT: Final = 'or { limit = "1%", reference = "models/fp32.onnx" }'
_PROJECT_TABLE: Final = ("tool", "feasibility")
# Best first; `undecided` meets no requirement.
RANKED_VERDICTS: Final[tuple[Verdict, ...]] = ("fits", "tight", "fits-with-changes")


@dataclass(frozen=True, slots=True)
class BudgetedWorkload:
    """How the models of a budget are run; defaults as in `measure`."""

    dims: Mapping[str, int] = field(default_factory=dict)
    inputs: Path | None = None
    threads: int = 1
    provider: str = "cpu"
    seed: int = 0


@dataclass(frozen=True, slots=True)
class OperatorRule:
    """Operators that the model may use, or that a provider may run.

    Args:
        provider: The provider; None for all operators of the model file.
        allowed: Operator names, with or without a domain; `*` allows all.
    """

    provider: str | None
    allowed: tuple[str, ...]
    line: int = 0


@dataclass(frozen=True, slots=True)
class DeviceRule:
    """The worst verdict that a model may have on a device."""

    device: str
    verdict: Verdict
    line: int = 0


@dataclass(frozen=True, slots=True)
class DriftRule:
    """How far outputs may differ from those of another model on the same inputs.

    Args:
        limit_ratio: Largest difference, as a share of the largest output.
        reference: Path of the other model, relative to the budget file; None for the model
            of the revision to compare with.
    """

    limit_ratio: float
    reference: str | None = None
    line: int = 0


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits of the models of one path or glob.

    Args:
        pattern: Path or glob, relative to the budget file.
        drift: How far outputs may differ from a reference; None for no limit.
    """

    pattern: str
    line: int = 0
    limits: Mapping[Metric, tuple[Limit, ...]] = field(default_factory=dict)
    operators: tuple[OperatorRule, ...] = ()
    devices: tuple[DeviceRule, ...] = ()
    drift: DriftRule | None = None
    workload: BudgetedWorkload = BudgetedWorkload()


@dataclass(frozen=True, slots=True)
class BudgetConfig:
    """The budgets of a project.

    Args:
        baseline: Folder of the recorded baselines.
        is_dedicated: True if the machine runs nothing else, so that its recorded times can
            be compared.
    """

    path: Path
    baseline: Path
    is_dedicated: bool = False
    budgets: tuple[Budget, ...] = ()

    @property
    def folder(self) -> Path:
        """Folder of the budget file; patterns are relative to it."""
        return self.path.parent


class BudgetTable(TomlTable):
    """One table of a budget file."""

    error = ConfigError
    kind = "Budget file"
    page = "docs/ci.md"
    most_bytes = 4 * 1024**2


class MarkerTable(BudgetTable):
    """The keys of a pytest marker, which are those of one budget."""

    kind = "Marker model_budget in"


def config_error(path: Path, why: str, hint: str) -> ConfigError:
    """The error of a budget file that is not valid."""
    return ConfigError(
        f"Budget file {safe_text(str(path))} is not valid", safe_text(why, 400), hint
    )


def find_config(start: Path) -> Path:
    """The budget file in a folder or in the nearest folder above it."""
    for folder in (start, *start.parents):
        own, project = folder / OWN_FILE, folder / PROJECT_FILE
        if own.is_file():
            return own
        if project.is_file() and "tool.feasibility" in project.read_text("utf-8", "replace"):
            return project
        if (folder / ".git").exists():
            break
    raise ConfigError(
        "Cannot find a budget file",
        f"this folder and those above have no {OWN_FILE} and no pyproject.toml with "
        "[tool.feasibility]",
        "`feasibility budget init MODEL...` proposes budgets",
    )


def read_config(path: Path) -> BudgetConfig:
    """The budgets in a file."""
    return parse_config(BudgetTable.read(path), path)


def parse_config(text: str, path: Path) -> BudgetConfig:
    """The budgets in the text of a file."""
    top = BudgetTable.parsed(text, str(path))
    if path.name == PROJECT_FILE:
        for key in _PROJECT_TABLE:
            inner = top.values.get(key, {})
            values = inner if isinstance(inner, dict) else {}
            top = replace(top, values=values, path=(*top.path, key))
    top.allow(_TOP_KEYS)
    budgets = tuple(budget_of(entry) for entry in top.tables("budget"))
    if not budgets:
        table = ".".join((*map(str, top.path), "budget"))
        raise config_error(
            path, f"it has no [[{table}]]", "`feasibility budget init MODEL...` proposes budgets"
        )
    return BudgetConfig(
        path=path,
        baseline=path.parent / top.text("baseline", DEFAULT_BASELINE),
        is_dedicated=top.flag("dedicated_runner"),
        budgets=budgets,
    )


def budget_of(table: BudgetTable) -> Budget:
    """The budget that a table states."""
    table.allow(_BUDGET_KEYS)
    budget = Budget(
        pattern=table.text("model"),
        line=table.line(),
        limits={
            metric: limits
            for metric in METRICS
            if (limits := _limits(table, metric, table.values.get(metric)))
        },
        operators=_operator_rules(table),
        devices=_device_rules(table),
        drift=_drift_rule(table),
        workload=_workload(table),
    )
    if not (budget.limits or budget.operators or budget.devices or budget.drift):
        table.fail("model", "the budget states no limit", f"known: {', '.join(METRICS)}")
    return budget


def _limits(table: BudgetTable, metric: Metric, value: object) -> tuple[Limit, ...]:
    if value is None:
        return ()
    values = value if isinstance(value, list) else [value]
    try:
        return tuple(parse_limit(item, METRICS[metric].unit, table.line(metric)) for item in values)
    except UsageError as error:
        table.fail(metric, f"{error.what[0].lower()}{error.what[1:]}: {error.why}", error.hint)


def _operator_rules(table: BudgetTable) -> tuple[OperatorRule, ...]:
    if isinstance(table.values.get("operators"), dict):
        by_provider = table.required_table("operators")
        return tuple(
            OperatorRule(provider, by_provider.texts(provider), by_provider.line(provider))
            for provider in by_provider.values
        )
    allowed = table.texts("operators")
    return (OperatorRule(None, allowed, table.line("operators")),) if allowed else ()


def _device_rules(table: BudgetTable) -> tuple[DeviceRule, ...]:
    devices = table.table("devices")
    if devices is None:
        return ()
    return tuple(
        DeviceRule(
            device, cast(Verdict, devices.choice(device, RANKED_VERDICTS)), devices.line(device)
        )
        for device in devices.values
    )


def _drift_rule(table: BudgetTable) -> DriftRule | None:
    value, reference, line = table.values.get("drift"), None, table.line("drift")
    if value is None:
        return None
    if isinstance(value, dict):
        drift = table.required_table("drift")
        drift.allow(("limit", "reference"))
        value, reference = drift.text("limit"), drift.text("reference")
    match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        table.fail("drift", 'expected a share of the largest output such as "1%"', _DRIFT_HINT)
    return DriftRule(float(match[1]) / 100, reference, line)


def _workload(table: BudgetTable) -> BudgetedWorkload:
    dims, inputs = table.table("dims"), table.text("inputs", "")
    return BudgetedWorkload(
        dims={name: dims.count(name) for name in dims.values} if dims else {},
        inputs=Path(table.origin).parent / inputs if inputs else None,
        threads=table.count("threads", 1, least=1),
        provider=table.text("provider", "cpu"),
        seed=table.count("seed", 0),
    )
