from __future__ import annotations

from feasibility.records.facts import ActivationPeak
from tests.analysed import analyse
from tests.analysis_models import BOOL, FLOAT, constant, dropped, graph, model, node, value

KIB_FLOATS = 256  # floats in one KiB


def peak(*args: object, **options: object) -> ActivationPeak:
    found = analyse(model(*args, **options), {}).activation_peak  # type: ignore[arg-type]
    assert found is not None
    return found


def test_a_chain_holds_one_input_and_one_output_at_a_time() -> None:
    chain = [node("Relu", "x", "a"), node("Relu", "a", "b"), node("Relu", "b", "y")]
    assert peak(chain, {"x": (FLOAT, [KIB_FLOATS])}, ["y"]).peak_bytes == 2 * 1024


def test_a_skip_connection_stays_alive_until_it_is_added() -> None:
    nodes = [
        node("Relu", "x", "a"),
        node("Concat", "a a", "b", axis=0),
        node("ReduceMax", "b", "c", axes=[0]),
        node("Add", "c a", "y"),
    ]
    found = peak(nodes, {"x": (FLOAT, [KIB_FLOATS])}, ["y"])
    assert (found.peak_bytes, found.op_type) == (3 * 1024 + 4, "ReduceMax")
    assert [(item.name, item.size_bytes, item.producer) for item in found.tensors] == [
        ("b", 2048, "b"),
        ("a", 1024, "a"),
        ("c", 4, "c"),
    ]


def test_outputs_live_to_the_end() -> None:
    nodes = [node("Relu", "x", "early"), node("Relu", "x", "h"), node("Relu", "h", "y")]
    inputs = {"x": (FLOAT, [KIB_FLOATS])}
    assert peak(nodes, inputs, ["early", "y"]).peak_bytes == 3 * 1024
    assert peak(nodes, inputs, ["y"]).peak_bytes == 2 * 1024


def test_views_share_the_memory_of_what_they_look_at() -> None:
    nodes = [
        node("Relu", "x", "a"),
        node("Flatten", "a", "flat"),
        node("Identity", "flat", "same"),
        node("Relu", "same", "y"),
    ]
    assert peak(nodes, {"x": (FLOAT, [1, 16, 16])}, ["y"]).peak_bytes == 2 * 1024


def test_a_view_keeps_its_source_alive() -> None:
    nodes = [
        node("Relu", "x", "a"),
        node("Flatten", "a", "flat"),
        node("Relu", "x", "b"),
        node("Add", "flat flat", "y"),
    ]
    assert peak(nodes, {"x": (FLOAT, [1, 16, 16])}, ["y", "b"]).peak_bytes == 3 * 1024


def test_weights_and_what_is_folded_from_them_are_left_out() -> None:
    nodes = [node("Tanh", "w", "v"), node("Add", "x v", "y")]
    found = peak(nodes, {"x": (FLOAT, [KIB_FLOATS])}, ["y"], [dropped("w", KIB_FLOATS)])
    assert found.peak_bytes == 2 * 1024
    assert {item.name for item in found.tensors} == {"x", "y"}


def test_the_dearer_branch_is_added_where_its_if_stands() -> None:
    small = graph([node("Relu", "x", "t")], [], [value("t", FLOAT, None)])
    large = graph(
        [node("Concat", "x x x", "m", axis=0), node("ReduceMax", "m", "e", axes=[0])],
        [],
        [value("e", FLOAT, None)],
    )
    choose = node("If", "c", "y", then_branch=small, else_branch=large)
    inputs = {"x": (FLOAT, [KIB_FLOATS]), "c": (BOOL, [])}
    found = peak([choose], inputs, [])
    assert {item.name for item in found.tensors} == {"c", "e", "m", "x"}
    assert found.peak_bytes == (1024 + 1) + 3 * 1024 + 4
    assert found.op_type == "ReduceMax"


def test_what_a_branch_gives_back_is_counted_once() -> None:
    branch = graph([node("Relu", "x", "t")], [], [value("t", FLOAT, None)])
    choose = node("If", "c", "y", then_branch=branch, else_branch=branch)
    inputs = {"x": (FLOAT, [KIB_FLOATS]), "c": (BOOL, [])}
    assert peak([choose], inputs, ["y"]).peak_bytes == 2 * 1024 + 1


def test_what_a_body_reads_from_outside_stays_alive() -> None:
    body = graph([node("Relu", "a", "t")], [], [value("t", FLOAT, None)])
    nodes = [
        node("Relu", "x", "a"),
        node("Relu", "x", "b"),
        node("If", "c", "y", then_branch=body, else_branch=body),
    ]
    inputs = {"x": (FLOAT, [KIB_FLOATS]), "c": (BOOL, [])}
    assert "a" in {item.name for item in peak(nodes, inputs, ["y", "b"]).tensors}


def test_tensors_of_open_shape_are_counted_as_unknown() -> None:
    nodes = [node("NonZero", "x", "at"), node("Relu", "x", "y")]
    assert peak(nodes, {"x": (FLOAT, [4])}, ["y"]).unknown_tensor_count == 1


def test_at_most_32_tensors_are_named_largest_first() -> None:
    nodes = [node("Slice", f"x zero end{at}", f"s{at}") for at in range(40)]
    nodes.append(node("Concat", " ".join(f"s{at}" for at in range(40)), "y", axis=0))
    weights = [constant("zero", [0]), *(constant(f"end{at}", [at + 1]) for at in range(40))]
    found = peak(nodes, {"x": (FLOAT, [64])}, ["y"], weights)
    sizes = [item.size_bytes for item in found.tensors]
    assert len(sizes) == 32
    assert sizes == sorted(sizes, reverse=True)
