"""Whole measurements of tiny models, with real children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest

from feasibility import json_documents as schema
from feasibility.errors import HostError, InputError, ModelError
from feasibility.measure.measure_model import measure_model
from feasibility.measure.measure_options import MeasureOptions
from feasibility.records.profile import Profile
from tests import tiny_models
from tests.test_child_process import ends_soon, heed_interrupts, running_child_of, wait_for

QUICK = MeasureOptions(run_count=3, warmup_count=1, timeout_s=60)


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    model = tiny_models.mlp(tmp_path_factory.mktemp("m") / "mlp.onnx", width=512, layers=4)
    return measure_model(model, QUICK)


def test_every_pass_brings_its_figures(profile: Profile) -> None:
    """Memory, range, latency, operators and allocations are all there."""
    assert profile.memory is not None
    assert profile.memory.allocator == "steady"
    assert profile.memory.allocated_load_peak_bytes is not None
    # Older runtimes do not write the arena's state into their profile.
    has_arena_figures = tiny_models.RUNTIME_VERSION >= (1, 28)
    assert (profile.memory.arena_in_use_peak_bytes is not None) == has_arena_figures
    assert profile.default_allocator is not None
    assert profile.default_allocator.repeat_count >= 5
    assert profile.latency is not None
    assert len(profile.latency.samples_ns) == 3
    assert {operator.op_type for operator in profile.operators} >= {"MatMul"}
    assert {use.phase for use in profile.allocations} == {"load", "inference"}


def test_weights_account_for_the_memory(profile: Profile) -> None:
    """4 MiB of weights lie between the file's size and a few times that."""
    weights = 4 * 512 * 512 * 4
    assert profile.model.initializer_bytes == weights
    assert profile.memory is not None
    assert weights < profile.memory.load_peak_bytes < 10 * weights
    assert profile.memory.allocated_load_peak_bytes is not None
    assert weights <= profile.memory.allocated_load_peak_bytes < 4 * weights


def test_the_work_is_that_of_the_graph(profile: Profile) -> None:
    """Four MatMuls of 512 x 512, two operations per multiply-add, and four Relus."""
    assert profile.model.macs == 4 * 512 * 512
    assert profile.model.flops_by_class["matmul"] == 2 * 4 * 512 * 512


def test_conditions_are_recorded(profile: Profile) -> None:
    """A figure can be traced to its conditions."""
    assert profile.workload.threads == 1
    assert (profile.workload.warmup_count, profile.workload.run_count) == (1, 3)
    assert profile.workload.runtime.startswith("ONNX Runtime ")
    assert profile.host.core_count >= 1
    assert profile.host.libraries.keys() == {"numpy", "onnxruntime"}
    assert profile.model.sha256 is not None


def test_a_profile_survives_its_document(profile: Profile) -> None:
    """What was measured can be saved and read again."""
    assert schema.decode(schema.encode(profile), Profile, "p.json") == profile


def test_open_dims_take_the_given_size(tmp_path: Path) -> None:
    """--dim decides, and then nothing about it is an assumption."""
    model = tiny_models.mlp(tmp_path / "m.onnx", batch="batch")
    found = measure_model(model, MeasureOptions(run_count=1, dims={"batch": 7}))
    assert found.workload.dims == {"batch": 7}
    assert [spec.shape for spec in found.workload.inputs] == [(7, 64)]
    assert [item.subject for item in found.workload.assumptions] == []


def test_likely_sizes_are_tried_until_one_runs(tmp_path: Path) -> None:
    """224 does not fit this model; 640 does, and the profile says that it was changed."""
    model = tiny_models.multiple_of_160(tmp_path / "m.onnx")
    found = measure_model(model, QUICK)
    assert found.workload.dims == {"width": 640}
    changed = [each.message for each in found.warnings if each.code == "sizes-changed"]
    assert changed == [
        "the model did not run with the sizes assumed first; changed: width 224 -> 640"
    ]


def test_no_size_that_runs_names_dim_node_and_option(tmp_path: Path) -> None:
    """The message tells which dim, which node, and the option."""
    model = tiny_models.never_runs(tmp_path / "m.onnx")
    with pytest.raises(InputError) as caught:
        measure_model(model, QUICK)
    assert caught.value.what == "'m.onnx' loads but does not run with any size that was tried"
    assert caught.value.why.startswith("with the first one, node 'fold' (Reshape) failed: ")
    assert caught.value.why.endswith(" (tried strange_size: 1, 2, 3, 4, 8, 16, 64, 128)")
    assert caught.value.hint == "give the sizes it needs: --dim strange_size=N"


def test_given_arrays_are_fed(tmp_path: Path) -> None:
    """An array from a file decides the open dims."""
    model = tiny_models.mlp(tmp_path / "m.onnx", batch="batch")
    array = tmp_path / "x.npy"
    np.save(array, np.ones((5, 64), dtype=np.float32))
    found = measure_model(model, MeasureOptions(run_count=1, input_files={"x": array}))
    assert found.workload.dims == {"batch": 5}
    assert found.workload.inputs[0].fill.kind == "file"


def test_an_array_that_does_not_match_names_both_sides(tmp_path: Path) -> None:
    model = tiny_models.mlp(tmp_path / "m.onnx")
    array = tmp_path / "x.npy"
    for dtype, why, hint in (
        (
            np.float64,
            "the file holds float64, the model takes float32",
            "convert it: array.astype('float32')",
        ),
        (np.float32, "the file holds shape [5, 3], the model takes [1, 64]", "reshape the array"),
    ):
        np.save(array, np.ones((5, 3), dtype=dtype))
        with pytest.raises(InputError) as caught:
            measure_model(model, MeasureOptions(input_files={"x": array}))
        assert caught.value.what == f"Cannot use '{array}' for the input 'x'"
        assert (caught.value.why, caught.value.hint) == (why, hint)


def test_a_provider_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """No silent fall back to the CPU."""
    model = tiny_models.mlp(tmp_path / "m.onnx")
    with pytest.raises(HostError, match="QNNExecutionProvider is not part of this"):
        measure_model(model, MeasureOptions(provider="qnn"))


def test_ort_format_is_measured(tmp_path: Path) -> None:
    """Only the runtime can read it, so its inputs come from the runtime."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "m.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    source = tiny_models.mlp(tmp_path / "m.onnx")
    ort.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    found = measure_model(tmp_path / "m.ort", QUICK)
    assert found.model.format == "ort"
    assert found.memory is not None
    assert found.model.flops is None


def test_external_data_counts_as_files(tmp_path: Path) -> None:
    """Weights beside the model are part of its size on disk."""
    source = onnx.load_model(str(tiny_models.mlp(tmp_path / "m.onnx", width=256)))
    path = tmp_path / "external" / "m.onnx"
    path.parent.mkdir()
    onnx.save_model(source, str(path), save_as_external_data=True, location="m.data")
    found = measure_model(path, QUICK)
    assert found.model.external_bytes >= 2 * 256 * 256 * 4
    assert found.memory is not None


def test_a_hungry_model_is_refused_with_what_is_free(tmp_path: Path) -> None:
    """A terabyte of activations ends in a sentence, not in the kernel's killer."""
    model = tiny_models.huge_allocation(tmp_path / "m.onnx", elements=2**38)
    with pytest.raises(ModelError) as caught:
        measure_model(model, QUICK)
    assert "memory" in caught.value.why


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a pass ends the child and removes the captures."""
    model = tiny_models.endless_loop(tmp_path / "m.onnx")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    tool = subprocess.Popen(
        [sys.executable, "-m", "feasibility", "measure", str(model)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(scratch)},
        preexec_fn=heed_interrupts,  # noqa: PLW1509 (no threads here)
    )
    try:
        pid = wait_for(lambda: running_child_of(tool.pid))
        tool.send_signal(signal.SIGINT)
        _, errors = tool.communicate(timeout=30)
    finally:
        tool.kill()
        tool.communicate()
    assert tool.returncode == 130
    assert b"Traceback" not in errors
    assert ends_soon(pid)
    assert list(scratch.iterdir()) == []


def test_nothing_is_left_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Captures and traces are gone when the profile is there, and the runtime left no mark."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setenv("TMPDIR", str(scratch))
    measure_model(tiny_models.mlp(tmp_path / "m.onnx"), QUICK)
    assert list(scratch.iterdir()) == []
