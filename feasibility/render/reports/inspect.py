"""What does the report of `inspect` say? Facts of a model file, nothing measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from feasibility.records.facts import (
    FORMAT_TITLES,
    ActivationPeak,
    ModelFacts,
    ModelledMemory,
    OperatorType,
)
from feasibility.records.shared_fields import TensorSpec
from feasibility.render.reports.sections import (
    NOT_KNOWN,
    Bar,
    Column,
    Report,
    Row,
    Section,
    assumption_rows,
    assumption_section,
    counted,
    disk_text,
    known,
    name_text,
    node_text,
    notice_rows,
    section_of,
    share_text,
    table,
    tensor_text,
)
from feasibility.text import limited
from feasibility.units import format_bytes, format_count

TOP_COUNT = 10
FIRST_SCREEN_COUNT = 6
_ISA_NAMES = {"x86_64": "x86-64"}
# Domains whose operators have names that show where they come from.
_PLAIN_DOMAINS: Final = frozenset({"", "ai.onnx", "tflite"})


def inspect_report(facts: ModelFacts, *, details: bool = False) -> Report:
    """What is in the file, what it needs and what is open; nodes and tensors with details."""
    rows = (
        file_row(facts),
        *summary_rows(facts),
        *assumption_rows(facts.assumptions),
        *notice_rows(facts.warnings),
    )
    head = Section(name_text(facts.name, 200), rows)
    if not details:
        return (head, operator_section(facts, FIRST_SCREEN_COUNT))
    return (
        head,
        operator_section(facts, len(facts.operators)),
        *node_sections(facts),
        peak_section(facts.activation_peak),
        file_section(facts),
        assumption_section(facts.assumptions),
    )


def file_row(facts: ModelFacts) -> Row:
    """The file, its format and who wrote it."""
    parts = (
        disk_text(facts.file_bytes, facts.external_bytes),
        FORMAT_TITLES[facts.format],
        known(facts.ir_version, "IR {}".format, ""),
        known(facts.opset, "opset {}".format, ""),
        f"from {name_text(facts.producer, 40)}" if facts.producer else "",
    )
    return Row("file", ", ".join(filter(None, parts)))


def summary_rows(facts: ModelFacts) -> tuple[Row, ...]:
    """Weights, work, activations, graph, inputs and outputs in words."""
    rows = [
        Row("weights", _weights_text(facts)),
        Row("work", _work_text(facts)),
        Row("activations", _activation_text(facts.activation_peak)),
        Row("memory", _memory_text(facts.modelled_memory)),
        Row("graph", _graph_text(facts)),
        *_tensor_rows("input", facts.inputs),
        *_tensor_rows("output", facts.outputs),
    ]
    if facts.custom_operators:
        names = [name_text(name) for name in facts.custom_operators]
        runtime = "LiteRT" if facts.format == "tflite" else "ONNX Runtime"
        text = f"{limited(names, 5, 'operators')}; missing in standard builds of {runtime}"
        rows.append(Row("custom", text, "caution"))
    if facts.sha256:
        rows.append(Row("sha256", facts.sha256))
    return tuple(rows)


def _weights_text(facts: ModelFacts) -> str:
    if facts.parameter_count is None:
        return NOT_KNOWN
    if not facts.initializer_count and not facts.generated_bytes:
        return "none"
    count = format_count(facts.parameter_count)
    text = f"{count} parameter{'s' * (count != '1')}"
    unique = facts.unique_parameter_count
    if unique is not None and format_count(unique) != count:
        text += f" ({format_count(unique)} without repeated tensors)"
    text += f", {format_bytes(facts.initializer_bytes)} in memory"
    by_dtype = sorted(facts.initializer_bytes_by_dtype.items(), key=lambda item: -item[1])
    if len(by_dtype) == 1:
        text += f" as {name_text(by_dtype[0][0], 20)}"
    elif by_dtype:
        texts = [f"{name_text(dtype, 20)} {format_bytes(size)}" for dtype, size in by_dtype]
        text += f": {limited(texts, 4, 'types')}"
    if facts.generated_bytes:
        text += f"; {format_bytes(facts.generated_bytes)} more created while loading"
    return text


def _work_text(facts: ModelFacts) -> str:
    if facts.flops is None:
        return NOT_KNOWN
    text = format_count(facts.flops, "FLOP")
    if facts.macs is not None:
        text += f" ({format_count(facts.macs, 'MAC')}; 1 multiply-add = 2 FLOP)"
    if facts.moved_bytes is not None:
        text += f", {format_bytes(facts.moved_bytes)} read and written"
    if facts.per_iteration:
        text += "; loops of unknown length counted per iteration"
    if facts.unknown_node_count:
        text += f"; {counted(facts.unknown_node_count, 'node')} of unknown work not counted"
    return text


def _activation_text(peak: ActivationPeak | None) -> str:
    if peak is None:
        return NOT_KNOWN
    text = (
        f"at most {format_bytes(peak.peak_bytes)} at once, at {node_text(peak.node, peak.op_type)}"
    )
    if peak.unknown_tensor_count:
        text += f"; {counted(peak.unknown_tensor_count, 'tensor')} of unknown shape not counted"
    return text


def _memory_text(modelled: Sequence[ModelledMemory]) -> str:
    """Peaks with ONNX Runtime, computed from the graph; equal instruction sets as one."""
    names: dict[tuple[str, str], list[str]] = {}
    for memory in modelled:
        texts = format_bytes(memory.load_peak_bytes), format_bytes(memory.inference_peak_bytes)
        names.setdefault(texts, []).append(_ISA_NAMES.get(memory.isa, name_text(memory.isa)))
    if not names:
        return NOT_KNOWN
    figures = (
        f"{load} to load and {run} to run on {' and '.join(found)}"
        for (load, run), found in names.items()
    )
    runtime = f"ONNX Runtime {name_text(modelled[0].runtime_version)}".rstrip()
    return f"modelled: {'; '.join(figures)} ({runtime}, 1 thread, baseline not included)"


def _graph_text(facts: ModelFacts) -> str:
    if facts.node_count is None:
        return NOT_KNOWN
    parts = [counted(facts.node_count, "node"), counted(len(facts.operators), "operator type")]
    if facts.initializer_count is not None:
        parts.append(counted(facts.initializer_count, "initializer"))
    if facts.sparse_initializer_count:
        parts.append(f"{facts.sparse_initializer_count} of them sparse")
    others = ((facts.subgraph_count, "subgraph"), (facts.function_count, "local function"))
    return ", ".join((*parts, *(counted(count, noun) for count, noun in others if count)))


def _tensor_rows(noun: str, specs: Sequence[TensorSpec]) -> tuple[Row, ...]:
    if not specs:
        return (Row(f"{noun}s", "none"),)
    texts = [tensor_text(spec) for spec in specs]
    return (Row(noun + "s" * (len(specs) > 1), limited(texts, 4, f"{noun}s")),)


def operator_section(facts: ModelFacts, count: int = FIRST_SCREEN_COUNT) -> Section | None:
    """Operator types with their share of the work and the weights they read."""
    if not facts.operators:
        return None
    total = facts.flops or 0
    grid = table(
        facts.operators[:count],
        (Column("operator", min_width=12), lambda item: name_text(_qualified(item), 40)),
        (Column("nodes", "right"), lambda item: str(item.node_count)),
        (Column("FLOP", "right"), lambda item: known(item.flops, format_count, "")),
        (Column("share", "right"), lambda item: share_text(item.flops or 0, total)),
        (Column("", rank=1), lambda item: Bar((item.flops or 0) / total if total else None)),
        (
            Column("weights", "right"),
            lambda item: format_bytes(item.weight_bytes) if item.weight_bytes else "",
        ),
    )
    rest = len(facts.operators) - count
    remarks = (f"{counted(rest, 'more operator type')} with --details",) if rest > 0 else ()
    return Section("operators", grid=grid, remarks=remarks)


def _qualified(item: OperatorType) -> str:
    return item.op_type if item.domain in _PLAIN_DOMAINS else f"{item.domain}:{item.op_type}"


def node_sections(facts: ModelFacts) -> tuple[Section, ...]:
    """The nodes with most work and those with most bytes."""
    if not facts.nodes:
        return ()
    by_flops = sorted(facts.nodes, key=lambda node: -(node.flops or 0))
    by_bytes = sorted(facts.nodes, key=lambda node: -(node.moved_bytes or 0))
    total = facts.flops or 0
    return tuple(
        Section(
            f"nodes by {what}",
            grid=table(
                nodes[:TOP_COUNT],
                (Column("node", min_width=16), lambda node: name_text(node.name, 48)),
                (Column("operator"), lambda node: name_text(node.op_type, 24)),
                (Column("FLOP", "right"), lambda node: known(node.flops, format_count)),
                (Column("share", "right", rank=1), lambda node: share_text(node.flops or 0, total)),
                (Column("bytes", "right"), lambda node: known(node.moved_bytes)),
            ),
        )
        for what, nodes in (("work", by_flops), ("bytes read and written", by_bytes))
    )


def peak_section(peak: ActivationPeak | None) -> Section | None:
    """What is alive at the static activation peak."""
    if peak is None or not peak.tensors:
        return None
    grid = table(
        peak.tensors[:TOP_COUNT],
        (Column("tensor", min_width=16), lambda item: name_text(item.name, 48)),
        (Column("produced by", min_width=12), lambda it: name_text(it.producer, 48)),
        (Column("size", "right"), lambda item: format_bytes(item.size_bytes)),
    )
    title = f"tensors of the activation peak of {format_bytes(peak.peak_bytes)}, without weights"
    return Section(title, grid=grid)


def file_section(facts: ModelFacts) -> Section | None:
    """External data files and operator sets."""
    rows = [
        Row(
            name_text(item.location, 40),
            f"{format_bytes(item.file_bytes)}; {counted(item.initializer_count, 'initializer')} "
            f"{'uses' if item.initializer_count == 1 else 'use'} {format_bytes(item.used_bytes)}",
        )
        for item in facts.external_files
    ]
    opsets = [f"{name_text(domain, 40)} {version}" for domain, version in facts.opsets.items()]
    if opsets:
        rows.append(Row("operator sets", ", ".join(opsets)))
    return section_of("files and versions", rows)
