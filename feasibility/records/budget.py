"""Which figures of a model does a budget compare, and what is the result of a check?"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from feasibility.records.shared_fields import (
    Bytes,
    Count,
    Document,
    Method,
    Nanoseconds,
    Notice,
    Record,
    doc,
)
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

    arch: Annotated[str, doc("Instruction set, for example x86_64.")]
    cpu: Annotated[str, doc("Processor name.")]
    core_count: Annotated[Count, doc("Cores that the process could use.")]
    os: Annotated[str, doc("Operating system and kernel.")]
    libc: Annotated[str, doc("C library with its allocator.")]
    runtime: Annotated[str, doc("Runtime and version.")]
    numpy: Annotated[str, doc("Version of numpy.")] = ""
    memray: Annotated[str, doc("Version of memray.")] = ""
    method: Annotated[Method, doc("Measured, or measured under emulation.")] = "measured"
    provider: Annotated[str, doc("Execution provider.")] = "CPUExecutionProvider"
    threads: Annotated[Count, doc("Intra-op threads.")] = 1


class OperatorShare(Record, frozen=True, kw_only=True):
    """All nodes of one operator type together."""

    op_type: Annotated[str, doc("Operator, as domain:name; untrusted text.")]
    node_count: Annotated[Count, doc("Nodes in the file.")] = 0
    weight_bytes: Annotated[Bytes, doc("Bytes of initializers that these nodes read.")] = 0
    flops: Annotated[Count | None, doc("Operations of one inference.")] = None


class OperatorTime(Record, frozen=True, kw_only=True):
    """Time of one operator type in the graph that the runtime optimised."""

    op_type: Annotated[str, doc("Operator, fused or not; untrusted text.")]
    provider: Annotated[str, doc("Execution provider that ran the operator.")]
    time_ns: Annotated[Nanoseconds, doc("Time per inference.")]


class InitializerSize(Record, frozen=True, kw_only=True):
    """One of the largest initializers."""

    name: Annotated[str, doc("Name as the model gives it; untrusted text.")]
    dtype: Annotated[str, doc("Element type.")]
    size_bytes: Annotated[Bytes, doc("Bytes in memory.")]


class Snapshot(Document, frozen=True, kw_only=True, tag="feasibility/baseline/1"):
    """Figures of a model that `budget update` writes: sorted, without paths of the machine."""

    model: Annotated[str, doc("Path relative to the budget file; untrusted text.")]
    digest: Annotated[str | None, doc("SHA-256 over the model file and its external data.")] = None
    conditions: Annotated[Conditions | None, doc("Conditions of the runs; null without runs.")] = (
        None
    )
    dims: Annotated[dict[str, int], doc("Symbolic dims and their sizes.")] = {}
    inputs: Annotated[tuple[InputSpec, ...], doc("Inputs of the runs.")] = ()
    figures: Annotated[
        dict[Metric, int], doc("Figure per metric: bytes, nanoseconds or a count.")
    ] = {}
    operators: Annotated[
        tuple[OperatorShare, ...], doc("Work per operator type, sorted by name.")
    ] = ()
    operator_times: Annotated[
        tuple[OperatorTime, ...], doc("Time per operator type, sorted by name.")
    ] = ()
    initializers: Annotated[
        tuple[InitializerSize, ...], doc("The largest initializers, sorted by name.")
    ] = ()
    are_initializers_cut: Annotated[bool, doc("True if smaller initializers are left out.")] = False


class Growth(Record, frozen=True, kw_only=True):
    """One part of a model that explains growth."""

    kind: Annotated[
        Literal["operator", "operator-time", "initializer", "phase"], doc("Kind of part.")
    ]
    name: Annotated[str, doc("Name of the part; untrusted text.")]
    unit: Annotated[Unit, doc("Unit of the two figures.")]
    before: Annotated[Count | None, doc("Figure before; 0 if the part is new, null if unknown.")]
    after: Annotated[Count, doc("Figure now; 0 if the part was removed.")]


class BudgetLine(Record, frozen=True, kw_only=True):
    """One limit and its outcome."""

    metric: Annotated[str, doc("Key of the budget, for example peak, operators or devices.pi4.")]
    limit_text: Annotated[str, doc("The limit as in the budget file.")]
    unit: Annotated[Unit | None, doc("Unit; null if the limit is not a number.")] = None
    limit: Annotated[Count | None, doc("The limit as a number.")] = None
    baseline: Annotated[Count | None, doc("Figure of the baseline.")] = None
    actual: Annotated[Count | None, doc("Figure now.")] = None
    low_ratio: Annotated[float | None, doc("Lower end of actual / baseline.")] = None
    high_ratio: Annotated[float | None, doc("Upper end of actual / baseline.")] = None
    outcome: Annotated[Outcome, doc("Outcome; `inconclusive` means undecided.")]
    reason: Annotated[str, doc("Reason in one sentence; may be empty.")] = ""
    line_number: Annotated[Count, doc("Line of the limit in the budget file; 0 if unknown.")] = 0


class ModelBudget(Record, frozen=True, kw_only=True):
    """One model with the outcomes of all its limits."""

    model: Annotated[str, doc("Path relative to the budget file; untrusted text.")]
    source: Annotated[Source, doc("Source of the figures.")]
    lines: Annotated[tuple[BudgetLine, ...], doc("Limits, in a fixed order.")]
    growth: Annotated[tuple[Growth, ...], doc("Parts that explain the growth, largest first.")] = ()
    notices: Annotated[tuple[Notice, ...], doc("Warnings about the figures.")] = ()

    @property
    def outcome(self) -> Outcome:
        """The worst outcome of the limits."""
        found = {line.outcome for line in self.lines}
        order: tuple[Outcome, ...] = ("fail", "inconclusive", "pass")
        return next((outcome for outcome in order if outcome in found), "skipped")


class BudgetFailure(Record, frozen=True, kw_only=True):
    """A model that could not be checked."""

    model: Annotated[str, doc("Path relative to the budget file; untrusted text.")]
    message: Annotated[str, doc("What happened and why.")]
    hint: Annotated[str, doc("What to do.")] = ""


class BudgetReport(Document, frozen=True, kw_only=True, tag="feasibility/budget/1"):
    """The result of `budget check`."""

    config: Annotated[str, doc("The budget file, relative to its repository.")]
    baseline: Annotated[str, doc("What the models were compared with.")]
    strict: Annotated[bool, doc("True if undecided limits fail.")] = False
    models: Annotated[tuple[ModelBudget, ...], doc("Results per model.")]
    errors: Annotated[tuple[BudgetFailure, ...], doc("Models that could not be checked.")] = ()

    @property
    def is_broken(self) -> bool:
        """True if a budget is broken, or undecided with `strict`."""
        bad = {"fail", "inconclusive"} if self.strict else {"fail"}
        return any(model.outcome in bad for model in self.models)
