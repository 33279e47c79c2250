"""Why will ONNX Runtime refuse a model that this tool can read?

The reasons become warnings of `inspect`, which still shows all facts about the model.
Each check was compared with ONNX Runtime 1.31.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from typing import Final

from onnx import IR_VERSION, GraphProto, ModelProto, defs

from feasibility.facts.operator_counts import DEFAULT_DOMAIN, domain_name
from feasibility.model_file.subgraph_names import bodies
from feasibility.records.shared_fields import Notice
from feasibility.text import limited, safe_text

_MAX_INLINE_BYTES: Final = 2**31 - 1
_EXPORT_AGAIN: Final = "the runtime refuses such a model; export it again"
_MAX_NAMED: Final = 3


def model_faults(model: ModelProto, file_bytes: int) -> Iterator[Notice]:
    """Faults that keep the runtime from loading the model, the most basic first."""
    if model.ir_version > IR_VERSION:
        yield Notice(
            code="ir-version-unknown",
            message=f"IR version {model.ir_version} is newer than {IR_VERSION}, the newest known",
            hint="check that the file is not damaged, or update feasibility's libraries",
        )
    if not model.opset_import:
        yield Notice(
            code="no-opset-import",
            message="the model does not say which operator set it uses",
            hint=_EXPORT_AGAIN,
        )
    newest = {DEFAULT_DOMAIN: defs.onnx_opset_version(), "ai.onnx.ml": defs.onnx_ml_opset_version()}
    for opset in model.opset_import:
        domain = domain_name(opset.domain)
        if opset.version > newest.get(domain, opset.version):
            yield Notice(
                code="opset-unknown",
                message=f"operator set {opset.version} of {domain} is newer than "
                f"{newest[domain]}, the newest known",
                hint="export the model for an older operator set, or update the runtime",
            )

    if file_bytes > _MAX_INLINE_BYTES:
        yield Notice(
            code="file-too-large",
            message="the file is larger than 2 GiB, which readers of protobuf refuse",
            hint="save the weights as external data",
        )
    duplicates, dangling, node_names = Counter[str](), Counter[str](), Counter[str]()
    _check_graph(model.graph, (), "", (duplicates, dangling, node_names))
    for names, code, fault in (
        (duplicates, "duplicate-tensor", "defined more than once"),
        (node_names, "duplicate-node", "the name of more than one node"),
        (dangling, "dangling-input", "read, but made by no node"),
    ):
        if names:
            yield Notice(code=code, message=f"{_named(names)} {fault}", hint=_EXPORT_AGAIN)


def _check_graph(
    graph: GraphProto,
    outer: tuple[Container[str], ...],
    scope: str,
    found: tuple[Counter[str], Counter[str], Counter[str]],
) -> None:
    duplicates, dangling, node_names = found
    weights = {tensor.name for tensor in graph.initializer}
    weights.update(sparse.values.name for sparse in graph.sparse_initializer)
    computing = []
    for node in graph.node:
        if node.op_type == "Constant" and not node.domain:
            weights.update(node.output)
        else:
            computing.append(node)
    inputs = [value.name for value in graph.input]
    # The runtime makes Constant nodes initializers. It accepts two initializers of one name, and
    # an initializer with the name of an input.
    defined = Counter(inputs)
    defined.update(weights.difference(inputs))
    defined.update(name for node in computing for name in node.output if name)
    duplicates.update(name for name, count in defined.items() if count > 1)
    named = Counter(node.name for node in graph.node if node.name)
    node_names.update(name for name, count in named.items() if count > 1)
    # In any order: the runtime sorts the nodes.
    visible = (defined, *outer)
    read = {name for node in graph.node for name in node.input if name}
    read.update(value.name for value in graph.output)
    dangling.update(name for name in read if not any(name in names for names in visible))
    for node in graph.node:
        for path, body in bodies(node, scope):
            _check_graph(body, visible, path, found)


def _named(names: Counter[str]) -> str:
    shown = limited([f"'{safe_text(name, 60)}'" for name in names], _MAX_NAMED)
    return f"{shown} {'is' if len(names) == 1 else 'are'}"
