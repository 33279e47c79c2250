from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from feasibility.errors import InputError
from feasibility.facts.read_model import read_model
from feasibility.graph.inputs.dim_roles import open_inputs
from feasibility.graph.inputs.dim_sizes import typed
from feasibility.graph.inputs.input_plans import MAX_PLANS
from feasibility.records.workload import Fill, InputPlan, InputSpec
from tests.analysed import plan_inputs
from tests.analysis_models import BOOL, FLOAT, INT64, constant, dropped, graph, model, node, value
from tests.graph_samples import ort_file

MODELS = Path(__file__).parents[2] / "shared" / "models"
RUNNER = Path(__file__).with_name("run_plans.py")
INT32 = TensorProto.INT32


def plans_of(
    made: onnx.ModelProto,
    *,
    dims: dict[str, int] | None = None,
    files: dict[str, Path] | None = None,
    archive: Path | None = None,
) -> tuple[InputPlan, ...]:
    return plan_inputs(made, dims=dims or {}, files=files or {}, archive=archive)


def fill_of(made: onnx.ModelProto, name: str) -> Fill:
    return spec_of(made, name).fill


def spec_of(made: onnx.ModelProto, name: str) -> InputSpec:
    return next(item for item in plans_of(made)[0].inputs if item.name == name)


def identity(**inputs: tuple[int, list[int | str | None]]) -> onnx.ModelProto:
    nodes = [node("Identity", name, f"{name}_out") for name in inputs]
    return model(nodes, inputs, [f"{name}_out" for name in inputs])


IDS: tuple[int, list[int | str | None]] = (INT64, [1, 4])
LOOKUPS: list[tuple[str, list[onnx.NodeProto], list[onnx.TensorProto], tuple[float, float]]] = [
    ("rows", [node("Gather", "w ids", "y")], [dropped("w", 30, 300)], (0, 29)),
    (
        "smallest of two tables",
        [
            node("Gather", "w ids", "a"),
            node("Gather", "v ids", "b"),
            node("Concat", "a b", "y", axis=0),
        ],
        [dropped("w", 30, 300), dropped("v", 7, 300)],
        (0, 6),
    ),
    (
        "along another axis",
        [node("Gather", "w ids", "y", axis=1)],
        [dropped("w", 300, 9)],
        (0, 8),
    ),
    (
        "behind a cast, a reshape and a shift",
        [
            node("Cast", "ids", "c", to=INT32),
            node("Reshape", "c flat", "r"),
            node("Add", "r two", "s"),
            node("Gather", "w s", "y"),
        ],
        [dropped("w", 30, 300), constant("flat", [-1]), constant("two", 2, np.int32)],
        (-2, 27),
    ),
    (
        "classes of a one-hot",
        [node("OneHot", "ids depth values", "y")],
        [constant("depth", 12), constant("values", [0, 1])],
        (0, 11),
    ),
    ("a divisor", [node("Div", "seven ids", "y")], [constant("seven", 7)], (1, 9)),
]


@pytest.mark.parametrize(
    ("nodes", "weights", "bounds"), [row[1:] for row in LOOKUPS], ids=[row[0] for row in LOOKUPS]
)
def test_integers_stay_inside_what_the_graph_accepts(
    nodes: Any, weights: Any, bounds: tuple[float, float]
) -> None:
    fill = fill_of(model(nodes, {"ids": IDS}, ["y"], weights), "ids")
    assert (fill.kind, fill.low, fill.high) == ("integers", *bounds)
    assert fill.reason


def test_indices_are_followed_into_branches() -> None:
    branch = graph([node("Gather", "w ids", "t")], [], [value("t", FLOAT, None)])
    made = model(
        [node("If", "c", "y", then_branch=branch, else_branch=branch)],
        {"ids": IDS, "c": (BOOL, [])},
        ["y"],
        [dropped("w", 30, 300)],
    )
    assert fill_of(made, "ids").high == 29
    assert (fill_of(made, "c").kind, fill_of(made, "c").low) == ("constant", 1)


def test_indices_are_followed_into_functions_and_loops() -> None:
    function = helper.make_function(
        "local",
        "Embed",
        ["table", "at"],
        ["rows"],
        [node("Gather", "table at", "rows")],
        [helper.make_opsetid("", 17)],
    )
    made = model(
        [node("Embed", "w ids", "y", domain="local")],
        {"ids": IDS},
        ["y"],
        [dropped("w", 30, 300)],
        functions=[function],
    )
    assert fill_of(made, "ids").high == 29
    body = graph(
        [
            node("Identity", "go", "go_on"),
            node("Identity", "a", "b"),
            node("Gather", "w a", "each"),
        ],
        [value("i", INT64, []), value("go", BOOL, []), value("a", INT64, None)],
        [value("go_on", BOOL, []), value("b", INT64, None), value("each", FLOAT, None)],
    )
    looped = model(
        [node("Loop", "n _ ids", "last all", body=body)],
        {"ids": IDS, "n": (INT64, [])},
        ["all"],
        [dropped("w", 30, 300)],
    )
    assert fill_of(looped, "ids").high == 29
    assert (fill_of(looped, "n").kind, fill_of(looped, "n").low) == ("constant", 4)


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("attention_mask", (INT64, ["batch", "sequence"]), ("constant", 1, 1)),
        ("attention_mask", (FLOAT, ["batch", "sequence"]), ("constant", 1, 1)),
        ("sr", (INT64, []), ("constant", 16000, 16000)),
        ("token_type_ids", (INT64, [1, 4]), ("constant", 0, 0)),
        ("flag", (BOOL, [2]), ("constant", 1, 1)),
        ("image", (TensorProto.UINT8, [1, 4, 4, 3]), ("integers", 0, 255)),
        ("image", (TensorProto.INT8, [1, 4, 4, 3]), ("integers", -128, 127)),
        ("x", (FLOAT, [1, 4]), ("uniform", 0, 1)),
        ("x", (TensorProto.BFLOAT16, [1, 4]), ("uniform", 0, 1)),
        ("words", (TensorProto.STRING, [3]), ("constant", 0, 0)),
    ],
)
def test_names_and_types_tell_the_rest(
    name: str, kind: Any, expected: tuple[str, float, float]
) -> None:
    fill = fill_of(identity(**{name: kind}), name)
    assert (fill.kind, fill.low, fill.high) == expected


def test_lengths_are_those_of_what_is_fed() -> None:
    made = identity(audio=(FLOAT, ["batch", "samples"]), lengths=(INT64, ["batch"]))
    assert fill_of(made, "lengths").low == 16000
    recurrent = model(
        [node("LSTM", "x w r _ steps", "y", hidden_size=4)],
        {"x": (FLOAT, ["seq", 1, 3]), "steps": (INT32, [1])},
        ["y"],
        [dropped("w", 1, 16, 3), dropped("r", 1, 16, 4)],
    )
    for plan in plans_of(recurrent):
        steps = next(item for item in plan.inputs if item.name == "steps")
        assert steps.fill.low == plan.dims["seq"]


def test_positions_stay_inside_the_text_and_the_table() -> None:
    made = model(
        [node("Gather", "w position_ids", "p"), node("Gather", "v input_ids", "y")],
        {"input_ids": (INT64, [1, "sequence"]), "position_ids": (INT64, [1, "sequence"])},
        ["y", "p"],
        [dropped("w", 512, 300), dropped("v", 999, 300)],
    )
    assert fill_of(made, "position_ids").high == 127
    assert fill_of(made, "input_ids").high == 998


def test_values_that_are_not_obvious_are_assumptions_with_their_option() -> None:
    plan = plans_of(identity(attention_mask=(INT64, [1, 4]), x=(FLOAT, [1, 4])))[0]
    assert [(item.subject, item.value, item.option) for item in plan.assumptions] == [
        ("attention_mask", "all 1", "--input attention_mask=FILE.npy")
    ]


def test_doubtful_values_have_a_cautious_alternative() -> None:
    first, second, *_ = plans_of(identity(numbers=(INT64, [3])))
    assert (first.inputs[0].fill.low, first.inputs[0].fill.high) == (0, 9)
    assert (second.inputs[0].fill.low, second.inputs[0].fill.high) == (0, 0)


def test_there_are_at_most_eight_plans() -> None:
    made = identity(x=(FLOAT, ["n", 3, "h", "w"]), numbers=(INT64, ["n"]))
    assert len(plans_of(made)) == MAX_PLANS


def test_containers_and_scalars() -> None:
    tensor = helper.make_tensor_type_proto(FLOAT, [2, "n"])
    made = identity(scalar=(FLOAT, []), empty=(FLOAT, [0, 3]))
    for name, proto in (
        ("seq", helper.make_sequence_type_proto(tensor)),
        ("opt", helper.make_optional_type_proto(tensor)),
        ("map", helper.make_map_type_proto(INT64, tensor)),
    ):
        made.graph.input.append(onnx.ValueInfoProto(name=name, type=proto))
    specs = {item.name: item for item in plans_of(made)[0].inputs}
    assert [(name, specs[name].kind, specs[name].shape) for name in specs] == [
        ("scalar", "tensor", ()),
        ("empty", "tensor", (0, 3)),
        ("seq", "sequence", (2, 1)),
        ("opt", "optional", (2, 1)),
        ("map", "map", (1,)),
    ]
    assert specs["map"].type_text == "map(int64,tensor(float))"
    left_out = [
        item.fill.kind for plan in plans_of(made) for item in plan.inputs if item.name == "opt"
    ]
    assert left_out[:2] == ["uniform", "absent"]


def test_initializers_among_the_inputs_are_not_fed() -> None:
    made = model(
        [node("Add", "x w", "y")], {"x": (FLOAT, [2]), "w": (FLOAT, [2])}, ["y"], [dropped("w", 2)]
    )
    assert [item.name for item in plans_of(made)[0].inputs] == ["x"]


def test_an_ort_file_is_planned_from_its_declared_inputs(tmp_path: Path) -> None:
    path = ort_file(tmp_path / "model.ort", ["batch"])
    first, *_ = read_model(path, dims={"batch": 3}, with_plans=True).plans
    assert first.dims == {"batch": 3}
    assert [(item.name, item.dtype, item.shape) for item in first.inputs] == [
        ("x", "float32", (3, 64))
    ]
    with pytest.raises(InputError, match="open dims are batch"):
        read_model(path, dims={"q": 1}, with_plans=True)


def runnable_models() -> list[Any]:
    index = MODELS / "index.csv"
    if not index.exists():
        return []
    with index.open(encoding="utf-8", newline="") as stream:
        rows = [
            row["path"]
            for row in csv.DictReader(stream)
            if row["path"].endswith(".onnx") and row["runs_ok"].startswith("True")
        ]
    skipped = ("nasty/endless_loop.onnx", "onnxruntime_go/example_big_compute.onnx")
    return [path for path in rows if path not in skipped]


# Runs only because the optimiser rewrites a Reshape that is impossible as it is written.
_NOT_INFERRED = {"ort_testdata/gpt2_past.onnx"}


@pytest.mark.slow
@pytest.mark.parametrize("path", runnable_models())
def test_a_plan_of_every_known_model_runs(path: str) -> None:
    made = onnx.ModelProto.FromString((MODELS / path).read_bytes())
    plans = plans_of(made)
    request = {"path": str(MODELS / path), "plans": msgspec.to_builtins(plans)}
    done = subprocess.run(
        [sys.executable, str(RUNNER)],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    reply = json.loads(done.stdout)
    assert "plan" in reply, reply
    found = typed(made, open_inputs(made), plans[reply["plan"]].dims)
    for name, shape in reply["shapes"].items():
        inferred = found.types[name].shape
        if inferred is not None and path not in _NOT_INFERRED:
            assert len(inferred) == len(shape)
            assert all(
                one is None or one == other for one, other in zip(inferred, shape, strict=True)
            )
