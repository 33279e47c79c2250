"""Budget reports for tests of what shows them."""

from __future__ import annotations

from feasibility.records.budget import (
    BudgetFailure,
    BudgetLine,
    BudgetReport,
    Growth,
    ModelBudget,
)

MIB = 2**20
HOSTILE = 'a|b`<script>\x1b[2J\n::error::@everyone "]]>&.onnx'


def broken_model(name: str = "models/a.onnx") -> ModelBudget:
    return ModelBudget(
        model=name,
        source="measured",
        lines=(
            BudgetLine(
                metric="file_size",
                limit_text="+2%",
                unit="bytes",
                limit=20 * MIB,
                baseline=20 * MIB,
                actual=30 * MIB,
                outcome="fail",
                line_number=4,
            ),
            BudgetLine(
                metric="latency",
                limit_text="+20%",
                unit="ns",
                limit=7_680_000,
                baseline=6_400_000,
                actual=7_900_000,
                low_ratio=1.15,
                high_ratio=1.31,
                outcome="inconclusive",
                reason="45 processes could not tell it from the limit",
                line_number=6,
            ),
            BudgetLine(metric="operators", limit_text="Conv", outcome="pass", line_number=7),
            BudgetLine(
                metric="peak",
                limit_text="+2%",
                unit="bytes",
                outcome="skipped",
                reason="the model is new: main does not contain it",
                line_number=5,
            ),
        ),
        growth=(
            Growth(kind="initializer", name=name, unit="bytes", before=0, after=10 * MIB),
            Growth(kind="operator", name="ai.onnx:MatMul", unit="bytes", before=MIB, after=2 * MIB),
            Growth(
                kind="operator-time", name="MatMul", unit="ns", before=5_000_000, after=7_500_000
            ),
            Growth(kind="phase", name="load peak", unit="bytes", before=40 * MIB, after=39 * MIB),
        ),
    )


def kept_model(name: str = "models/b.onnx") -> ModelBudget:
    line = BudgetLine(
        metric="parameters", limit_text="25M", unit="count", limit=25_000_000, actual=44_500_000,
        outcome="pass", line_number=12,
    )  # fmt: skip
    return ModelBudget(model=name, source="unchanged", lines=(line,))


def report(*models: ModelBudget, errors: bool = False, strict: bool = False) -> BudgetReport:
    failure = BudgetFailure(
        model=HOSTILE, message="Cannot read model: it is a Git LFS pointer", hint="git lfs pull"
    )
    return BudgetReport(
        tool_version="0.1.0",
        config="feasibility.toml",
        baseline="main (0123456789)",
        strict=strict,
        models=models,
        errors=(failure,) if errors else (),
    )
