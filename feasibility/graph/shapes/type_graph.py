"""What are the types and shapes of all values of a model, for given input sizes?

One pass over the nodes in execution order. `infer_node` infers the output types of a node, and
`constant_folding` computes small integer tensors. Bodies of If, Loop and Scan and of functions
are typed at each use, with the types of that use.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Container, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Final, TypeVar

import numpy as np
from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    OperatorSetIdProto,
)

from feasibility.graph.attributes import Attributes, attributes_of
from feasibility.graph.constant_folding import fold, tensor_value
from feasibility.graph.shapes.control_flow import Flow, branches, loop, scan
from feasibility.graph.shapes.infer_node import NodeTypes
from feasibility.graph.typed_graph import NEVER_FOLDED, Call, TypedGraph, TypedNode
from feasibility.graph.value_types import (
    UNKNOWN,
    Array,
    ValueType,
    element_count,
    tensor_type,
    value_type,
)

# A few kilobytes of nested functions can expand to billions of nodes. Beyond these limits the
# rest stays unknown.
MAX_NODES: Final = 300_000
MAX_BODY_NODES: Final = 40_000
MAX_DEPTH: Final = 48

# Longer floating-point tensors are weights, not the scales of a Resize.
_MAX_FLOATS: Final = 16

_Item = TypeVar("_Item")
_FunctionKey = tuple[str, str, str]


def type_graph(
    model: ModelProto, inputs: Mapping[str, ValueType], values: Mapping[str, int] | None = None
) -> TypedGraph:
    """Types of all values of a model.

    Types that cannot be inferred stay unknown; no model raises an error.

    `inputs` have their dims bound; `values` are integers that fill certain inputs.
    """
    scope = _Scope()
    for name, value in (values or {}).items():
        shape = inputs[name].shape if name in inputs else None
        if shape is not None and element_count(shape) == 1:
            scope.values[name] = np.full((1,) * len(shape), value, np.int64)
    walk = _Walk(model)
    return walk.graph(model.graph, inputs, scope, NodeTypes(opsets_of(model.opset_import)), {})


def opsets_of(imports: Iterable[OperatorSetIdProto]) -> dict[str, int]:
    """Operator set version by domain; the default domain is the empty string."""
    return {normal_domain(item.domain): item.version for item in imports}


def normal_domain(domain: str) -> str:
    """The domain; the default domain is always the empty string."""
    return "" if domain == "ai.onnx" else domain


@dataclass(slots=True)
class _Scope:
    """What is known about the values that a node can read."""

    types: MutableMapping[str, ValueType] = field(default_factory=dict)
    values: MutableMapping[str, Array] = field(default_factory=dict)
    constants: MutableMapping[str, bool] = field(default_factory=dict)
    depth: int = 0

    def inner(self) -> _Scope:
        return _Scope(
            _layer(self.types), _layer(self.values), _layer(self.constants), self.depth + 1
        )


def _layer(mapping: MutableMapping[str, _Item]) -> ChainMap[str, _Item]:
    return mapping.new_child() if isinstance(mapping, ChainMap) else ChainMap({}, mapping)


class _Walk:
    """State of one pass over a model: its functions and the number of nodes so far."""

    def __init__(self, model: ModelProto) -> None:
        self._functions: dict[_FunctionKey, FunctionProto] = {
            (normal_domain(item.domain), item.name, item.overload): item for item in model.functions
        }
        self._function_types: dict[_FunctionKey, NodeTypes] = {}
        self._bodies: dict[_FunctionKey, GraphProto] = {}
        self._overridable = model.ir_version >= 4
        self._node_count = 0
        self._body_node_count = 0

    def graph(
        self,
        graph: GraphProto,
        inputs: Mapping[str, ValueType],
        scope: _Scope,
        types: NodeTypes,
        references: Attributes,
        name: str = "",
    ) -> TypedGraph:
        """Types a graph or body whose inputs have the given types."""
        declared = {item.name for item in graph.input}
        initializers = self._add_initializers(graph, scope, declared)
        fed = tuple(item.name for item in graph.input if item.name not in initializers)
        scope.types.update(inputs)
        hints = {
            item.name: item
            for item in (*graph.value_info, *graph.output)
            if item.name not in scope.types
        }
        nodes = []
        for node in _execution_order(graph.node, scope.types):
            typed = self._node(node, scope, types, references)
            if typed is None:
                break
            nodes.append(typed)
            for output, known in zip(node.output, typed.outputs, strict=True):
                if known.elem_type == 0 and known.kind == "tensor" and output in hints:
                    scope.types[output] = value_type(hints[output].type)
        outputs = tuple(item.name for item in graph.output)
        return TypedGraph(
            name=name,
            nodes=tuple(nodes),
            inputs=fed,
            outputs=outputs,
            types=scope.types,
            initializers=frozenset(initializers),
            constants=scope.constants,
            output_values=tuple(scope.values.get(item) for item in outputs),
        )

    def _add_initializers(self, graph: GraphProto, scope: _Scope, declared: set[str]) -> set[str]:
        names = set()
        for tensor in graph.initializer:
            names.add(tensor.name)
            found = scope.types[tensor.name] = tensor_type(tensor)
            scope.constants[tensor.name] = not (self._overridable and tensor.name in declared)
            count = found.element_count
            if count is not None and (
                found.is_integer or found.elem_type == 9 or count <= _MAX_FLOATS
            ):
                value = tensor_value(tensor)
                if value is not None:
                    scope.values[tensor.name] = value
        for sparse in graph.sparse_initializer:
            names.add(sparse.values.name)
            shape = tuple(sparse.dims) if all(dim >= 0 for dim in sparse.dims) else None
            scope.types[sparse.values.name] = ValueType(sparse.values.data_type, shape)
            scope.constants[sparse.values.name] = True
        return names

    def _node(
        self, node: NodeProto, scope: _Scope, types: NodeTypes, references: Attributes
    ) -> TypedNode | None:
        self._node_count += 1
        self._body_node_count += scope.depth > 0
        is_body = scope.depth > 0
        if self._node_count > MAX_NODES or (is_body and self._body_node_count > MAX_BODY_NODES):
            return None
        domain = normal_domain(node.domain)
        if any(item.ref_attr_name for item in node.attribute):
            node = _with_references(node, references)
        call = Call(
            node,
            node.op_type,
            domain,
            attributes_of(node),
            tuple(scope.types.get(name, UNKNOWN) if name else UNKNOWN for name in node.input),
            tuple(scope.values.get(name) if name else None for name in node.input),
        )
        refusal = ""
        key = (domain, node.op_type, node.overload)
        if key in self._functions:
            flow = self._call(call, key, scope)
        elif node.op_type in ("If", "Loop", "Scan") and not domain:
            flow = self._control_flow(call, scope, types, references)
        else:
            outputs, refusal = types.infer(call)
            flow = Flow(outputs)
        return _typed(call, flow, refusal, scope)

    def _call(self, call: Call, key: _FunctionKey, scope: _Scope) -> Flow:
        """Types the body of a function for the types and values of one call."""
        function = self._functions[key]
        if scope.depth >= MAX_DEPTH:
            return Flow(())
        if key not in self._function_types:
            self._function_types[key] = NodeTypes(opsets_of(function.opset_import))
        inner = _Scope(depth=scope.depth + 1)
        for name, given, value, outer in zip(
            function.input, call.inputs, call.values, call.node.input, strict=False
        ):
            inner.types[name] = given
            inner.constants[name] = scope.constants.get(outer, False)
            if value is not None:
                inner.values[name] = value
        references = {item.name: item for item in function.attribute_proto} | dict(call.attributes)
        if key not in self._bodies:
            self._bodies[key] = GraphProto(node=function.node, value_info=function.value_info)
        walked = self.graph(
            self._bodies[key], {}, inner, self._function_types[key], references, function.name
        )
        outputs = tuple(inner.types.get(name, UNKNOWN) for name in function.output)
        walked = replace(walked, inputs=tuple(function.input), outputs=tuple(function.output))
        return Flow(outputs, (walked,))

    def _control_flow(
        self, call: Call, scope: _Scope, types: NodeTypes, references: Attributes
    ) -> Flow:
        if scope.depth >= MAX_DEPTH:
            return Flow(())

        def walk(
            name: str, graph: GraphProto, inputs: Sequence[ValueType], values: Mapping[int, Array]
        ) -> TypedGraph:
            inner = scope.inner()
            names = [item.name for item in graph.input]
            given = dict(zip(names, inputs, strict=False))
            # Names of a body hide equal names of the enclosing graphs.
            for index, item in enumerate(names):
                inner.constants[item] = False
                if index in values:
                    inner.values[item] = values[index]
                else:
                    inner.values.pop(item, None)
            return self.graph(graph, given, inner, types, references, name)

        if call.op_type == "Scan":
            return scan(call, walk, has_batch=types.opsets.get("", 0) == 8)
        return branches(call, walk) if call.op_type == "If" else loop(call, walk)


def _typed(call: Call, flow: Flow, refusal: str, scope: _Scope) -> TypedNode:
    """The typed node; its outputs are added to the scope."""
    node = call.node
    # In a damaged model a node may have fewer or more outputs than its operator.
    made = (flow.outputs + (UNKNOWN,) * len(node.output))[: len(node.output)]
    arrays = fold(call, made)
    outputs = tuple(
        value if array is None else value.with_shape(array.shape)
        for value, array in zip(made, arrays, strict=True)
    )
    is_folded = (
        not flow.bodies
        and call.op_type not in NEVER_FOLDED
        and all(scope.constants.get(name, False) for name in node.input if name)
    )
    for name, value, array in zip(node.output, outputs, arrays, strict=True):
        if name:
            scope.types[name] = value
            scope.constants[name] = is_folded
            if array is not None:
                scope.values[name] = array
    known = {item.name: getattr(call, item.name) for item in fields(call)}
    return TypedNode(
        **known,
        outputs=outputs,
        bodies=flow.bodies,
        trip_count=flow.trip_count,
        is_folded=is_folded,
        refusal=refusal,
    )


def _with_references(node: NodeProto, references: Attributes) -> NodeProto:
    """The node of a function body, with references replaced by attributes of the call."""
    filled = NodeProto()
    filled.CopyFrom(node)
    del filled.attribute[:]
    for item in node.attribute:
        if not item.ref_attr_name:
            filled.attribute.append(item)
        elif item.ref_attr_name in references:
            given: AttributeProto = references[item.ref_attr_name]
            filled.attribute.append(given)
            filled.attribute[-1].name = item.name
    return filled


def _execution_order(nodes: Sequence[NodeProto], available: Container[str]) -> Sequence[NodeProto]:
    """The nodes, each after those that compute its inputs; in file order if possible.

    The standard requires sorted files; the runtime sorts other files. Nodes in a cycle come
    last, in file order.

    `available` are the names that exist before the first node.
    """
    producers: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for name in node.output:
            producers.setdefault(name, index)
    if all(
        producers.get(name, -1) < index or name in available
        for index, node in enumerate(nodes)
        for name in node.input
        if name
    ):
        return nodes
    return _sorted(nodes, producers, available)


def _sorted(
    nodes: Sequence[NodeProto], producers: dict[str, int], available: Container[str]
) -> Sequence[NodeProto]:
    """Depth first from each node in file order, so that sorted parts keep their order."""
    order: list[int] = []
    done = bytearray(len(nodes))  # 1 while its inputs are being visited, 2 once placed
    for root in range(len(nodes)):
        stack = [root]
        while stack:
            index = stack[-1]
            if done[index] == 2:
                stack.pop()
                continue
            needed = [
                producers[name]
                for name in nodes[index].input
                if name in producers and name not in available and not done[producers[name]]
            ]
            if done[index] == 0:
                done[index] = 1
                stack.extend(reversed(needed))
                continue
            done[index] = 2
            order.append(index)
            stack.pop()
    return [nodes[index] for index in order]
