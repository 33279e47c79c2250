"""Measurements from the device itself: how they are given, kept and refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from feasibility.catalogue.load_catalogue import find_device, load_catalogue
from feasibility.catalogue.read_device_file import parse_device, read_device
from feasibility.commands.app import run
from feasibility.commands.measured_times import parse_measured, read_measured, with_measured
from feasibility.errors import DeviceError, FeasibilityError, UsageError
from feasibility.json_documents import encode
from feasibility.paths import devices_dir
from feasibility.predict.projected_latency import project_latency
from tests.projection_samples import minilm, resnet101

RPI_5 = find_device("rpi_5", load_catalogue(devices_dir()))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path


def saved(folder: Path) -> Path:
    path = folder / "resnet101.json"
    path.write_bytes(encode(resnet101()))
    return path


def test_a_measurement_is_kept_in_the_users_copy(home: Path) -> None:
    """The copy is the catalogue's file with the anchor at its end, and takes its place."""
    profile = saved(home)
    assert run(["devices", "calibrate", "pi5", "--measured", f"{profile}=480ms"]) == 0
    copy = home / "data" / "feasibility" / "devices" / "rpi_5.toml"
    assert copy.read_text(encoding="utf-8").startswith(
        (devices_dir() / "rpi_5.toml").read_text(encoding="utf-8").rstrip("\n")
    )
    device = read_device(copy)
    assert [(a.model, a.latency_ns, a.runtime) for a in device.anchors] == [
        ("resnet101.onnx", 480_000_000, "onnxruntime")
    ]
    before, after = (project_latency(minilm(), one) for one in (RPI_5, device))
    assert before.likely_ns is not None
    assert after.likely_ns is not None
    assert after.likely_ns > before.likely_ns
    assert (before.anchor_count, after.anchor_count) == (0, 1)


def test_reports_name_what_was_timed_on_a_device(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = str(saved(home))
    run(["devices", "calibrate", "pi5", "--measured", f"{profile}=480ms", "--threads", "2"])
    capsys.readouterr()
    assert run(["devices", "show", "pi5"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert (
        "latencies measured on the device resnet101.onnx 480 ms with 2 threads, onnxruntime in fp32"
        in shown
    )
    run(["check", profile, "--device", "pi5", "--device", "pi4"])
    told = " ".join(capsys.readouterr().out.split())
    assert "time corrected by models timed on the device: Raspberry Pi 5 (8 GB) (1 model)" in told
    run(["check", profile, "--device", "pi4"])
    assert "time corrected by" not in " ".join(capsys.readouterr().out.split())


def test_times_of_a_call_are_those_of_its_runtime_and_threads(home: Path) -> None:
    saved(home)
    path = home / "times.toml"
    path.write_text('[pi5]\n"resnet101.json" = "480ms"\n')
    (found,) = with_measured((RPI_5,), path, threads=99, runtime="ncnn")
    # A Pi 5 has four cores, whatever was asked for.
    assert [(a.runtime, a.threads) for a in found.anchors] == [("ncnn", 4)]


def test_times_of_a_tflite_model_are_those_of_litert(home: Path) -> None:
    """Unless another runtime is named."""
    profile = resnet101()
    lite = replace(profile, model=replace(profile.model, format="tflite"))
    (home / "lite.json").write_bytes(encode(lite))
    path = home / "times.toml"
    path.write_text('[pi5]\n"lite.json" = "480ms"\n')
    for runtime, saved_as in ((None, "tflite"), ("ncnn", "ncnn")):
        (found,) = with_measured((RPI_5,), path, runtime=runtime)
        assert [each.runtime for each in found.anchors] == [saved_as]


def test_a_runtime_that_no_projection_knows(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = saved(home)
    arguments = ["devices", "calibrate", "pi5", "--measured", f"{profile}=480ms"]
    assert run([*arguments, "--runtime", "fastrt"]) == 2
    assert "Cannot project times for the runtime 'fastrt'" in capsys.readouterr().err


def test_measuring_again_replaces(home: Path) -> None:
    profile = saved(home)
    for time in ("480ms", "300ms"):
        assert run(["devices", "calibrate", "pi5", "--measured", f"{profile}={time}"]) == 0
    copy = home / "data" / "feasibility" / "devices" / "rpi_5.toml"
    assert [anchor.latency_ns for anchor in read_device(copy).anchors] == [300_000_000]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model.onnx", "it must be a model, an equals sign and a time"),
        ("model.onnx=0ms", "this much or this little"),
        ("model.onnx=fast", "expected a duration"),
    ],
)
def test_a_time_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_measured(text)


def test_a_model_that_was_never_measured(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["devices", "calibrate", "pi5", "--measured", "nowhere.onnx=23ms"]) == 2
    assert "this file does not exist" in capsys.readouterr().err


def test_times_of_several_devices_in_a_file(home: Path) -> None:
    """Only devices that were asked for are anchored."""
    saved(home)
    path = home / "times.toml"
    path.write_text('[pi5]\n"resnet101.json" = "480ms"\n[pixel8]\n"resnet101.json" = "90ms"\n')
    (found,) = with_measured((RPI_5,), path)
    assert [anchor.latency_ns for anchor in found.anchors] == [480_000_000]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it has no table of a device"),
        ("pi5 = 3", "pi5 is not a table of models"),
        ("[pi5]\n'm.onnx' = 23", "expected a duration"),
        ("[pi5]\n'm.onnx' = '-5ms'", r"m.onnx in .*times.toml, \[pi5\]: expected a duration"),
        ("[pi5]\n'm.onnx' = '0ms'", r"\[pi5\]: expected a duration .* or this little"),
        ("[pi5]\nm.onnx = '5ms'", "TOML reads a name with a dot as a table"),
        ("[pi5", "it is not TOML"),
    ],
)
def test_a_file_of_times_that_cannot_be_read(home: Path, text: str, message: str) -> None:
    path = home / "times.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_measured(path)


def test_one_device_under_two_names_in_the_file(home: Path) -> None:
    """One of two times would be lost unsaid."""
    saved(home)
    path = home / "times.toml"
    path.write_text('[pi5]\n"resnet101.json" = "480ms"\n[rpi_5]\n"resnet101.json" = "90ms"\n')
    with pytest.raises(UsageError, match=r"\[pi5\] and \[rpi_5\] are the same device"):
        with_measured((RPI_5,), path)


def test_no_such_device_in_the_file(home: Path) -> None:
    path = home / "times.toml"
    path.write_text('[toaster]\n"m.onnx" = "1ms"\n')
    with pytest.raises(FeasibilityError, match="toaster"):
        with_measured((RPI_5,), path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('latency = "0 ms"', "latency: expected a duration"),
        ("latency = 3", "latency: expected a duration"),
        ("operations = { dense = 0 }", "expected at least one kind of work"),
        ("operations = { dence = 5 }", "unknown key; did you mean 'dense'"),
    ],
)
def test_a_damaged_anchor_names_its_line(line: str, message: str) -> None:
    anchor = {
        "model": 'model = "m.onnx"',
        "latency": 'latency = "5 ms"',
        "threads": "threads = 1",
        "runtime": 'runtime = "ncnn"',
        "precision": 'precision = "fp32"',
        **{f"{name}_count": f"{name}_count = 1" for name in
           ("activation", "weight", "vector_weight", "layer")},
        "operations": "operations = { dense = 5 }",
    }  # fmt: skip
    text = Path(RPI_5.origin).read_text(encoding="utf-8") + "\n[[anchors]]\n"
    parse_device(text + "\n".join(anchor.values()) + "\n", "own.toml")
    anchor[line.partition(" ")[0]] = line
    with pytest.raises(DeviceError, match=message):
        parse_device(text + "\n".join(anchor.values()) + "\n", "own.toml")
