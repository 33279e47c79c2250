from __future__ import annotations

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feasibility.errors import InputError
from feasibility.graph.inputs.dim_sizes import MAX_BINDINGS
from feasibility.graph.inputs.input_plans import choose_sizes
from feasibility.graph.inputs.role_of_dim_name import evaluate, operands, role_of
from tests.analysed import bind_dims
from tests.analysis_models import FLOAT, INT64, constant, dropped, model, node

Inputs = dict[str, tuple[int, list[int | str | None] | None]]


def relus(inputs: Inputs) -> onnx.ModelProto:
    """Nothing in it tells anything of its inputs but their names and types."""
    nodes = [node("Identity", name, f"{name}_out") for name in inputs]
    return model(nodes, inputs, [f"{name}_out" for name in inputs])


def sizes(inputs: Inputs, **overrides: int) -> dict[str, int]:
    return bind_dims(relus(inputs), overrides).dims


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("batch", "batch"),
        ("batch_size", "batch"),
        ("N", "batch"),
        ("sequence", "sequence"),
        ("seq_len", "sequence"),
        ("max_seq_len_in_batch", "sequence"),
        ("decoderSequenceLength", "sequence"),
        ("past_sequence_length", "past"),
        ("total_sequence_length", "total"),
        ("height", "height"),
        ("W", "width"),
        ("num_samples", "samples"),
        ("time", "frames"),
        ("n_mels", "mel"),
        ("num_channels", "channels"),
        ("num_boxes", "items"),
        ("s77", "generic"),
        ("\x1b[2J<b>", "generic"),
        ("x" * 100_000, "generic"),
    ],
)
def test_names_tell_roles(name: str, role: str) -> None:
    assert role_of(name) == role


def test_the_usual_sizes() -> None:
    assert sizes(
        {
            "pixel_values": (FLOAT, ["batch", 3, "height", "width"]),
            "input_ids": (INT64, ["batch", "sequence"]),
            "audio": (FLOAT, ["batch", "samples"]),
        }
    ) == {"batch": 1, "height": 224, "width": 224, "sequence": 128, "samples": 16000}


@pytest.mark.parametrize("placeholder", [None, -1, "?", "None", "unk__12", "*"])
def test_a_dim_without_a_name_is_called_after_its_place(placeholder: int | str | None) -> None:
    shape = [placeholder, 3, placeholder, placeholder]
    assert sizes({"image": (FLOAT, shape)}) == {"image.0": 1, "image.2": 224, "image.3": 224}
    assert sizes({"image": (FLOAT, shape)}, **{"image.2": 64})["image.2"] == 64


def test_channels_last_pictures_are_told_by_their_channels() -> None:
    found = sizes({"x": (FLOAT, [None, None, None, 3])})
    assert found == {"x.0": 1, "x.1": 224, "x.2": 224}


def test_one_name_has_one_size_everywhere() -> None:
    found = bind_dims(relus({"a": (FLOAT, ["n", "k"]), "b": (FLOAT, ["k", "n"])}), {"k": 7})
    assert found.dims == {"n": 1, "k": 7}


def test_sums_of_names_are_kept_consistent() -> None:
    inputs: Inputs = {
        "input_ids": (INT64, ["batch", "sequence_length"]),
        "attention_mask": (INT64, ["batch", "past_sequence_length + sequence_length"]),
        "past_key_values.0.key": (FLOAT, ["batch", 4, "past_sequence_length", 16]),
    }
    found = sizes(inputs)
    assert found["past_sequence_length + sequence_length"] == (
        found["past_sequence_length"] + found["sequence_length"]
    )
    given = sizes(inputs, past_sequence_length=3, sequence_length=2)
    assert given["past_sequence_length + sequence_length"] == 5


def test_the_total_length_spans_the_past_and_the_new_tokens() -> None:
    found = sizes(
        {
            "attention_mask": (INT64, ["batch", "total_sequence_length"]),
            "input_ids": (INT64, ["batch", "sequence_length"]),
            "past_key_values.0.key": (FLOAT, ["batch", 4, "past_sequence_length", 16]),
        }
    )
    assert found["total_sequence_length"] == 128 + 16


def test_weights_tell_channels_and_features() -> None:
    pictures = model(
        [node("Conv", "x w", "y")],
        {"x": (FLOAT, ["n", "c", "h", "w"])},
        ["y"],
        [dropped("w", 8, 4, 3, 3)],
    )
    assert bind_dims(pictures, {}).dims["c"] == 4
    rows = model(
        [node("Cast", "x", "f", to=FLOAT), node("Gemm", "f w", "y")],
        {"x": (FLOAT, ["n", "k"])},
        ["y"],
        [dropped("w", 37, 3)],
    )
    assert bind_dims(rows, {}).dims == {"n": 1, "k": 37}
    assert bind_dims(rows, {}).assumptions[1].reason == "what Gemm 'y' takes"


def test_channels_are_followed_through_a_transpose() -> None:
    made = model(
        [node("Transpose", "x", "t", perm=[0, 3, 1, 2]), node("Conv", "t w", "y")],
        {"x": (FLOAT, [None, None, None, None])},
        ["y"],
        [dropped("w", 8, 5, 3, 3)],
    )
    assert bind_dims(made, {}).dims == {"x.0": 1, "x.1": 224, "x.2": 224, "x.3": 5}


def test_channels_are_followed_past_an_inserted_axis() -> None:
    """A spectrogram becomes a picture of one channel: its frames are not the channel."""
    made = model(
        [node("Unsqueeze", "feats axis", "picture"), node("Conv", "picture w", "y")],
        {"feats": (FLOAT, ["batch", "frames", "bands"])},
        ["y"],
        [constant("axis", [1]), dropped("w", 8, 1, 3, 3)],
    )
    assert bind_dims(made, {}).dims["frames"] == 100


def test_a_flattened_picture_has_the_size_that_its_dense_layer_takes() -> None:
    made = model(
        [node("Flatten", "x", "f"), node("Gemm", "f w", "y")],
        {"x": (FLOAT, ["n", 1, "h", "w"])},
        ["y"],
        [dropped("w", 28 * 28, 10)],
    )
    assert bind_dims(made, {}).dims == {"n": 1, "h": 28, "w": 28}


def test_a_size_is_worked_out_through_convolutions() -> None:
    """Two halvings and a dense layer for 8 x 8 x 6 leave pictures of about 32 x 32."""
    made = model(
        [
            node("Conv", "x a", "h1", strides=[2, 2], pads=[1, 1, 1, 1]),
            node("Conv", "h1 b", "h2", strides=[2, 2], pads=[1, 1, 1, 1]),
            node("Flatten", "h2", "f"),
            node("Gemm", "f w", "y"),
        ],
        {"x": (FLOAT, ["n", 3, "h", "w"])},
        ["y"],
        [dropped("a", 4, 3, 3, 3), dropped("b", 6, 4, 3, 3), dropped("w", 8 * 8 * 6, 10)],
    )
    binding, graph = choose_sizes(made, {}).likeliest
    assert not any(item.refusal for item in graph.nodes)
    assert 29 <= binding.dims["h"] <= 32
    assert binding.dims["h"] == binding.dims["w"]


def test_positions_beyond_their_table_make_texts_shorter() -> None:
    made = model(
        [
            node("Shape", "input_ids", "s", start=1, end=2),
            node("Squeeze", "s", "n"),
            node("Range", "zero n one", "positions"),
            node("Gather", "table positions", "y"),
        ],
        {"input_ids": (INT64, ["batch", "sequence"])},
        ["y"],
        [constant("zero", 0), constant("one", 1), dropped("table", 64, 300)],
    )
    assert bind_dims(made, {}).dims == {"batch": 1, "sequence": 16}


def test_an_input_without_rank_takes_that_of_its_consumer() -> None:
    made = model(
        [node("Conv", "x w", "y")], {"x": (FLOAT, None)}, ["y"], [dropped("w", 8, 3, 3, 3)]
    )
    assert bind_dims(made, {}).dims == {"x.0": 1, "x.1": 3, "x.2": 224, "x.3": 224}
    assert sizes({"x": (FLOAT, None)}) == {"x.0": 1}


def test_every_assumed_size_names_the_option_that_sets_it() -> None:
    binding = bind_dims(relus({"x": (FLOAT, ["my dim", "height", 3])}), {"height": 10})
    assert [(item.subject, item.value, item.option) for item in binding.assumptions] == [
        ("my dim", "1", "--dim 'my dim=N'")
    ]


def test_an_override_that_names_no_dim_lists_those_there_are() -> None:
    made = relus({"x": (FLOAT, ["batch", "sequence"])})
    with pytest.raises(InputError) as caught:
        bind_dims(made, {"sequense": 3})
    assert caught.value.why == "the model's open dims are batch, sequence"
    assert caught.value.hint == "did you mean --dim sequence=3?"
    with pytest.raises(InputError, match="no open dims"):
        bind_dims(relus({"x": (FLOAT, [1])}), {"n": 1})


def test_sizes_may_be_zero_but_not_negative() -> None:
    made = relus({"x": (FLOAT, ["n", 3])})
    assert bind_dims(made, {"n": 0}).dims == {"n": 0}
    with pytest.raises(InputError, match="never negative"):
        bind_dims(made, {"n": -1})
    with pytest.raises(InputError, match="no tensor is that large"):
        bind_dims(made, {"n": 2**63})


def test_hostile_names_do_not_reach_a_message_raw() -> None:
    made = relus({"x\x1b[31m": (FLOAT, ["n\n\x1b[2J", None])})
    with pytest.raises(InputError) as caught:
        bind_dims(made, {"\x1b[0m": 1})
    assert "\x1b" not in str(caught.value)
    assert "\n\x1b" not in str(caught.value)


def test_alternatives_come_without_repetition() -> None:
    made = relus({"x": (FLOAT, ["n", 3, "h", "w"])})
    found = [tuple(binding.dims.items()) for binding, _ in choose_sizes(made, {}).choices]
    assert len(found) == len(set(found)) == MAX_BINDINGS
    heights = [dict(item)["h"] for item in found]
    assert {224, 256, 512, 64, 32} <= set(heights)
    assert 2 in [dict(item)["n"] for item in found]


@given(st.text(max_size=30), st.integers(0, 100))
def test_expressions_never_raise(text: str, size: int) -> None:
    assert all(name in text for name in operands(text))
    evaluate(text, lambda _: size)


@given(st.text("ab12+-*/() ", max_size=20))
def test_expressions_agree_with_python(text: str) -> None:
    sizes_by_name = {"a": 12, "b": 5}
    found = evaluate(text.replace(" ", ""), sizes_by_name.get)
    if found is not None and "/" not in text:
        assert found == eval(text.replace(" ", ""), {}, dict(sizes_by_name))


@given(
    st.lists(
        st.one_of(
            st.none(),
            st.integers(-(2**63), 2**63 - 1),
            st.sampled_from(["n", "h", "w", "seq", "a + b", "a * 1000000000 * 1000000000", "((("]),
            st.text(max_size=8),
        ),
        max_size=5,
    )
)
def test_every_open_dim_gets_a_size(shape: list[int | str | None]) -> None:
    made = relus({"x": (FLOAT, shape)})
    binding = bind_dims(made, {})
    assert all(0 <= size < 2**62 for size in binding.dims.values())
    assert {item.subject for item in binding.assumptions} == set(binding.dims)
    assert bind_dims(made, {}) == binding
    assert bind_dims(made, binding.dims).dims == binding.dims
