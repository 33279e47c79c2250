"""What budgets gate on: a model's figures at one time, and what a check made of them."""

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
    """What figures depend on besides the model."""

    arch: Annotated[str, Meta(description="Instruction set, for example x86_64.")]
    cpu: Annotated[str, Meta(description="Processor name.")]
    core_count: Annotated[Count, Meta(description="Cores that the process could use.")]
    os: Annotated[str, Meta(description="Operating system and kernel.")]
    libc: Annotated[str, Meta(description="C library, which brings the allocator.")]
    runtime: Annotated[str, Meta(description="Runtime and version.")]
    numpy: Annotated[str, Meta(description="Version of numpy.")] = ""
    memray: Annotated[str, Meta(description="Version of memray.")] = ""
    method: Annotated[
        Method, Meta(description="Whether figures were measured or measured under emulation.")
    ] = "measured"
    provider: Annotated[str, Meta(description="Execution provider.")] = "CPUExecutionProvider"
    threads: Annotated[Count, Meta(description="Intra-op threads.")] = 1


class OperatorShare(Record, frozen=True, kw_only=True):
    """All nodes of one operator type together."""

    op_type: Annotated[str, Meta(description="Operator, as domain:name; untrusted text.")]
    node_count: Annotated[Count, Meta(description="Nodes in the file.")] = 0
    weight_bytes: Annotated[Bytes, Meta(description="Initializer bytes these nodes read.")] = 0
    flops: Annotated[Count | None, Meta(description="Operations of one inference.")] = None


class OperatorTime(Record, frozen=True, kw_only=True):
    """Time of one operator type as the runtime ran it, after its own optimisation."""

    op_type: Annotated[str, Meta(description="Operator, fused ones included; untrusted text.")]
    provider: Annotated[str, Meta(description="Execution provider that ran it.")]
    time_ns: Annotated[Nanoseconds, Meta(description="Time per inference.")]


class InitializerSize(Record, frozen=True, kw_only=True):
    """One of the largest initializers."""

    name: Annotated[str, Meta(description="Name as the model gives it; untrusted text.")]
    dtype: Annotated[str, Meta(description="Element type.")]
    size_bytes: Annotated[Bytes, Meta(description="Bytes in memory.")]


class Snapshot(Record, frozen=True, kw_only=True, tag_field="schema", tag="feasibility/baseline/1"):
    """A model's figures as `budget update` commits them: small, sorted, free of machine paths."""

    tool_version: Annotated[str, Meta(description="Version of feasibility that wrote this.")]
    model: Annotated[str, Meta(description="Path relative to the budget file; untrusted text.")]
    digest: Annotated[
        str | None, Meta(description="SHA-256 over the model file and its external data.")
    ] = None
    conditions: Annotated[
        Conditions | None, Meta(description="Conditions; null where nothing was run.")
    ] = None
    dims: Annotated[dict[str, int], Meta(description="Symbolic dims and their sizes.")] = {}
    inputs: Annotated[tuple[InputSpec, ...], Meta(description="The inputs that were fed.")] = ()
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
        bool, Meta(description="True if smaller initializers were left out.")
    ] = False


class Growth(Record, frozen=True, kw_only=True):
    """One part of a model that accounts for a change."""

    kind: Annotated[
        Literal["operator", "operator-time", "initializer", "phase"],
        Meta(description="What sort of part it is."),
    ]
    name: Annotated[str, Meta(description="Its name; untrusted text.")]
    unit: Annotated[Unit, Meta(description="Unit of the two figures.")]
    before: Annotated[
        Count | None,
        Meta(description="Figure in the baseline; 0 where it is new, null where it is not known."),
    ]
    after: Annotated[Count, Meta(description="Figure now; 0 where it is gone.")]


class BudgetLine(Record, frozen=True, kw_only=True):
    """One limit and what became of it."""

    metric: Annotated[
        str, Meta(description="Key of the budget, for example peak, operators or devices.pi4.")
    ]
    limit_text: Annotated[str, Meta(description="The limit as the budget file states it.")]
    unit: Annotated[Unit | None, Meta(description="Unit; null where it is no number.")] = None
    limit: Annotated[Count | None, Meta(description="The limit as a number.")] = None
    baseline: Annotated[Count | None, Meta(description="Figure of the baseline.")] = None
    actual: Annotated[Count | None, Meta(description="Figure now.")] = None
    low_ratio: Annotated[
        float | None, Meta(description="Lower end of the interval of actual to baseline.")
    ] = None
    high_ratio: Annotated[
        float | None, Meta(description="Upper end of the interval of actual to baseline.")
    ] = None
    outcome: Annotated[Outcome, Meta(description="What became of it.")]
    reason: Annotated[str, Meta(description="Why, in one sentence; may be empty.")] = ""
    line_number: Annotated[
        Count, Meta(description="Line of the limit in the budget file; 0 where there is none.")
    ] = 0


class ModelBudget(Record, frozen=True, kw_only=True):
    """One model against all its limits."""

    model: Annotated[str, Meta(description="Path relative to the budget file; untrusted text.")]
    source: Annotated[Source, Meta(description="Where the figures came from.")]
    lines: Annotated[tuple[BudgetLine, ...], Meta(description="Its limits, in a fixed order.")]
    growth: Annotated[
        tuple[Growth, ...], Meta(description="What accounts for the change, largest first.")
    ] = ()
    notices: Annotated[tuple[Notice, ...], Meta(description="What to know first.")] = ()

    @property
    def outcome(self) -> Outcome:
        """The worst outcome among the limits."""
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
    """The answer of `budget check`."""

    tool_version: Annotated[str, Meta(description="Version of feasibility that wrote this.")]
    config: Annotated[str, Meta(description="The budget file, relative to its repository.")]
    baseline: Annotated[str, Meta(description="What models were compared with.")]
    strict: Annotated[bool, Meta(description="True if what is inconclusive fails.")] = False
    models: Annotated[tuple[ModelBudget, ...], Meta(description="Per model.")]
    errors: Annotated[tuple[BudgetFailure, ...], Meta(description="Models that failed.")] = ()

    @property
    def is_broken(self) -> bool:
        """True if a budget is broken, or inconclusive where that counts as broken."""
        bad = {"fail", "inconclusive"} if self.strict else {"fail"}
        return any(model.outcome in bad for model in self.models)
