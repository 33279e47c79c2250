"""`compare --changes`: one model with changes of itself, made for the comparison and removed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from feasibility.compare import runs_in_turns
from feasibility.compare.changed_models import changed_subjects, changes_named
from feasibility.errors import UsageError, UselessChangeError
from feasibility.measure.measure_options import MeasureOptions
from feasibility.records.workload import RuntimeSettings
from feasibility.zoo.espnet import Stack, transformer_encoder
from feasibility.zoo.onnx_file import write_network
from tests import tiny_models
from tests.cli import Result, cli
from tests.skeletons import read_skeleton

__all__ = ["cli"]

SMALL = Stack(32, 2, 64, 2, subsampling=(5, 3))
FRAMES = MeasureOptions(dims={"batch": 1, "frames": 40})


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small layers of ESPnet's encoder."""
    path = tmp_path_factory.mktemp("encoder") / "encoder.onnx"
    with path.open("wb") as file:
        write_network(transformer_encoder(SMALL), file)
    return path


def operators(path: Path) -> Counter[str]:
    return Counter(node.op_type for node in read_skeleton(path).model.graph.node)


def output(path: Path) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = {
        each.name: np.full((1, 40), 40, np.int64)[0, :1]
        if "int64" in each.type
        else np.random.default_rng(0).standard_normal((1, 40, 80), dtype=np.float32)
        for each in session.get_inputs()
    }
    return session.run(None, feeds)[0]


def test_changes_have_names_and_an_order() -> None:
    """Fusions come after quantization, in whichever order they are typed."""
    assert changes_named("as-is") == ()
    assert changes_named("transformer-fused + int8-dynamic") == (
        "int8-dynamic",
        "transformer-fused",
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("as-is+fp16", "as-is is the model without changes"),
        ("fp16+int8-dynamic", "two of them change the arithmetic"),
    ],
)
def test_changes_that_exclude_each_other_are_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        changes_named(text)


def test_a_change_brings_what_it_includes() -> None:
    """A packed file is loaded with the optimizer off, like the optimised file that it includes."""
    assert changes_named("prepacked-offline") == (
        "prepacked-offline",
        "optimised-offline",
        "external-data",
    )


@pytest.mark.parametrize(
    ("text", "near"), [("int8-dynamik", "int8-dynamic"), ("optimiser-off", "optimizer-off")]
)
def test_an_unknown_change_names_a_near_one(text: str, near: str) -> None:
    with pytest.raises(UsageError, match=near):
        changes_named(text)


def test_each_form_is_a_file_of_its_own_until_the_block_ends(encoder: Path) -> None:
    """The optimizer is a setting; fusions and fewer bits are files. The model stays as it is."""
    before = encoder.read_bytes()
    names = ("as-is", "optimizer-off", "transformer-fused", "int8-dynamic+transformer-fused")
    with changed_subjects(encoder, names, FRAMES) as subjects:
        files = [each.model for each in subjects]
        assert all(file is not None and file.exists() for file in files)
        as_is, off, fused, both = (file for file in files if file is not None)
        assert as_is == off == encoder
        assert subjects[0].settings == RuntimeSettings()
        assert subjects[1].settings.optimization_level == "disabled"
        assert [each.recipe for each in subjects] == list(names)
        assert operators(encoder)["SkipLayerNormalization"] == 0
        assert operators(fused)["SkipLayerNormalization"] > 0
        assert operators(fused)["DynamicQuantizeLinear"] == 0
        assert operators(both)["DynamicQuantizeLinear"] > 0
        assert operators(both)["SkipLayerNormalization"] > 0
        expected = output(as_is)
        assert np.abs(output(fused) - expected).max() < 1e-4 * np.abs(expected).max()
    assert not fused.exists()
    assert not both.exists()
    assert encoder.read_bytes() == before


def test_a_network_without_attention_has_nothing_to_fuse(tmp_path: Path) -> None:
    path = tiny_models.mlp(tmp_path / "mlp.onnx")
    with (
        pytest.raises(UselessChangeError, match="found nothing to fuse"),
        changed_subjects(path, ("as-is", "transformer-fused"), MeasureOptions()),
    ):
        pass


@pytest.mark.slow
def test_the_command_measures_all_forms_in_turns(
    cli: Callable[..., Result], encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Report and document name each form; the outputs of all are compared with the first."""
    monkeypatch.setattr(runs_in_turns, "is_settled", lambda first, _: len(first) >= 1)
    written = tmp_path / "written.json"
    found = cli(
        *("compare", encoder, "--changes", "as-is,int8-dynamic", "-q"),
        *("--dim", "batch=1", "--dim", "frames=40", "--runs", 2, "--warmup", 0, "-o", written),
    )
    assert found.code == 0, found.err
    assert found.out.startswith("encoder.onnx: as-is and int8-dynamic\n")
    assert "as-is (reference)" in found.out
    document = json.loads(written.read_bytes())
    forms = [each["workload"]["recipe"] for each in document["subjects"]]
    assert forms == ["as-is", "int8-dynamic"]
    assert {each["path"] for each in document["subjects"]} == {str(encoder)}
    (outputs,) = document["outputs"]
    assert outputs["drift"]["relative_ratio"] > 1e-4


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("a.onnx", "b.onnx", "--changes", "as-is,int8-dynamic"), "2 models are given"),
        (("--changes", "as-is,int8-dynamic"), "no model is given"),
        (("a.onnx", "--changes", "as-is,fp8"), "Unknown change 'fp8'"),
        (("a.onnx", "--changes", "as-is"), "only one model"),
        (("a.onnx", "--changes", "as-is,fp16", "--engines", "openvino"), "both"),
    ],
)
def test_what_cannot_be_compared_is_an_error(
    cli: Callable[..., Result], arguments: tuple[str, ...], why: str
) -> None:
    found = cli("compare", *arguments)
    assert found.code == 2
    assert why in found.err
    assert found.out == ""
