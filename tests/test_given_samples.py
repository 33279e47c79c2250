"""Samples that the user gives: taken apart, checked, and named in messages."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feasibility.errors import InputError
from feasibility.records.workload import Fill, InputPlan, InputSpec
from feasibility.rewrite.given_samples import MAX_SAMPLES, sample_plans
from feasibility.runners.child.child_inputs import make_feeds

IMAGE = InputSpec(name="image", dtype="float32", shape=(1, 2, 3))
RATE = InputSpec(name="rate", dtype="int64", shape=())
ABSENT = InputSpec(name="mask", dtype="bool", shape=(), kind="optional", fill=Fill(kind="absent"))
PLAN = InputPlan(inputs=(IMAGE, RATE))
IMAGES = np.arange(5 * 6, dtype=np.float32).reshape(5, 2, 3)


def feeds(plans: tuple[InputPlan, ...]) -> list[dict[str, Any]]:
    """What a child gets for each plan."""
    requests = [
        {
            "seed": 0,
            "inputs": [
                {
                    "name": each.name,
                    "dtype": each.dtype,
                    "kind": each.kind,
                    "shape": each.shape,
                    "type_text": "",
                    "fill": {"kind": each.fill.kind, "path": each.fill.path},
                }
                for each in plan.inputs
            ],
        }
        for plan in plans
    ]
    return [make_feeds(np, request) for request in requests]


def npz(path: Path, **arrays: Any) -> Path:
    np.savez_compressed(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("images", "count"),
    [
        (IMAGES[:1], 1),
        (IMAGES, 5),
        (IMAGES.reshape(5, 1, 2, 3), 5),
        (np.asfortranarray(IMAGES[:1]), 1),
    ],
    ids=["one", "batch", "axis", "columns"],
)
def test_a_file_holds_one_sample_or_several(tmp_path: Path, images: Any, count: int) -> None:
    path = npz(tmp_path / "s.npz", image=images, rate=np.int64(16000), label=np.zeros(3))
    found = feeds(sample_plans(path, PLAN, tmp_path))
    assert len(found) == count
    for index, feed in enumerate(found):
        assert feed["image"].shape == (1, 2, 3)
        assert np.array_equal(feed["image"][0], images.reshape(-1, 2, 3)[index])
        assert (feed["rate"].shape, int(feed["rate"])) == ((), 16000)


def test_each_sample_has_its_own_values(tmp_path: Path) -> None:
    rates = np.array([1, 2, 3, 4, 5])
    path = npz(tmp_path / "s.npz", image=IMAGES, rate=rates)
    assert [int(feed["rate"]) for feed in feeds(sample_plans(path, PLAN, tmp_path))] == [
        1, 2, 3, 4, 5,
    ]  # fmt: skip


def test_a_folder_is_read_in_order_and_at_equal_distances(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(5):
        rates = np.arange(20) + 20 * number
        npz(folder / f"{number}.npz", image=np.resize(IMAGES, (20, 2, 3)), rate=rates)
    (folder / "readme.txt").write_text("-")
    found = [int(feed["rate"]) for feed in feeds(sample_plans(folder, PLAN, tmp_path))]
    assert found == [number * 100 // MAX_SAMPLES for number in range(MAX_SAMPLES)]


def test_a_npy_file_is_enough_for_one_input(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", IMAGES)
    plan = InputPlan(inputs=(ABSENT, IMAGE))
    found = sample_plans(tmp_path / "a.npy", plan, tmp_path)
    assert [each.inputs[0] for each in found] == [ABSENT] * 5
    assert np.array_equal(np.load(str(found[4].inputs[1].fill.path))[0], IMAGES[4])


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"rate": 1}, "it has no array for the input 'image'; its arrays: rate"),
        ({}, "it has no array for the input 'image'; its arrays: nothing"),
        (
            {"image": IMAGES.astype(np.float64), "rate": 1},
            "the array of the input 'image' is float64, expected float32",
        ),
        (
            {"image": IMAGES[:, :1], "rate": 1},
            "the array of the input 'image' has the shape [5, 1, 3], expected [1, 2, 3], "
            "or [N, 1, 2, 3] for N samples",
        ),
        (
            {"image": IMAGES, "rate": np.arange(4)},
            "the number of samples differs between its arrays: 5 of 'image', 4 of 'rate'",
        ),
        (
            {"image": np.asfortranarray(IMAGES), "rate": 1},
            "the array of the input 'image' is stored by columns",
        ),
        (
            {"image": IMAGES.astype(">f4"), "rate": 1},
            "the array of the input 'image' has another byte order",
        ),
        (
            {"image": np.array([{}]), "rate": 1},
            "the array of the input 'image' holds Python objects",
        ),
    ],
    ids=["missing", "empty", "dtype", "shape", "counts", "columns", "order", "objects"],
)
def test_arrays_that_do_not_fit_are_named(tmp_path: Path, arrays: Any, why: str) -> None:
    path = npz(tmp_path / "s.npz", **arrays)
    with pytest.raises(InputError) as caught:
        sample_plans(path, PLAN, tmp_path)
    assert (caught.value.what, caught.value.why) == (f"Cannot use the samples '{path}'", why)
    assert caught.value.hint


def test_an_input_that_is_no_tensor_takes_no_samples(tmp_path: Path) -> None:
    plan = InputPlan(inputs=(InputSpec(name="s", dtype="float32", shape=(1,), kind="sequence"),))
    with pytest.raises(InputError, match="the input is a sequence, which no array can hold"):
        sample_plans(npz(tmp_path / "s.npz", s=np.zeros(1, np.float32)), plan, tmp_path)


@pytest.mark.parametrize(
    ("count", "why"), [(10**15, "it is truncated"), (-1, "one of its sizes is negative")]
)
def test_a_header_that_lies_is_found_out(tmp_path: Path, count: int, why: str) -> None:
    """At the first sample that is missing, not after as many reads as it names."""
    path = tmp_path / "s.npy"
    header = {"descr": "<f4", "fortran_order": False, "shape": (count, 2, 3)}
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        stream.write(IMAGES.tobytes())
    with pytest.raises(InputError, match=why):
        sample_plans(path, InputPlan(inputs=(IMAGE,)), tmp_path)


@pytest.mark.parametrize("inputs", [(), (ABSENT,)], ids=["none", "absent"])
def test_a_model_without_inputs_takes_no_samples(
    tmp_path: Path, inputs: tuple[InputSpec, ...]
) -> None:
    for path in (npz(tmp_path / "s.npz", image=IMAGES), tmp_path / "s.npy"):
        np.save(tmp_path / "s.npy", IMAGES)
        with pytest.raises(InputError, match="the model runs without inputs") as caught:
            sample_plans(path, InputPlan(inputs=inputs), tmp_path)
        assert caught.value.hint == "leave out --samples"


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    """Opening it would wait for a writer."""
    os.mkfifo(tmp_path / "s.npy")
    with pytest.raises(InputError, match="it is not a regular file"):
        sample_plans(tmp_path / "s.npy", InputPlan(inputs=(IMAGE,)), tmp_path)


def test_places_without_samples_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file or folder"):
        sample_plans(tmp_path / "no.npz", PLAN, tmp_path)
    with pytest.raises(InputError, match=r"the folder has no \.npz or \.npy file"):
        sample_plans(tmp_path, PLAN, tmp_path)
    np.save(tmp_path / "a.npy", IMAGES)
    with pytest.raises(InputError, match="for models with one input, and this one has image, rate"):
        sample_plans(tmp_path / "a.npy", PLAN, tmp_path)


@pytest.mark.parametrize("cut", [10, 160, -8])
def test_a_damaged_file_is_an_error(tmp_path: Path, cut: int) -> None:
    plan = InputPlan(inputs=(IMAGE,))
    whole = npz(tmp_path / "s.npz", image=np.resize(IMAGES, (8, 2, 3))).read_bytes()
    (tmp_path / "s.npz").write_bytes(whole[:cut])
    np.save(tmp_path / "s.npy", np.resize(IMAGES, (8, 2, 3)))
    (tmp_path / "s.npy").write_bytes((tmp_path / "s.npy").read_bytes()[:cut])
    for name in ("s.npz", "s.npy"):
        with pytest.raises(InputError, match="Cannot use the samples") as caught:
            sample_plans(tmp_path / name, plan, tmp_path)
        assert caught.value.hint == "write it with numpy.savez(path, name=array)"


def test_a_changed_byte_in_an_archive_is_an_error(tmp_path: Path) -> None:
    path = npz(tmp_path / "s.npz", image=np.random.default_rng(0).random((64, 2, 3), np.float32))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match="Cannot use the samples"):
        sample_plans(path, InputPlan(inputs=(IMAGE,)), tmp_path)
