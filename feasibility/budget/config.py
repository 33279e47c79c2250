"""Reads the budgets of a project, naming file, line and key where it cannot."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from feasibility.budget.fields import Fields, config_error
from feasibility.budget.limits import Limit, parse_limit
from feasibility.budget.metrics import METRICS
from feasibility.errors import ConfigError, UsageError
from feasibility.records.assessment import Verdict
from feasibility.records.budget import Metric
from feasibility.text import safe_text
from feasibility.toml_lines import KeyPath, key_lines

OWN_FILE: Final = "feasibility.toml"
PROJECT_FILE: Final = "pyproject.toml"
DEFAULT_BASELINE: Final = "profiles"

_MAX_FILE_BYTES: Final = 4 * 1024**2
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
    """How the models of a budget are run; the defaults are those of `measure`."""

    dims: Mapping[str, int] = field(default_factory=dict)
    inputs: Path | None = None
    threads: int = 1
    provider: str = "cpu"
    seed: int = 0


@dataclass(frozen=True, slots=True)
class OperatorRule:
    """Operators that may be used, or that a provider may run.

    Args:
        provider: The provider; None where the model file may hold no others.
        allowed: Operator names, with or without domain; `*` allows all.
        line: Line in the budget file.
    """

    provider: str | None
    allowed: tuple[str, ...]
    line: int = 0


@dataclass(frozen=True, slots=True)
class DeviceRule:
    """A verdict that a model has to get on a device, or a better one."""

    device: str
    verdict: Verdict
    line: int = 0


@dataclass(frozen=True, slots=True)
class DriftRule:
    """How far outputs may lie from those of another model on the same inputs.

    Args:
        limit_ratio: Largest difference, as a share of the largest output.
        reference: Path of the other model, relative to the budget file; None for the baseline.
        line: Line in the budget file.
    """

    limit_ratio: float
    reference: str | None = None
    line: int = 0


@dataclass(frozen=True, slots=True)
class Budget:
    """What the models of one path or glob may cost.

    Args:
        pattern: Path or glob, relative to the budget file.
        line: Where the budget starts in its file.
        limits: Bounds by metric; a metric may have several.
        operators: Operators that are allowed.
        devices: Verdicts that are required.
        drift: How far outputs may lie from a reference; None for any distance.
        workload: How its models are run.
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
        path: The file that they stand in.
        baseline: Folder of the recorded baselines.
        is_dedicated: True if the machine does nothing else, so that times recorded earlier
            on it may be held against it.
        budgets: In the order of the file.
    """

    path: Path
    baseline: Path
    is_dedicated: bool = False
    budgets: tuple[Budget, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder that patterns are relative to."""
        return self.path.parent


def find_config(start: Path) -> Path:
    """The budget file of the folder or of the nearest folder above it.

    Raises:
        ConfigError: There is none.
    """
    for folder in (start, *start.parents):
        own, project = folder / OWN_FILE, folder / PROJECT_FILE
        if own.is_file():
            return own
        if project.is_file() and "tool.feasibility" in project.read_text("utf-8", "replace"):
            return project
        if (folder / ".git").exists():
            break
    raise ConfigError(
        "Cannot find any budgets",
        f"neither {OWN_FILE} nor a pyproject.toml with [tool.feasibility] is here or above",
        "let `feasibility budget init MODEL...` propose some",
    )


def read_config(path: Path) -> BudgetConfig:
    """The budgets that a file holds.

    Raises:
        ConfigError: It cannot be read, is no TOML, or has a key or a value that means nothing.
    """
    what = f"Budget file {safe_text(str(path))} cannot be read"
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise ConfigError(what, "it is larger than any budget file")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(what, error.strerror or str(error), "check the path") from error
    except UnicodeDecodeError as error:
        raise ConfigError(what, "it is not UTF-8 text", "save it as UTF-8") from error
    return parse_config(text, path)


def parse_config(text: str, path: Path) -> BudgetConfig:
    """The budgets that the text of a file holds.

    Raises:
        ConfigError: It is no TOML, or has a key or a value that means nothing.
    """
    try:
        values: dict[str, object] = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        hint = "git left conflict markers in it: resolve them" if "<<<<<<<" in text else ""
        raise config_error(path, str(error), hint or "mend the line; it must be TOML") from error
    prefix: KeyPath = ()
    if path.name == PROJECT_FILE:
        for key in _PROJECT_TABLE:
            inner = values.get(key, {})
            values = inner if isinstance(inner, dict) else {}
        prefix = _PROJECT_TABLE
    fields = Fields(path, values, key_lines(text), prefix)
    fields.allow(_TOP_KEYS)
    budgets = tuple(_budget(entry) for entry in fields.tables("budget"))
    if not budgets:
        table = ".".join((*map(str, prefix), "budget"))
        raise config_error(
            path, f"it has no [[{table}]]", "`feasibility budget init MODEL...` proposes some"
        )
    return BudgetConfig(
        path=path,
        baseline=path.parent / fields.text("baseline", DEFAULT_BASELINE),
        is_dedicated=fields.flag("dedicated_runner"),
        budgets=budgets,
    )


def _budget(fields: Fields) -> Budget:
    fields.allow(_BUDGET_KEYS)
    budget = Budget(
        pattern=fields.text("model"),
        line=fields.line(),
        limits={
            metric: limits
            for metric in METRICS
            if (limits := _limits(fields, metric, fields.values.get(metric)))
        },
        operators=_operator_rules(fields),
        devices=_device_rules(fields),
        drift=_drift_rule(fields),
        workload=_workload(fields),
    )
    if not (budget.limits or budget.operators or budget.devices or budget.drift):
        fields.fail("model", "the budget states no limit", f"known: {', '.join(METRICS)}")
    return budget


def _limits(fields: Fields, metric: Metric, value: object) -> tuple[Limit, ...]:
    if value is None:
        return ()
    values = value if isinstance(value, list) else [value]
    try:
        return tuple(
            parse_limit(item, METRICS[metric].unit, fields.line(metric)) for item in values
        )
    except UsageError as error:
        fields.fail(metric, f"{error.what[0].lower()}{error.what[1:]}: {error.why}", error.hint)


def _operator_rules(fields: Fields) -> tuple[OperatorRule, ...]:
    if isinstance(fields.values.get("operators"), dict):
        table = fields.table("operators")
        return tuple(
            OperatorRule(provider, table.texts(provider), table.line(provider))
            for provider in table.values
        )
    allowed = fields.texts("operators")
    return (OperatorRule(None, allowed, fields.line("operators")),) if allowed else ()


def _device_rules(fields: Fields) -> tuple[DeviceRule, ...]:
    table = fields.table("devices")
    rules = []
    for device in table.values:
        verdict = table.text(device)
        match = next((known for known in RANKED_VERDICTS if known == verdict), None)
        if match is None:
            table.fail(device, f"a verdict is one of {', '.join(RANKED_VERDICTS)}")
        rules.append(DeviceRule(device, match, table.line(device)))
    return tuple(rules)


def _drift_rule(fields: Fields) -> DriftRule | None:
    value, reference, line = fields.values.get("drift"), None, fields.line("drift")
    if value is None:
        return None
    if isinstance(value, dict):
        table = fields.table("drift")
        table.allow(("limit", "reference"))
        value, reference = table.text("limit"), table.text("reference")
    match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        fields.fail("drift", 'expected a share of the largest output such as "1%"', _DRIFT_HINT)
    return DriftRule(float(match[1]) / 100, reference, line)


def _workload(fields: Fields) -> BudgetedWorkload:
    dims, inputs = fields.table("dims"), fields.text("inputs", "")
    return BudgetedWorkload(
        dims={name: dims.count(name) for name in dims.values},
        inputs=fields.path.parent / inputs if inputs else None,
        threads=fields.count("threads", 1, least=1),
        provider=fields.text("provider", "cpu"),
        seed=fields.count("seed", 0),
    )
