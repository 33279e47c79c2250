"""TensorFlow Lite models, measured with LiteRT and judged: real files of the corpus."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli import Result, cli

__all__ = ["cli"]
Cli = Callable[..., Result]
pytest.importorskip("ai_edge_litert")
CORPUS = Path(__file__).parents[2] / "shared" / "models"
pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the folder of real models is absent")


@pytest.fixture(scope="module")
def keywords() -> Path:
    """A keyword spotter in int8."""
    return CORPUS / "mlperf_tiny" / "kws_ref_model.tflite"


def test_it_is_measured_with_the_engine_of_its_format(cli: Cli, keywords: Path) -> None:
    found = json.loads(cli("measure", keywords, "--json", "--runs", "3", "-q").out)
    assert found["workload"]["engine"] == "litert"
    assert found["workload"]["runtime"].startswith("LiteRT ")
    assert found["memory"]["load_peak_bytes"] > 0
    assert found["latency"]["median_ns"] > 0
    assert (found["model"]["format"], found["model"]["modelled_memory"]) == ("tflite", [])


def test_its_times_on_devices_are_those_of_litert(cli: Cli, keywords: Path) -> None:
    """Published rows of TensorFlow Lite are in the fit."""
    result = cli("check", keywords, "--device", "rpi_5", "--runs", "3", "--json", "-q")
    (model,) = json.loads(result.out)["models"]
    assert model["runtime"] == "tflite"
    assert model["devices"][0]["latency"]["runtime"] == "LiteRT"


def test_it_runs_under_a_limit(cli: Cli, keywords: Path) -> None:
    result = cli("prove", keywords, "--memory", "20MiB", "--runs", "3", "--json", "-q")
    assert json.loads(result.out)["verdict"]["outcome"] in {"survived", "thrashed"}


def test_a_budget_measures_it(cli: Cli, keywords: Path, tmp_path: Path) -> None:
    file = tmp_path / "feasibility.toml"
    (tmp_path / "m.tflite").write_bytes(keywords.read_bytes())
    file.write_text('[[budget]]\nmodel = "m.tflite"\npeak = "40MiB"\nfile_size = "1KiB"\n')
    result = cli("budget", "check", "--config", file)
    assert result.code == 1
    assert "file size" in result.out


def test_an_onnx_model_is_refused_by_litert(cli: Cli, tmp_path: Path) -> None:
    from tests.tiny_models import mlp

    result = cli("measure", mlp(tmp_path / "m.onnx"), "--engine", "litert")
    assert result.code == 2
    assert "it is in ONNX, and LiteRT reads TensorFlow Lite format" in result.err
    assert "the engine for this format is onnxruntime" in result.err


def test_without_the_package_it_is_one_clear_sentence(
    cli: Cli, keywords: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    result = cli("measure", keywords)
    assert (result.code, result.out) == (2, "")
    assert "the Python package ai_edge_litert is not installed" in result.err
    assert "pip install 'feasibility[litert]'" in result.err
