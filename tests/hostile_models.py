"""Random models, one per operator that onnx knows, and a program that reads them.

`python -m tests.hostile_models START STOP FILE` reads the models of these seeds one after the
other, written to FILE, and prints each seed before it reads the model.
"""

from __future__ import annotations

import contextlib
import random
import resource
import sys
import warnings
from functools import cache
from pathlib import Path

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, TypeProto, defs, helper, numpy_helper

from feasibility.errors import FeasibilityError
from feasibility.facts.model_facts import reading_of
from feasibility.model_file.open_model import open_model

_INTEGERS = (0, 1, 2, 3, 5, 8, -1, -2, 64, 2**20, 2**31 - 1, 2**31, 2**62, 2**63 - 1, -(2**31))
_FLOATS = (0.0, 1.0, 0.5, -1.0, 1e30, float("nan"), float("inf"))
_TEXTS = (
    b"", b"ij,jk->ik", b"...ii->...i", b"ij", b"i,j->ij", b"VALID", b"SAME_UPPER", b"linear",
    b"nearest", b"forward", b"bidirectional", b"constant", b"mean", b"none", b"asymmetric",
)  # fmt: skip
_SIZES = (0, 1, 2, 3, 4, 5, 8, 16)
_MAX_MEMORY_BYTES = 4 * 1024**3
_FLOAT, _DOUBLE, _INT64 = 1, 11, 7


@cache
def operators() -> list[defs.OpSchema]:
    """Every version of every operator that onnx infers shapes for, old versions first."""
    known = sorted(defs.get_all_schemas_with_history(), key=lambda schema: schema.since_version)
    return [schema for schema in known if schema.has_type_and_shape_inference_function]


def hostile_model(seed: int) -> bytes:
    """A model with one operator, random inputs and attributes, a third of them damaged."""
    chance = random.Random(seed)
    newest = {schema.name: schema for schema in operators()}  # the last of each name
    known = operators() if chance.random() < 0.3 else list(newest.values())
    # Einsum parses its text, and takes every fiftieth model.
    schema = chance.choice(known) if seed % 50 else newest["Einsum"]
    content = bytearray(_model(schema, chance).SerializeToString())
    if chance.random() < 0.33:
        for _ in range(chance.choice((1, 1, 2, 4))):
            content[chance.randrange(len(content))] = chance.randrange(256)
    return bytes(content)


def _model(schema: defs.OpSchema, chance: random.Random) -> ModelProto:
    made = helper.make_node(schema.name, [], [], domain=schema.domain)
    most_inputs = min(schema.max_input, schema.min_input + 3)
    made.input.extend(f"in{at}" for at in range(chance.randint(schema.min_input, most_inputs)))
    most_outputs = min(schema.max_output, schema.min_output + 3)
    made.output.extend(f"out{at}" for at in range(chance.randint(schema.min_output, most_outputs)))
    for name, attribute in schema.attributes.items():
        if attribute.required or chance.random() < 0.6:
            made.attribute.append(_attribute(name, int(attribute.type.value), chance))
    graph = GraphProto(name="g", node=[made])
    elem_type = chance.choice((_FLOAT, _FLOAT, _FLOAT, _DOUBLE, _INT64))
    for at, name in enumerate(made.input):
        allowed = schema.inputs[min(at, len(schema.inputs) - 1)].types
        takes_floats = not allowed or "tensor(float)" in allowed
        if chance.random() < 0.4:
            array = np.array([chance.choice(_INTEGERS) for _ in range(chance.choice((0, 1, 2, 4)))])
            data = array.astype(np.float32 if takes_floats else np.int64)
            graph.initializer.append(numpy_helper.from_array(data, name))
        else:
            declared = _type(elem_type if takes_floats else _INT64, chance)
            graph.input.add(name=name, type=declared)
    for name in made.output:
        graph.output.add(name=name)
    version = schema.since_version
    imports = [helper.make_opsetid(schema.domain, version)]
    if schema.domain:
        imports.append(helper.make_opsetid("", 22))
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def _type(elem_type: int, chance: random.Random) -> TypeProto:
    sizes = [chance.choice(_SIZES) for _ in range(chance.choice((0, 1, 2, 2, 3, 4, 4, 5)))]
    if sizes and chance.random() < 0.1:
        sizes[0] = chance.choice((2**31, 2**62, 2**63 - 1))
    return helper.make_tensor_type_proto(elem_type, sizes)


def _attribute(name: str, kind: int, chance: random.Random) -> AttributeProto:
    made = AttributeProto(name=name, type=kind)  # type: ignore[arg-type]
    count = chance.choice((0, 1, 2, 3, 4, 8))
    match kind:
        case AttributeProto.INT:
            made.i = chance.choice(_INTEGERS)
        case AttributeProto.FLOAT:
            made.f = chance.choice(_FLOATS)
        case AttributeProto.STRING:
            made.s = _text(chance)
        case AttributeProto.INTS:
            made.ints.extend(chance.choice(_INTEGERS) for _ in range(count))
        case AttributeProto.FLOATS:
            made.floats.extend(chance.choice(_FLOATS) for _ in range(count))
        case AttributeProto.STRINGS:
            made.strings.extend(_text(chance) for _ in range(count))
        case AttributeProto.TENSOR:
            made.t.CopyFrom(numpy_helper.from_array(np.arange(count, dtype=np.int64)))
        case AttributeProto.GRAPH:
            body = _model(chance.choice(operators()), chance) if chance.random() < 0.2 else None
            made.g.CopyFrom(body.graph if body is not None else GraphProto(name="body"))
    return made


def _text(chance: random.Random) -> bytes:
    text = bytearray(chance.choice(_TEXTS))
    for _ in range(chance.choice((0, 1, 1, 2))):
        at = chance.randrange(len(text) + 1)
        text[at : at + chance.randrange(2)] = bytes([chance.randrange(256)])
    return bytes(text)


def main(start: int, stop: int, path: Path) -> None:
    """Read the models of some seeds; whatever is not one of our errors ends the program."""
    for seed in range(start, stop):
        sys.stdout.write(f"{seed}\n")
        sys.stdout.flush()
        path.write_bytes(hostile_model(seed))
        # Not in the process that `read_model` starts: it would end what hangs.
        with contextlib.suppress(FeasibilityError), open_model(path) as file:
            reading_of(file, {}, with_plans=True, files={}, archive=None)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY_BYTES, _MAX_MEMORY_BYTES))
    warnings.simplefilter("error")
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
