"""How often does a model use each operator, and which ones does no standard build have?"""

from __future__ import annotations

from collections import ChainMap, Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Final, TypeAlias

from onnx import ModelProto, NodeProto, defs

from feasibility.graph.value_types import bounded
from feasibility.model_file.subgraph_names import bodies, function_scope
from feasibility.model_file.tensors import TensorInfo
from feasibility.records.facts import NodeFacts, OperatorType

DEFAULT_DOMAIN: Final = "ai.onnx"

Operator: TypeAlias = tuple[str, str]
"""Domain and operator type; the default domain is `ai.onnx`."""
_FunctionKey: TypeAlias = tuple[str, str, str]
_MAX_OPSET: Final = 2**31 - 1

# Domains whose operators are in every build of ONNX Runtime. Their schemas are not at hand
# here (those of ai.onnx.ml are), so any operator in them is taken for a known one.
_RUNTIME_DOMAINS: Final = frozenset(
    {"com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc", "ai.onnx.preview.training"}
)
# Operators that ONNX Runtime has in the default domain though ONNX itself dropped them or
# took them up later. Source: onnxruntime/core/graph/contrib_ops/contrib_defs.cc.
_RUNTIME_OPERATORS: Final = frozenset(
    {
        "Affine", "Crop", "DynamicSlice", "GRUUnit", "GivenTensorFill", "ImageScaler",
        "LayerNormalization", "MemcpyFromHost", "MemcpyToHost", "ParametricSoftplus", "Scale",
        "ScaledTanh", "SimplifiedLayerNormalization",
    }
)  # fmt: skip


def domain_name(domain: str) -> str:
    """The domain's name, also for the default one, which files leave empty."""
    return domain or DEFAULT_DOMAIN


class OperatorCounts:
    """Counts of nodes and weights by operator, of graphs and used functions, each once.

    Attributes:
        node_counts: Nodes by operator. Calls of model-local functions are left out, their bodies
            are in.
        weight_bytes: Bytes of the initializers that nodes of an operator read first.
    """

    def __init__(self, model: ModelProto, weights: Sequence[TensorInfo]) -> None:
        self.node_counts: Counter[Operator] = Counter()
        self.weight_bytes: Counter[Operator] = Counter()
        self.custom_operators: set[Operator] = set()
        self.subgraph_count = 0
        self._functions = {
            (domain_name(function.domain), function.name, function.overload): function
            for function in model.functions
        }
        self._called: list[_FunctionKey] = []
        self._is_called: set[_FunctionKey] = set()
        self._unread_by_scope: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for tensor in weights:
            self._unread_by_scope[tensor.scope][tensor.name] = tensor.size_bytes
        opsets = {domain_name(opset.domain): opset.version for opset in model.opset_import}
        self._nodes(model.graph.node, "", ChainMap(), opsets)
        # A function's body may call further ones, which then join the end of the list.
        for key in self._called:
            function = self._functions[key]
            own = {domain_name(opset.domain): opset.version for opset in function.opset_import}
            self._nodes(function.node, function_scope(function), ChainMap(), {**opsets, **own})

    def _nodes(
        self,
        nodes: Iterable[NodeProto],
        scope: str,
        outer: ChainMap[str, int],
        opsets: Mapping[str, int],
    ) -> None:
        unread = outer.new_child(self._unread_by_scope[scope])
        for node in nodes:
            self._node(node, unread, opsets)
            for path, graph in bodies(node, scope):
                self.subgraph_count += 1
                self._nodes(graph.node, path, unread, opsets)

    def _node(self, node: NodeProto, unread: ChainMap[str, int], opsets: Mapping[str, int]) -> None:
        domain = domain_name(node.domain)
        operator = (domain, node.op_type)
        key = (domain, node.op_type, node.overload)
        if key in self._functions:
            if key not in self._is_called:
                self._is_called.add(key)
                self._called.append(key)
        else:
            self.node_counts[operator] += 1
            if not _is_standard(domain, node.op_type, opsets.get(domain)):
                self.custom_operators.add(operator)
        for name in node.input:
            size_bytes = _take(unread, name)
            if size_bytes:
                self.weight_bytes[operator] += size_bytes


def operator_types(
    node_counts: Mapping[Operator, int],
    weight_bytes: Mapping[Operator, int],
    nodes: Iterable[NodeFacts],
) -> tuple[OperatorType, ...]:
    """Operator types, most work first; work that is not known for all nodes of one is None."""
    flops: defaultdict[Operator, int | None] = defaultdict(int)
    for node in nodes:
        operator = (node.domain, node.op_type)
        known = flops[operator]
        runs = node.repeat_count or 1
        flops[operator] = None if known is None or node.flops is None else known + node.flops * runs
    types = [
        OperatorType(
            op_type=op_type,
            domain=domain,
            node_count=count,
            flops=bounded(flops.get((domain, op_type))),
            weight_bytes=weight_bytes.get((domain, op_type), 0),
        )
        for (domain, op_type), count in node_counts.items()
    ]
    return tuple(sorted(types, key=lambda kind: (-(kind.flops or 0), -kind.node_count)))


def _take(weights: ChainMap[str, int], name: str) -> int:
    """Bytes of a weight on its first reading, 0 ever after."""
    for scope in weights.maps:
        if name in scope:
            size_bytes = scope[name]
            scope[name] = 0
            return size_bytes
    return 0


@cache
def _is_standard(domain: str, op_type: str, opset: int | None) -> bool:
    if domain in _RUNTIME_DOMAINS:
        return True
    schema_domain = "" if domain == DEFAULT_DOMAIN else domain
    if schema_domain == "" and op_type in _RUNTIME_OPERATORS:
        return True
    if opset is None or not 0 < opset <= _MAX_OPSET:
        return bool(defs.has(op_type, schema_domain))
    return bool(defs.has(op_type, opset, schema_domain))
