"""Budgets: a model's figures at one time, and the outcome of a check."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from feasibility.records.base import Bytes, Count, Method, Nanoseconds, Notice, Record
from feasibility.records.workload import InputSpec

Metric: TypeAlias = Literal[
    "file_size",
    "parameters",
    "flops",
    "activation_peak",
    "peak",
    "load_peak",
    "inference_peak",
    "floor",
    "resident",
    "allocated_peak",
    "latency",
    "latency_p95",
]
Unit: TypeAlias = Literal["bytes", "ns", "count"]
Outcome: TypeAlias = Literal["pass", "fail", "inconclusive", "skipped"]
Source: TypeAlias = Literal["measured", "cached", "unchanged", "static"]


class Conditions(Record, frozen=True, kw_only=True):
    """Conditions of a measurement besides the model."""

    arch: Annotated[str, Meta(description="Instruction set, for example x86_64.")]
    cpu: Annotated[str, Meta(description="Processor name.")]
    core_count: Annotated[Count, Meta(description="Cores that the process could use.")]
    os: Annotated[str, Meta(description="Operating system and kernel.")]
    libc: Annotated[str, Meta(description="C library with its allocator.")]
    runtime: Annotated[str, Meta(description="Runtime and version.")]
    numpy: Annotated[str, Meta(description="Version of numpy.")] = ""
    memray: Annotated[str, Meta(description="Version of memray.")] = ""
    method: Annotated[Method, Meta(description="Measured, or measured under emulation.")] = (
        "measured"
    )
    provider: Annotated[str, Meta(description="Execution provider.")] = "CPUExecutionProvider"
    threads: Annotated[Count, Meta(description="Intra-op threads.")] = 1


class OperatorShare(Record, frozen=True, kw_only=True):
    """All nodes of one operator type together."""

    op_type: Annotated[str, Meta(description="Operator, as domain:name; untrusted text.")]
    node_count: Annotated[Count, Meta(description="Nodes in the file.")] = 0
    weight_bytes: Annotated[
        Bytes, Meta(description="Bytes of initializers that these nodes read.")
    ] = 0
    flops: Annotated[Count | None, Meta(description="Operations of one inference.")] = None


class OperatorTime(Record, frozen=True, kw_only=True):
    """Time of one operator type in the graph that the runtime optimised."""

    op_type: Annotated[str, Meta(description="Operator, also a fused one; untrusted text.")]
    provider: Annotated[str, Meta(description="Execution provider that ran it.")]
    time_ns: Annotated[Nanoseconds, Meta(description="Time per inference.")]


class InitializerSize(Record, frozen=True, kw_only=True):
    """One of the largest initializers."""

    name: Annotated[str, Meta(description="Name as the model gives it; untrusted text.")]
    dtype: Annotated[str, Meta(description="Element type.")]
    size_bytes: Annotated[Bytes, Meta(description="Bytes in memory.")]


class Snapshot(Record, frozen=True, kw_only=True, tag_field="schema", tag="feasibility/baseline/1"):
    """A model's figures as `budget update` writes them: small, sorted, no machine's paths."""

    tool_version: Annotated[str, Meta(description="Version of feasibility that wrote this.")]
    model: Annotated[str, Meta(description="Path relative to the budget file; untrusted text.")]
    digest: Annotated[
        str | None, Meta(description="SHA-256 over the model file and its external data.")
    ] = None
    conditions: Annotated[
        Conditions | None, Meta(description="Conditions; null if the model was not run.")
    ] = None
    dims: Annotated[dict[str, int], Meta(description="Symbolic dims and their sizes.")] = {}
    inputs: Annotated[tuple[InputSpec, ...], Meta(description="Inputs of the runs.")] = ()
    figures: Annotated[
        dict[Metric, int], Meta(description="Figure per metric: bytes, nanoseconds or a count.")
    ] = {}
    operators: Annotated[
        tuple[OperatorShare, ...], Meta(description="By operator type, sorted by name.")
    ] = ()
    operator_times: Annotated[
        tuple[OperatorTime, ...], Meta(description="Time by operator type, sorted by name.")
    ] = ()
    initializers: Annotated[
        tuple[InitializerSize, ...], Meta(description="The largest ones, sorted by name.")
    ] = ()
    are_initializers_cut: Annotated[
        bool, Meta(description="True if smaller initializers are left out.")
    ] = False


class Growth(Record, frozen=True, kw_only=True):
    """One part of a model that explains growth."""

    kind: Annotated[
        Literal["operator", "operator-time", "initializer", "phase"],
        Meta(description="Kind of part."),
    ]
    name: Annotated[str, Meta(description="Its name; untrusted text.")]
    unit: Annotated[Unit, Meta(description="Unit of the two figures.")]
    before: Annotated[
        Count | None,
        Meta(description="Figure in the baseline; 0 if the part is new, null if unknown."),
    ]
    after: Annotated[Count, Meta(description="Figure now; 0 if the part is gone.")]


class BudgetLine(Record, frozen=True, kw_only=True):
    """One limit and its outcome."""

    metric: Annotated[
        str, Meta(description="Key of the budget, for example peak, operators or devices.pi4.")
    ]
    limit_text: Annotated[str, Meta(description="The limit as in the budget file.")]
    unit: Annotated[Unit | None, Meta(description="Unit; null if the limit is not a number.")] = (
        None
    )
    limit: Annotated[Count | None, Meta(description="The limit as a number.")] = None
    baseline: Annotated[Count | None, Meta(description="Figure of the baseline.")] = None
    actual: Annotated[Count | None, Meta(description="Figure now.")] = None
    low_ratio: Annotated[
        float | None, Meta(description="Lower end of the interval of actual to baseline.")
    ] = None
    high_ratio: Annotated[
        float | None, Meta(description="Upper end of the interval of actual to baseline.")
    ] = None
    outcome: Annotated[Outcome, Meta(description="Outcome of the check.")]
    reason: Annotated[str, Meta(description="Reason in one sentence; may be empty.")] = ""
    line_number: Annotated[
        Count, Meta(description="Line of the limit in the budget file; 0 if unknown.")
    ] = 0


class ModelBudget(Record, frozen=True, kw_only=True):
    """One model with the outcomes of all its limits."""

    model: Annotated[str, Meta(description="Path relative to the budget file; untrusted text.")]
    source: Annotated[Source, Meta(description="Source of the figures.")]
    lines: Annotated[tuple[BudgetLine, ...], Meta(description="Limits, in a fixed order.")]
    growth: Annotated[
        tuple[Growth, ...], Meta(description="Parts that explain the growth, largest first.")
    ] = ()
    notices: Annotated[tuple[Notice, ...], Meta(description="Warnings about the figures.")] = ()

    @property
    def outcome(self) -> Outcome:
        """The worst outcome of the limits."""
        found = {line.outcome for line in self.lines}
        order: tuple[Outcome, ...] = ("fail", "inconclusive", "pass")
        return next((outcome for outcome in order if outcome in found), "skipped")


class BudgetFailure(Record, frozen=True, kw_only=True):
    """A model that could not be checked."""

    model: Annotated[str, Meta(description="Path relative to the budget file; untrusted text.")]
    message: Annotated[str, Meta(description="What happened and why.")]
    hint: Annotated[str, Meta(description="What to do.")] = ""


class BudgetReport(
    Record, frozen=True, kw_only=True, tag_field="schema", tag="feasibility/budget/1"
):
    """The result of `budget check`."""

    tool_version: Annotated[str, Meta(description="Version of feasibility that wrote this.")]
    config: Annotated[str, Meta(description="The budget file, relative to its repository.")]
    baseline: Annotated[str, Meta(description="What the models were compared with.")]
    strict: Annotated[bool, Meta(description="True if inconclusive limits fail.")] = False
    models: Annotated[tuple[ModelBudget, ...], Meta(description="Results per model.")]
    errors: Annotated[
        tuple[BudgetFailure, ...], Meta(description="Models that could not be checked.")
    ] = ()

    @property
    def is_broken(self) -> bool:
        """True if a budget is broken, or inconclusive with `strict`."""
        bad = {"fail", "inconclusive"} if self.strict else {"fail"}
        return any(model.outcome in bad for model in self.models)
