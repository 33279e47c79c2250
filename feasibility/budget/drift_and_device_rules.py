"""Which lines do the rules on operators, output drift and devices add to the report?"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from feasibility.budget.budget_file import RANKED_VERDICTS, DeviceRule, DriftRule, OperatorRule
from feasibility.budget.model_under_test import ModelUnderTest
from feasibility.catalogue.load_catalogue import find_device, load_catalogue
from feasibility.errors import ChangeError, DeviceError
from feasibility.measure.measure_options import PROVIDERS
from feasibility.paths import devices_dir
from feasibility.records.budget import BudgetLine, Metric, Outcome, Snapshot
from feasibility.records.device import Device
from feasibility.text import limited, safe_text
from feasibility.units import format_number

if TYPE_CHECKING:
    from feasibility.records.profile import Profile

_ALL_OPERATORS: Final = "*"
_NAMED_COUNT: Final = 5
_NO_REFERENCE: Final = (
    "recorded baselines contain no outputs; name a reference, or compare with --against REV"
)


def operator_line(rule: OperatorRule, snapshot: Snapshot) -> BudgetLine:
    """The line of a rule; it fails with the operators that are not allowed."""
    used = _used(rule.provider, snapshot)
    refused = [
        name
        for name in used
        if not {_ALL_OPERATORS, name, name.rpartition(":")[2]}.intersection(rule.allowed)
    ]
    where = "the model uses" if rule.provider is None else f"{rule.provider} runs"
    return BudgetLine(
        metric="operators" if rule.provider is None else f"operators.{rule.provider}",
        limit_text=safe_text(", ".join(rule.allowed) or "none", 60),
        outcome="fail" if refused else "pass",
        reason=f"{where} {_listed(refused)}, which the budget does not allow" if refused else "",
        line_number=rule.line,
    )


def _used(provider: str | None, snapshot: Snapshot) -> list[str]:
    if provider is None:
        return [share.op_type for share in snapshot.operators]
    full = PROVIDERS.get(provider.lower(), provider)
    return sorted({item.op_type for item in snapshot.operator_times if item.provider == full})


def _listed(names: Sequence[str]) -> str:
    shown = [safe_text(name.removeprefix("ai.onnx:"), 60) for name in names]
    return limited(shown, _NAMED_COUNT)


def drift_line(
    rule: DriftRule, model: ModelUnderTest, reference: ModelUnderTest | None
) -> BudgetLine:
    """The line on the difference of outputs; both models run now unless it is cached."""
    outcome, reason = _drift_outcome(rule, model, reference)
    return BudgetLine(
        metric="drift",
        limit_text=f"{100 * rule.limit_ratio:g}%",
        outcome=outcome,
        reason=reason,
        line_number=rule.line,
    )


def _drift_outcome(
    rule: DriftRule, model: ModelUnderTest, reference: ModelUnderTest | None
) -> tuple[Outcome, str]:
    if reference is None:
        return "inconclusive", _NO_REFERENCE
    try:
        ratio = _output_ratio(model, reference)
    except ChangeError as error:
        return "fail", error.why
    if ratio <= rule.limit_ratio:
        return "pass", ""
    if ratio == math.inf:
        return "fail", "outputs differ from those of the reference, which are zero or text"
    return (
        "fail",
        f"outputs differ by up to {format_number(100 * ratio, '%')} of the largest output",
    )


def _output_ratio(model: ModelUnderTest, reference: ModelUnderTest) -> float:
    """Largest relative difference of an output; both models run now unless it is cached.

    Raises:
        ChangeError: The outputs cannot be compared.
    """
    if model.digest == reference.digest:
        return 0.0
    key = b"\0".join((model.key, reference.key))
    known = model.cache.get("drift", key, float)
    if known is not None:
        return known
    from feasibility.output_drift import comparable_pairs, relative_ratio

    pairs = comparable_pairs(reference.runs.outputs(), model.runs.outputs()).values()
    ratio = max((relative_ratio([pair]) for pair in pairs), default=0.0)
    if ratio != math.inf:  # JSON has no infinity
        model.cache.put("drift", key, ratio)
    return ratio


@functools.cache
def device_named(name: str) -> Device:
    """The shipped device that a name means."""
    return find_device(name, load_catalogue(devices_dir()))


def device_bound(name: str, metric: Metric) -> int:
    """A device's limit for a model in bytes: storage, or memory less what the runtime needs."""
    device = device_named(name)
    limits = device.limits
    if metric == "file_size":
        if limits.model_storage_bytes is not None:
            return limits.model_storage_bytes.value
    else:
        grant = device.grant(None)
        if grant is not None:
            return max(0, grant.memory_bytes.value - limits.runtime_bytes.value)
    raise DeviceError(
        f"Cannot use the limit of {safe_text(name)!r} for {metric}",
        f"the catalogue has no such limit for {safe_text(device.name)}",
        "write an absolute limit",
    )


def device_line(rule: DeviceRule, profile: Profile) -> BudgetLine:
    """The line on the verdict that a model must have on a device."""
    from feasibility.decide.verdict import assess_device
    from feasibility.render.reports.reasons import reason_text

    found = assess_device(profile, device_named(rule.device))
    accepted = RANKED_VERDICTS[: RANKED_VERDICTS.index(rule.verdict) + 1]
    outcome: Outcome = "pass" if found.verdict in accepted else "fail"
    if found.verdict == "undecided":
        outcome = "inconclusive"
    reasons = "; ".join(map(reason_text, found.reasons[:2]))
    return BudgetLine(
        metric=f"devices.{rule.device}",
        limit_text=rule.verdict,
        outcome=outcome,
        reason="" if outcome == "pass" else f"{found.verdict}: {reasons}",
        line_number=rule.line,
    )
