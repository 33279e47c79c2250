"""How do models or saved profiles differ? The answer of `compare`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from feasibility.records.drift import Drift
from feasibility.records.profile import Host, Latency
from feasibility.records.shared_fields import (
    Bytes,
    Count,
    Document,
    Method,
    Nanoseconds,
    Notice,
    Ratio,
    Record,
    doc,
)
from feasibility.records.workload import Workload

SubjectKind: TypeAlias = Literal["model", "folder", "profile"]
FigureName: TypeAlias = Literal[
    "file_size", "parameters", "nodes", "flops",
    "load_peak", "resident", "inference_peak", "floor", "allocated_peak",
    "default_load_peak", "default_resident", "default_inference_peak",
    "process_peak", "gpu_peak",
    "latency", "first_run", "load",
]  # fmt: skip
FigureUnit: TypeAlias = Literal["bytes", "ns", "count"]
ComparedOutcome: TypeAlias = Literal[
    "lower", "higher", "equal", "no-difference", "undecided", "not-comparable"
]
Evidence: TypeAlias = Literal["exact", "repeats", "ranges", "in-turns", "samples", "single"]
Affected: TypeAlias = Literal["work", "memory", "time"]
ConditionCode: TypeAlias = Literal[
    "inputs", "values", "machine", "processor", "system", "method", "runtime", "provider",
    "threads", "allocator", "instrument", "peaks",
]  # fmt: skip
PartMoment: TypeAlias = Literal["loaded", "inference-peak"]


class ComparedSubject(Record, frozen=True, kw_only=True):
    """One model or saved profile; the first one is the reference."""

    label: Annotated[str, doc("Letter of the subject in reports and warnings; A: reference.")]
    path: Annotated[str, doc("Path as the user gave it.")]
    kind: Annotated[
        SubjectKind,
        doc("model, or folder that `fit` wrote: measured now; profile: measured before."),
    ]
    model: Annotated[str, doc("File name of the model; untrusted text.")]
    sha256: Annotated[str | None, doc("SHA-256 of the model file.")] = None
    measured_at: Annotated[str, doc("UTC time, ISO 8601.")]
    method: Annotated[Method, doc("measured, or emulated: measured under emulation.")] = "measured"
    host: Annotated[Host, doc("The machine and its versions.")]
    workload: Annotated[Workload, doc("Dims, inputs, threads and settings of the runtime.")]
    latency: Annotated[Latency | None, doc("Times of one process, for statistics.")] = None


class ConditionDifference(Record, frozen=True, kw_only=True):
    """Another condition than that of the reference, which makes figures not comparable."""

    subject: Annotated[str, doc("Label of the subject.")]
    code: Annotated[ConditionCode, doc("The condition.")]
    reference: Annotated[str, doc("What it is for the reference.")]
    other: Annotated[str, doc("What it is for the subject.")]
    affects: Annotated[tuple[Affected, ...], doc("Figures that are not comparable because of it.")]


class FigureDifference(Record, frozen=True, kw_only=True):
    """One figure of a subject against that of the reference."""

    outcome: Annotated[
        ComparedOutcome,
        doc(
            "lower, higher: a real difference; equal: the same figure; no-difference: a difference "
            "may be noise; undecided: too little was measured; not-comparable: see `conditions`."
        ),
    ]
    evidence: Annotated[
        Evidence,
        doc(
            "exact: read from the file; repeats: compared with the noise of repeated processes; "
            "ranges: ranges overlap or not; in-turns: processes of the models alternated, "
            "signed-rank test; samples: samples of saved profiles, sign test; single: one value "
            "each, which decides nothing."
        ),
    ]
    value_ratio: Annotated[
        Ratio | None, doc("The figure divided by that of the reference; null if that is 0.")
    ] = None
    low_ratio: Annotated[
        Ratio | None, doc("Lower end of the 95 % confidence interval of the ratio.")
    ] = None
    high_ratio: Annotated[Ratio | None, doc("Upper end of this interval.")] = None
    tolerance_ratio: Annotated[Ratio | None, doc("A difference up to this share may be noise.")] = (
        None
    )


class ComparedFigure(Record, frozen=True, kw_only=True):
    """One figure of all subjects."""

    name: Annotated[FigureName, doc("The figure.")]
    unit: Annotated[FigureUnit, doc("Unit of the values.")]
    values: Annotated[tuple[int | None, ...], doc("One per subject; high end of a range.")]
    lows: Annotated[tuple[int | None, ...], doc("Low ends of ranges; otherwise empty.")] = ()
    differences: Annotated[
        tuple[FigureDifference | None, ...],
        doc("One per subject after the first; null if a value is missing."),
    ]


class OperatorUse(Record, frozen=True, kw_only=True):
    """All nodes of one operator type in one subject, as the runtime ran them."""

    node_count: Annotated[Count, doc("Number of nodes in the optimised graph.")] = 0
    time_ns: Annotated[Nanoseconds, doc("Time of all nodes in one run.")] = 0
    moved_bytes: Annotated[
        Bytes | None, doc("Bytes of inputs, weights and outputs in one run; null if unknown.")
    ] = None
    arena_bytes: Annotated[
        Bytes | None, doc("Most arena in use after one of the nodes; null if unknown.")
    ] = None


class ComparedOperator(Record, frozen=True, kw_only=True):
    """One operator type in all subjects."""

    op_type: Annotated[str, doc("Operator, fused ones included; untrusted text.")]
    uses: Annotated[
        tuple[OperatorUse | None, ...], doc("One per subject; null if nodes were not profiled.")
    ]


class NodeReplacement(Record, frozen=True, kw_only=True):
    """Nodes of the reference in whose place a subject has other nodes."""

    subject: Annotated[str, doc("Label of the subject.")]
    before: Annotated[dict[str, int], doc("Nodes of the reference, by operator type.")]
    after: Annotated[dict[str, int], doc("Nodes of the subject in their place; may be empty.")]
    place_count: Annotated[Count, doc("In how many places of the graph this happens.")]


class ComparedPart(Record, frozen=True, kw_only=True):
    """One part of memory in all subjects."""

    moment: Annotated[PartMoment, doc("After loading, or at the inference peak.")]
    part: Annotated[str, doc("The part, named as in the anatomy of a profile.")]
    sizes: Annotated[tuple[Bytes | None, ...], doc("One per subject; null if not measured.")]


class ComparedOutputs(Record, frozen=True, kw_only=True):
    """Outputs of a subject against those of the reference, for the same inputs."""

    subject: Annotated[str, doc("Label of the subject.")]
    drift: Annotated[Drift, doc("How far the outputs differ.")]


class Comparison(Document, frozen=True, kw_only=True, tag="feasibility/comparison/1"):
    """Figures of models or saved profiles side by side."""

    compared_at: Annotated[str, doc("UTC time, ISO 8601.")]
    subjects: Annotated[tuple[ComparedSubject, ...], doc("At least two, the reference first.")]
    conditions: Annotated[
        tuple[ConditionDifference, ...],
        doc("Different conditions, which make figures not comparable."),
    ] = ()
    figures: Annotated[
        tuple[ComparedFigure, ...], doc("All figures that at least one subject has.")
    ] = ()
    outputs: Annotated[
        tuple[ComparedOutputs, ...], doc("Drift; only for models that are measured now.")
    ] = ()
    operators: Annotated[
        tuple[ComparedOperator, ...], doc("Operator types, largest difference of time first.")
    ] = ()
    replacements: Annotated[
        tuple[NodeReplacement, ...], doc("Nodes that were fused or replaced, most nodes first.")
    ] = ()
    parts: Annotated[tuple[ComparedPart, ...], doc("Parts of memory, as in the anatomy.")] = ()
    round_count: Annotated[
        Count, doc("Rounds in which one process per model was timed; 0 for saved profiles.")
    ] = 0
    signal_ns: Annotated[
        Nanoseconds | None, doc("Signal that one run covers, for real-time factors.")
    ] = None
    warnings: Annotated[tuple[Notice, ...], doc("Warnings about these figures.")] = ()

    def _usual_rows(self) -> list[dict[str, Any]]:
        """One row per subject; a range has the figure of its high end."""
        return [
            {
                "label": subject.label,
                "path": subject.path,
                "model": subject.model,
                **{f"{each.name}_{each.unit}": each.values[number] for each in self.figures},
            }
            for number, subject in enumerate(self.subjects)
        ]
