"""The options of `check` that state requirements: what they mean, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from feasibility.catalogue.load_catalogue import find_device, load_catalogue
from feasibility.commands.check import measuring_threads
from feasibility.commands.check_options import (
    NetworkOptions,
    PlaceOptions,
    TargetOptions,
    read_requirements,
    with_prices_by_id,
)
from feasibility.decide.network import PRESETS
from feasibility.decide.requirements import Requirements
from feasibility.errors import UsageError
from feasibility.json_documents import read_document
from feasibility.paths import devices_dir, profiles_dir
from feasibility.records.assessment import Assessment
from feasibility.units import MIB, MILLISECOND_NS
from tests.cli import Result, cli

__all__ = ["cli"]
Cli = Callable[..., Result]

CATALOGUE = load_catalogue(devices_dir())
ASKED = tuple(find_device(name, CATALOGUE) for name in ("rpi_5", "t4", "a10g"))


def requirements(**options: Any) -> Requirements:
    """The requirements that options mean, each option in the group that has it."""
    groups = [
        group(**{name: options[name] for name in options if name in group.__slots__})
        for group in (TargetOptions, PlaceOptions, NetworkOptions)
    ]
    return read_requirements(*groups)


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        ({}, Requirements()),
        ({"latency": "50ms"}, Requirements(latency_budget_ns=50 * MILLISECOND_NS)),
        ({"memory": "2MiB"}, Requirements(memory_budget_bytes=2 * MIB)),
        ({"app_size": "30MB"}, Requirements(storage_budget_bytes=30_000_000)),
        ({"rate": "30/min"}, Requirements(rate_per_s=0.5)),
        ({"realtime": "0.975s"}, Requirements(realtime_ns=975 * MILLISECOND_NS)),
        ({"network": "5g"}, Requirements(network=PRESETS["5g"])),
        ({"network": "none"}, Requirements(is_offline=True)),
        ({"offline": True}, Requirements(is_offline=True)),
        ({"private": True}, Requirements(is_private=True)),
        ({"role": "extension"}, Requirements(role="extension")),
        ({"upload": "60KB"}, Requirements(upload_bytes=60_000)),
        ({"runtime": "LiteRT"}, Requirements(runtime="tflite")),
        ({"runtime": "ONNX Runtime"}, Requirements(runtime="onnxruntime")),
        ({"threads": 3}, Requirements(threads=3)),
        ({"price": ["0.5"]}, Requirements(prices_microusd={"": 500_000})),
        ({"price": ["NVIDIA T4=0.5"]}, Requirements(prices_microusd={"t4": 500_000})),
    ],
)
def test_what_the_options_mean(options: dict[str, Any], meant: Requirements) -> None:
    found = with_prices_by_id(requirements(**options), ASKED)
    for name in Requirements.__slots__:
        assert getattr(found, name) == getattr(meant, name), name


@pytest.mark.parametrize("name", ["rpi_5", "t44", "l4", "../t4.toml"])
def test_a_price_for_something_that_was_not_asked_for(name: str) -> None:
    priced = requirements(price=[f"{name}=1"])
    with pytest.raises(UsageError, match="Cannot take --price for") as caught:
        with_prices_by_id(priced, ASKED)
    assert "t4" in caught.value.hint


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--network", "fast"), "error: Cannot read the network 'fast'"),
        (("--rate", "0"), "error: Cannot read --rate '0'"),
        (("--realtime", "0s"), "error: Cannot read --realtime '0s'"),
        (
            ("--latency", "0ms"),
            "error: Cannot use --latency 0ms: every model is over",
        ),
        (
            ("--memory", "0MiB"),
            "error: Cannot use --memory 0MiB: every model is over",
        ),
        (("--realtime", "x"), "error: Cannot read the duration 'x'"),
        (("--app-size", "30"), "error: Cannot read the size '30'"),
        (("--price", "abc"), "error: Cannot read --price 'abc'"),
        (("--price", "pi5=1"), "error: Cannot take --price for 'pi5'"),
        (("--runtime", "ncn"), "error: Cannot project times for the runtime 'ncn'"),
        (("--threads", "0"), "Invalid value for '--threads'"),
        (("--role", "boss"), "Invalid value for '--role'"),
    ],
)
def test_options_that_cannot_be_meant(cli: Cli, arguments: tuple[str, ...], what: str) -> None:
    """One message with a hint, before anything is measured."""
    result = cli("check", "m.onnx", *arguments)
    assert (result.code, result.out) == (2, "")
    assert what in result.err
    assert "\nhint: " in result.err


def test_options_reach_a_check(cli: Cli) -> None:
    """The whole command line at once is accepted."""
    result = cli(
        "check", "missing.onnx", "--rate", "3", "--realtime", "1s", "--network", "10/50/40ms",
        "--offline", "--private", "--role", "background", "--app-size", "30MB", "--price", "1",
    )  # fmt: skip
    assert result.code == 2
    assert "missing.onnx" in result.err


PROFILE = str(profiles_dir() / "zoo" / "resnet101.json")


def test_another_runtime_and_threads_reach_the_projection(cli: Cli, tmp_path: Path) -> None:
    """They are saved in the assessment, and the report says what times and memory are for."""
    saved = tmp_path / "found.json"
    arguments = ("check", PROFILE, "--device", "pi4", "--device", "t4")
    result = cli(*arguments, "--runtime", "ncnn", "--threads", "6", "-o", str(saved))
    assert result.code == 0
    text = " ".join(result.out.split())
    assert "ncnn, CPU with 4 threads, GPU with Vulkan" in text
    assert "fewer than 6 cores: Raspberry Pi 4 (4 GB)" in text
    assert "memory is that of the measured runtime" in text
    model = read_document(saved, Assessment).models[0]
    assert (model.runtime, model.threads) == ("ncnn", 6)
    times = [(item.latency.runtime, item.latency.threads) for item in model.devices]
    assert times == [("ncnn", 4), ("ncnn through Vulkan", None)]
    assert "operators of ncnn not checked" in model.devices[0].reasons_text


def test_usually_the_times_are_those_of_the_runtime_that_measured(cli: Cli) -> None:
    text = " ".join(cli("check", PROFILE, "--device", "pi4").out.split())
    assert "ONNX Runtime, CPU with 4 threads " in text
    assert "memory is that of" not in text
    assert "fewer than" not in text
    fewer = " ".join(cli("check", PROFILE, "--device", "pi4", "--threads", "1").out.split())
    assert "ONNX Runtime, CPU with 1 thread " in fewer


def test_two_device_files_with_one_id(cli: Cli, tmp_path: Path) -> None:
    """Neither is dropped unsaid; one device under two names is still one."""
    text = (devices_dir() / "rpi_5.toml").read_text(encoding="utf-8")
    first, second = tmp_path / "a.toml", tmp_path / "b.toml"
    first.write_text(text, encoding="utf-8")
    second.write_text(text, encoding="utf-8")
    result = cli("check", PROFILE, "--device", str(first), "--device", str(second))
    assert result.code == 2
    assert result.err == (
        f"error: Cannot use two devices with the id 'rpi_5': {first} and {second} have the same "
        "id\n"
        "hint: give one of them another id\n"
    )
    once = cli("check", PROFILE, "--device", "pi5", "--device", "rpi_5")
    assert sum(line.startswith("Raspberry Pi 5 (8 GB)") for line in once.out.splitlines()) == 1


def test_measuring_takes_no_more_threads_than_there_are_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More would take turns; another machine may have them."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    threads = [measuring_threads(asked, None) for asked in (None, 1, 2, 8)]
    assert threads == [1, 1, 2, 2]
    assert measuring_threads(8, "ssh:board") == 8


def test_validating_two_device_files_with_one_id(cli: Cli, tmp_path: Path) -> None:
    """Each is valid alone; side by side nobody could tell them apart."""
    text = (devices_dir() / "rpi_4b.toml").read_text(encoding="utf-8")
    paths = [tmp_path / "a.toml", tmp_path / "b.toml"]
    for path in paths:
        path.write_text(text, encoding="utf-8")
    result = cli("devices", "validate", *map(str, paths))
    assert result.code == 2
    assert result.out.count(": valid, ") == 1
    assert "error: Cannot use two devices with the id 'rpi_4b'" in result.err
