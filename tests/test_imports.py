"""Figures of other programs, read as profiles: what they say, and null where they do not."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feasibility.catalogue.load_catalogue import load_catalogue
from feasibility.commands.profiles_of_path import _require_projectable
from feasibility.decide.recommendation import assess_model
from feasibility.decide.requirements import Requirements
from feasibility.decide.score import SCORE_UNKNOWN
from feasibility.decide.verdict import assess_device
from feasibility.errors import DocumentError
from feasibility.json_documents import decode, encode
from feasibility.measure.imports import ai_hub
from feasibility.measure.imports.import_report import read_figures
from feasibility.measure.imports.imported_figures import UnreadableError, imported_profile
from feasibility.paths import devices_dir
from feasibility.records.assessment import Assessment
from feasibility.records.profile import Latency, Profile, ProfiledModel
from feasibility.render.reports import model_and_machine
from feasibility.render.reports.assessment_texts import with_sentences
from feasibility.render.reports.check import check_report
from feasibility.render.reports.measure import memory_section
from feasibility.render.reports.reasons import reason_text

MIB = 1024**2
MS = 1_000_000


def ort_runner_report() -> dict[str, Any]:
    """A report as schema version 1 describes it."""
    phase = {"pss_bytes": 0, "private_dirty_bytes": 0, "swap_bytes": 0}
    return {
        "schema_version": 1,
        "documentation": {"purpose": "One benchmark run of a single ONNX model"},
        "created_at": "2026-07-19T19:04:12Z",
        "model_path": "/data/local/tmp/mobilenet.onnx",
        "model": {"file_bytes": 14 * MIB},
        "input_source": "synthesized",
        "config": {"provider": "cpu", "intra_op_threads": 4},
        "bench_config": {"warmup": 3, "iterations": 4, "iteration_timeout_secs": 10},
        "system": {
            "ort_runner_version": "0.3.0",
            "onnxruntime_build": "1.23.0",
            "device": {
                "manufacturer": "samsung",
                "model": "SM-S921B",
                "marketing_name": "Galaxy S24",
                "soc": "SM8650",
            },
            "host": {
                "os": "Android",
                "os_version": "15",
                "total_memory_bytes": 8 * 1024**3,
                "cpu": {"arch": "aarch64", "logical_cores": 8, "brand": None},
            },
        },
        "load_ms": 19.81,
        "measured": {"count": 4, "p50_ms": 9.0},
        "timings": {"warmup_ms": [12.5, 9.4], "measured_ms": [9.0, 9.2, 8.9, 11.0]},
        "memory": {
            "phases": [
                {"phase": "baseline", "rss_bytes": 20 * MIB, **phase},
                {"phase": "session_loaded", "rss_bytes": 50 * MIB, **phase},
                {"phase": "complete", "rss_bytes": 58 * MIB, **phase},
            ],
            "weights": {"pss_bytes": 29 * MIB, "private_dirty_bytes": 18 * MIB},
            "working_set": {"pss_bytes": 8 * MIB, "private_dirty_bytes": 8 * MIB},
            "peak_rss_bytes": 64 * MIB,
        },
    }


PERF_TEST = """\
Setting intra_op_num_threads to 2
Session creation time cost: 0.127918 s
First inference time cost: 47 ms
Total inference time cost: 1.44871 s
Total inference requests: 10
Average inference time cost: 144.871 ms
Total inference run time: 1.44916 s
Number of inferences per second: 6.90056
Avg CPU usage: 68 %
Peak working set size: 158171136 bytes
Min Latency: 0.141 s
Max Latency: 0.152 s
P50 Latency: 0.1445 s
P90 Latency: 0.15 s
P95 Latency: 0.151 s
P99 Latency: 0.152 s
P999 Latency: 0.152 s
"""

OLD_PERF_TEST = """\
Total time cost:58.8053
Total iterations:1000
Average time cost:58.8053 ms
Min Latency is 0.0559777 sec
P50 Latency is 0.0587108 sec
P99 Latency is 0.0619517 sec
"""


NEWER_PERF_TEST = """\
using SpaceMITExecutionProvider
Setting intra_op_num_threads to 4
Disabling intra-op thread spinning between runs
Session creation time cost: 0.21 s
First inference time cost: 190 ms
Total inference time cost: 0.5 s
Total inference requests: 5
Average inference time cost total: 100.000000 ms
Total inference run time: 0.51 s
Number of inferences per second: 9.8
Avg CPU usage: 11 %
Peak working set size: 271000000 bytes
Avg CPU usage:11
Peak working set size:271000000
Runs:5
Min Latency: 0.095 s
Max Latency: 0.105 s
P50 Latency: 0.0995 s
P90 Latency: 0.105 s
P95 Latency: 0.105 s
P99 Latency: 0.105 s
P999 Latency: 0.105 s
"""

PERF_TEST_RESULTS = """\
resnet,0.3,90000000,99,0
resnet,0.05,100000000,99,0
resnet,0.052,100000000,99,1
resnet,4.9e-02,100000000,99,2

Min Latency: 0.049 s
P50 Latency: 0.05 s
"""


def optimum_benchmark() -> dict[str, Any]:
    memory = {"unit": "MB", "max_ram": 700.5, "max_process_vram": None}
    return {
        "config": {
            "backend": {
                "name": "onnxruntime",
                "version": "1.22.0",
                "model": "org/bert",
                "provider": "CPUExecutionProvider",
                "intra_op_num_threads": 2,
            },
            "scenario": {"warmup_runs": 10},
            "environment": {
                "cpu": " Cortex-A76",
                "cpu_count": 4,
                "cpu_ram_mb": 8000.0,
                "machine": "aarch64",
                "platform": "Linux-6.6",
                "python_version": "3.11.2",
                "optimum_benchmark_version": "0.6.0",
            },
        },
        "report": {
            "load_model": {"memory": memory, "latency": {"unit": "s", "values": [1.5]}},
            "first_forward": {"memory": memory, "latency": {"unit": "s", "values": [0.3]}},
            "forward": {
                "memory": {**memory, "max_ram": 650.0},
                "latency": {"unit": "s", "values": [0.2, 0.22, 0.21]},
            },
        },
    }


AI_HUB = """\
supported_devices:
- Samsung Galaxy S24
precisions:
  float:
    components:
      ResNet101:
        universal_assets:
          onnx:
            model_id: mq89d64gn
        performance_metrics:
          Samsung Galaxy S24:
            tflite:
              job_id: jgje4xd85
              job_status: Passed
              inference_time_milliseconds: 2.351
              estimated_peak_memory_range_mb:
                min: 0
                max: 264
              primary_compute_unit: NPU
            onnx:
              job_id: jg9wevylp
              job_status: Passed
              inference_time_milliseconds: 2.391
              estimated_peak_memory_range_mb:
                min: 0
                max: 166
              primary_compute_unit: NPU
              layer_counts:
                total: 247
                npu: 247
              tool_versions:
                qairt: 2.37.1.250807093845_124904
                onnx_runtime: 1.23.0
          QCS8550 (Proxy):
            onnx:
              job_status: Failed
              inference_time_milliseconds: null
          Snapdragon X Elite CRD:
            onnx:
              job_status: Passed
              inference_time_milliseconds: 3.247
              primary_compute_unit: NPU
"""


OLDER_AI_HUB = """\
aggregated:
  supported_devices:
  - Samsung Galaxy S23
  supported_chipsets:
  - Snapdragon® 8 Gen 2
models:
- name: ResNet101
  universal_assets:
    torchscript_onnx_tflite: mn7eo144m
  performance_metrics:
  - torchscript_onnx_tflite:
      inference_time: 3300.0
      throughput: 303.030303030303
      estimated_peak_memory_range:
        min: 20000
        max: 118000000
      primary_compute_unit: NPU
      precision: fp16
      layer_info:
        layers_on_npu: 147
      job_status: Passed
    torchscript_onnx:
      inference_time: 3350.0
      estimated_peak_memory_range:
        min: 70000
        max: 210000000
      primary_compute_unit: NPU
      precision: fp16
      job_status: Passed
    reference_device_info:
      name: Samsung Galaxy S23
      os: '13'
      os_name: Android
      chipset: Snapdragon® 8 Gen 2
    timestamp: '2025-04-01T05:20:00Z'
  - torchscript_onnx_qnn:
      inference_time: null
      job_status: Failed
    reference_device_info:
      name: QCS8550 (Proxy)
"""


def read(tmp_path: Path, name: str, content: str | dict[str, Any], choice: str = "") -> Profile:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    profile = read_figures(Path(f"{path}#{choice}") if choice else path)
    assert decode(encode(profile), Profile, name) == profile
    return profile


def test_ort_runner(tmp_path: Path) -> None:
    profile = read(tmp_path, "report.json", ort_runner_report())
    assert profile.source == "ort_runner 0.3.0 (report.json)"
    assert profile.method == "measured"
    assert (profile.host.device, profile.host.cpu) == ("Galaxy S24", "SM8650")
    assert profile.host.memory_bytes == 8 * 1024**3
    assert (profile.model.name, profile.model.file_bytes) == ("mobilenet.onnx", 14 * MIB)
    assert profile.workload.runtime == "ONNX Runtime 1.23.0"
    assert profile.workload.provider == "CPUExecutionProvider"
    assert profile.workload.threads == 4
    latency = profile.latency
    assert latency is not None
    assert (latency.median_ns, latency.load_ns) == (9 * MS, 19_810_000)
    assert latency.first_run_ns == 12_500_000
    assert latency.samples_ns == (9 * MS, 9_200_000, 8_900_000, 11 * MS)
    memory = profile.memory
    assert memory is not None
    assert (memory.allocator, memory.baseline_bytes) == ("default", 20 * MIB)
    assert (memory.load_peak_bytes, memory.resident_bytes) == (44 * MIB, 30 * MIB)
    assert (memory.resident_anonymous_bytes, memory.resident_file_bytes) == (18 * MIB, 12 * MIB)
    assert (memory.inference_peak_bytes, memory.floor_bytes) == (None, None)


def test_ort_runner_says_why_a_fact_is_absent(tmp_path: Path) -> None:
    """Its facts are values, or objects that say why there is none."""
    report = ort_runner_report()
    absent = {"absent": "unavailable", "reason": "not readable"}
    report["memory"]["peak_rss_bytes"] = absent
    report["system"]["device"] = dict.fromkeys(("model", "marketing_name", "soc"), absent)
    profile = read(tmp_path, "report.json", report)
    assert profile.memory is None
    assert profile.host.device == ""


@pytest.mark.parametrize(("file_mib", "is_said"), [(14, False), (45, True)])
def test_a_report_of_another_model_is_said(tmp_path: Path, file_mib: int, is_said: bool) -> None:
    """Its times and memory would otherwise stand beside the work of a model that never ran."""
    path = tmp_path / "report.json"
    path.write_text(json.dumps(ort_runner_report()))
    model = ProfiledModel(name="resnet.onnx", path="resnet.onnx", file_bytes=file_mib * MIB)
    said = [
        warning.message
        for warning in read_figures(path, model).warnings
        if warning.code == "imported-other-model"
    ]
    expected = (
        "ort_runner 0.3.0 measured mobilenet.onnx of 14 MiB, but resnet.onnx has 45 MiB; size, "
        "operators and work in this profile are those of resnet.onnx"
    )
    assert said == ([expected] if is_said else [])


def test_a_process_without_python_is_not_said_to_have_one(tmp_path: Path) -> None:
    """What a report leaves out has no words of its own either."""
    profile = read(tmp_path, "report.json", ort_runner_report())
    section = memory_section(profile)
    assert section is not None
    assert section.title == "memory above the baseline of 20 MiB for the runtime"
    rows = {row.label: row.text for row in section.rows}
    assert rows["inference peak"] == rows["floor"] == rows["comfort"] == "not measured"
    assert model_and_machine.reserve_row(profile).text.endswith("; plus 20 MiB for the runtime")


def test_nothing_is_said_of_a_model_that_is_not_known(tmp_path: Path) -> None:
    """Neither that its operators are there, nor that its file takes nothing."""
    device = next(item for item in load_catalogue(devices_dir()) if item.id == "galaxy_s24")
    profile = read(tmp_path, "perf.txt", PERF_TEST)
    found = assess_device(profile, device)
    told = [reason_text(reason) for reason in found.reasons]
    assert "size on disk not known" in told
    assert "operators not known" in told
    assert not [text for text in told if "0 B" in text or "all operators" in text]
    asked = assess_device(profile, device, Requirements(storage_budget_bytes=30 * MIB))
    assert asked.score_parts["storage"] == SCORE_UNKNOWN


@pytest.mark.parametrize("provider", ["qnn", "nnapi", "webgpu"])
def test_memory_outside_the_process_is_said_to_be_missing(tmp_path: Path, provider: str) -> None:
    report = ort_runner_report()
    report["config"]["provider"] = provider
    warnings = [warning.message for warning in read(tmp_path, "r.json", report).warnings]
    assert any(f"memory that {provider} uses outside" in warning for warning in warnings)


def test_perf_test(tmp_path: Path) -> None:
    profile = read(tmp_path, "perf.txt", PERF_TEST)
    latency = profile.latency
    assert latency is not None
    assert (latency.load_ns, latency.first_run_ns) == (127_918_000, 47 * MS)
    assert (latency.min_ns, latency.median_ns) == (141 * MS, 144_500_000)
    assert (latency.mean_ns, latency.p95_ns, latency.p99_ns) == (144_871_000, 151 * MS, 152 * MS)
    assert (latency.stdev_ns, latency.median_low_ns, latency.samples_ns) == (None, None, ())
    assert (profile.memory, profile.process_peak_bytes) == (None, 158171136)
    assert (profile.host.memory_bytes, profile.host.core_count) == (None, None)
    assert profile.workload.threads == 2


SAMPLES = (
    json.dumps(ort_runner_report()),
    json.dumps(optimum_benchmark()),
    PERF_TEST,
    PERF_TEST_RESULTS,
    AI_HUB,
    OLDER_AI_HUB,
)


@given(st.sampled_from(SAMPLES), st.integers(0, 3000), st.integers(0, 60), st.text(max_size=8))
def test_a_damaged_file_is_read_or_refused(text: str, at: int, count: int, instead: str) -> None:
    """Whatever a piece of it is replaced by."""
    content = text[:at] + instead + text[at + count :]
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(DocumentError):
        path = Path(folder) / "figures"
        path.write_bytes(content.encode("utf-8", "surrogatepass"))
        profile = read_figures(path)
        assert decode(encode(profile), Profile, "profile") == profile


def test_what_a_file_does_not_say_is_not_made_up_in_a_report(tmp_path: Path) -> None:
    profile = read(tmp_path, "perf.txt", "Average inference time cost: 84.3 ms\n")
    assert model_and_machine.model_row(profile).text == "size not known"
    assert model_and_machine.host_row(profile).text == (
        "on an unnamed machine, ONNX Runtime, by onnxruntime_perf_test (perf.txt)"
    )
    peak = model_and_machine.reserve_row(read(tmp_path, "p.txt", PERF_TEST))
    assert peak.text == "151 MiB at the peak of the whole process, runtime included"
    runner = memory_section(read(tmp_path, "r.json", ort_runner_report()))
    assert runner is not None
    assert runner.remarks == ("default allocator: another run may need more or less",)


def test_the_words_of_a_newer_perf_test(tmp_path: Path) -> None:
    profile = read(tmp_path, "perf.txt", NEWER_PERF_TEST)
    latency = profile.latency
    assert latency is not None
    assert (latency.mean_ns, latency.median_ns) == (100 * MS, 99_500_000)
    assert (latency.load_ns, latency.first_run_ns) == (210 * MS, 190 * MS)
    assert profile.process_peak_bytes == 271_000_000
    assert (profile.workload.threads, profile.workload.run_count) == (4, 5)
    assert profile.workload.provider == "SpaceMITExecutionProvider"


def test_the_results_file_of_perf_test(tmp_path: Path) -> None:
    """Benchmarks are appended to it; the last one counts, and that is said."""
    profile = read(tmp_path, "results.csv", PERF_TEST_RESULTS)
    latency = profile.latency
    assert latency is not None
    assert latency.samples_ns == (50 * MS, 52 * MS, 49 * MS)
    assert (latency.median_ns, latency.load_ns, latency.first_run_ns) == (50 * MS, None, None)
    assert profile.process_peak_bytes == 100_000_000
    assert (profile.model.name, profile.workload.run_count) == ("resnet", 3)
    assert any("holds 2 benchmarks" in warning.message for warning in profile.warnings)


@pytest.mark.parametrize(
    "text", [PERF_TEST, PERF_TEST_RESULTS, AI_HUB.split("          QCS", maxsplit=1)[0]]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_windows_writes_them_too(tmp_path: Path, text: str, encoding: str) -> None:
    """Lines that end as there and over adb, and the encoding of PowerShell's redirection."""
    path = tmp_path / "figures"
    path.write_text(text)
    written = read_figures(path)
    path.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    read = read_figures(path)
    assert (read.latency, read.process_peak_bytes) == (written.latency, written.process_peak_bytes)
    assert read.workload == written.workload


def test_results_that_cannot_be_seconds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="too large to be seconds"):
        read(tmp_path, "results.csv", "resnet,50123456,1000,99,0\n")


def test_the_words_of_an_older_perf_test(tmp_path: Path) -> None:
    profile = read(tmp_path, "perf.log", OLD_PERF_TEST)
    assert profile.latency is not None
    assert profile.latency.median_ns == 58_710_800
    assert (profile.latency.load_ns, profile.process_peak_bytes) == (None, None)


def test_a_mean_that_stands_for_the_median_is_said(tmp_path: Path) -> None:
    profile = read(tmp_path, "perf.txt", "Average inference time cost: 84.3 ms\n")
    assert profile.latency is not None
    assert profile.latency.median_ns == 84_300_000
    assert any("median was not printed" in warning.message for warning in profile.warnings)


def test_optimum_benchmark(tmp_path: Path) -> None:
    profile = read(tmp_path, "benchmark.json", optimum_benchmark())
    assert profile.source == "optimum-benchmark 0.6.0 (benchmark.json)"
    assert profile.process_peak_bytes == 700_500_000
    assert (profile.host.arch, profile.host.cpu) == ("aarch64", "Cortex-A76")
    assert profile.host.memory_bytes == 8_000_000_000
    latency = profile.latency
    assert latency is not None
    assert (latency.median_ns, latency.load_ns, latency.first_run_ns) == (
        210 * MS,
        1500 * MS,
        300 * MS,
    )


def test_an_optimum_report_without_its_configuration(tmp_path: Path) -> None:
    profile = read(tmp_path, "benchmark_report.json", optimum_benchmark()["report"])
    assert profile.latency is not None
    assert profile.host.cpu == ""


def test_ai_hub(tmp_path: Path) -> None:
    profile = read(tmp_path, "perf.yaml", AI_HUB, "Samsung Galaxy S24")
    assert profile.latency is not None
    assert profile.latency.median_ns == 2_391_000
    assert profile.latency.load_ns is None
    assert profile.process_peak_bytes == 166 * MIB
    assert profile.host.device == "Samsung Galaxy S24"
    assert profile.workload.runtime == "ONNX Runtime 1.23.0"
    assert any("ran on the NPU" in warning.message for warning in profile.warnings)


def test_ai_hub_by_runtime(tmp_path: Path) -> None:
    profile = read(tmp_path, "perf.yaml", AI_HUB, "samsung galaxy s24/tflite")
    assert profile.process_peak_bytes == 264 * MIB
    assert (profile.workload.runtime, profile.workload.engine) == ("LiteRT", "litert")


@pytest.mark.parametrize(
    ("runtime", "engine"),
    [
        ("onnxruntime 1.23.0", "onnxruntime"),
        ("ONNX Runtime, compiled for QNN", "onnxruntime"),
        ("LiteRT 2.3", "litert"),
        ("QNN", None),
        ("pytorch 2.9", None),
        ("", None),
    ],
)
def test_figures_of_another_runtime_have_no_engine(runtime: str, engine: str | None) -> None:
    """Reports use the program's name for the runtime; then `check` projects with ONNX Runtime."""
    profile = imported_profile("tool", Latency(median_ns=1), (), runtime=runtime)
    assert profile.workload.engine == engine
    path = Path("report.json")
    _require_projectable(path, profile)
    model = assess_model(profile, load_catalogue(devices_dir())[:1], Requirements())
    assert model.runtime == ("tflite" if engine == "litert" else "onnxruntime")
    assert check_report(Assessment(tool_version="0", models=(with_sentences(model),)))
    assert decode(encode(profile), Profile, "saved.json") == profile


def test_ai_hub_wants_one_device(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="figures of 2 devices") as caught:
        read(tmp_path, "perf.yaml", AI_HUB)
    assert caught.value.hint == "name one behind its path, as in FILE#Samsung Galaxy S24"


def test_ai_hub_has_no_failed_jobs(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="no figures of QCS8550") as caught:
        read(tmp_path, "perf.yaml", AI_HUB, "QCS8550 (Proxy)")
    assert caught.value.hint == (
        "it has 2 devices (Samsung Galaxy S24, Snapdragon X Elite CRD), 2 runtimes (tflite, onnx), "
        "1 precision (float), 1 component (ResNet101)"
    )


def test_ai_hub_wants_one_part_of_a_model(tmp_path: Path) -> None:
    """Encoders and decoders are measured apart; none of them stands for the model."""
    head, components = AI_HUB.split("      ResNet101:\n")
    both = f"{head}      Encoder:\n{components}      Decoder:\n{components}"
    with pytest.raises(DocumentError, match=r"2 components \(Encoder, Decoder\)") as caught:
        read(tmp_path, "perf.yaml", both, "Samsung Galaxy S24")
    assert caught.value.hint.endswith("as in FILE#Samsung Galaxy S24/Encoder")
    profile = read(tmp_path, "perf.yaml", both, "Samsung Galaxy S24/Decoder")
    assert profile.model.name == "Decoder"


def test_older_ai_hub(tmp_path: Path) -> None:
    """Its times are microseconds and its memory bytes."""
    profile = read(tmp_path, "perf.yaml", OLDER_AI_HUB)
    assert profile.latency is not None
    assert profile.latency.median_ns == 3_350_000
    assert profile.process_peak_bytes == 210_000_000
    assert (profile.host.device, profile.host.cpu) == ("Samsung Galaxy S23", "Snapdragon® 8 Gen 2")
    assert (profile.host.os, profile.measured_at) == ("Android 13", "2025-04-01T05:20:00Z")
    assert profile.workload.runtime == "ONNX Runtime"
    assert profile.model.name == "ResNet101"
    lite = read(tmp_path, "perf.yaml", OLDER_AI_HUB, "Samsung Galaxy S23/tflite")
    assert (lite.workload.runtime, lite.process_peak_bytes) == ("LiteRT", 118_000_000)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", '{"a": 1}'),
        ("a.json", '{"schema_version": 1, "system": {}}'),
        ("a.txt", "nothing of the kind"),
        ("a.yaml", "models:\n- name: x\n  performance_metrics: {}\n"),
        ("a.yaml", ""),
        ("a.json", "[" * 100_000),
        ("a.csv", "model,latency_ms\nresnet,50\n"),
        ("a.csv", "resnet,0.05,1000,99,1\n"),
    ],
)
def test_what_is_not_recognised_is_refused(tmp_path: Path, name: str, content: str) -> None:
    with pytest.raises(DocumentError, match="its format is not known") as caught:
        read(tmp_path, name, content)
    assert caught.value.hint == (
        "expected one of: a JSON report of ort_runner; the output of onnxruntime_perf_test, or its "
        "results file; benchmark.json or benchmark_report.json of optimum-benchmark; a perf.yaml "
        "of Qualcomm AI Hub models"
    )


def test_a_report_of_another_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="its schema_version is not 1"):
        read(tmp_path, "r.json", {**ort_runner_report(), "schema_version": 2})


def test_broken_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="broken JSON"):
        read(tmp_path, "r.json", '{"a": ')


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="no such file"):
        read_figures(tmp_path / "none.json")


def test_absurd_numbers_are_left_out(tmp_path: Path) -> None:
    report = ort_runner_report()
    report["load_ms"] = 1e300
    report["timings"]["measured_ms"] = [float("nan"), -1, "x", 9.0]
    profile = read(tmp_path, "r.json", report)
    assert profile.latency is not None
    assert profile.latency.load_ns is None
    assert profile.latency.samples_ns == (9 * MS,)


@pytest.mark.parametrize("digits", [30, 400, 4000])
def test_numbers_longer_than_any_float_are_left_out(tmp_path: Path, digits: int) -> None:
    report = ort_runner_report()
    report["load_ms"] = 10**digits
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report))
    latency = read_figures(path).latency
    assert latency is not None
    assert latency.load_ns is None


@pytest.mark.parametrize("phases", [5, "none", [5, None]])
def test_phases_that_are_none_are_no_memory(tmp_path: Path, phases: object) -> None:
    report = ort_runner_report()
    report["memory"]["phases"] = phases
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report))
    assert read_figures(path).memory is None


@pytest.mark.parametrize("row", ["m,0.5,{},1,0", "m,0.5,1,1,{}"])
def test_a_results_file_with_endless_numbers_is_none(tmp_path: Path, row: str) -> None:
    path = tmp_path / "results.csv"
    path.write_text(row.format("9" * 5000) + "\n")
    with pytest.raises(DocumentError, match="its format is not known"):
        read_figures(path)


def test_a_name_that_is_too_long_is_no_file() -> None:
    with pytest.raises(DocumentError, match="file name too long"):
        read_figures(Path("a" * 300 + "#phone"))


def test_times_taken_on_a_device_are_not_projected_to_it(tmp_path: Path) -> None:
    report = ort_runner_report()
    device = next(device for device in load_catalogue(devices_dir()) if device.id == "galaxy_s24")
    report["system"]["device"]["marketing_name"] = device.name
    model = with_sentences(assess_model(read(tmp_path, "r.json", report), (device,)))
    (found,) = model.devices
    assert found.latency.method == "measured"
    assert found.latency.likely_ns == 9 * MS
    assert found.latency.low_ns == 8_900_000
    assert "ort_runner" in found.latency.explanation
    assert found.memory.method == "measured"


# YAML.


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("performance_metrics:\n  a: *x\n", "aliases"),
        ("performance_metrics: &a [1]\nb: [*a, *a]\n", "aliases"),
        ("performance_metrics:\n  a: 'b\n", r"broken YAML \(line 3\)"),
        ("performance_metrics:\n\ta: 1\n", r"broken YAML \(line 2\)"),
        ("performance_metrics:\n  ? [1]\n  : 2\n", r"broken YAML"),
        ("performance_metrics: " + "[" * 100_000, "broken YAML|nested too deeply"),
    ],
)
def test_yaml_that_cannot_be_read_is_refused(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(DocumentError, match=why):
        read(tmp_path, "perf.yaml", text)


def test_no_object_is_made_from_a_tag(tmp_path: Path) -> None:
    """A tag is read as its text and ignored."""
    tagged = AI_HUB.replace("Passed", "!!python/object/apply:os._exit [1]", 1)
    profile = read(tmp_path, "perf.yaml", tagged, "Samsung Galaxy S24")
    assert profile.process_peak_bytes == 166 * MIB


def test_a_device_may_have_a_number_as_its_name(tmp_path: Path) -> None:
    text = AI_HUB.replace("Samsung Galaxy S24:", "2024-01-02:")
    assert read(tmp_path, "perf.yaml", text, "2024-01-02").host.device == "2024-01-02"


def test_without_pyyaml_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a perf.yaml needs the package; other files are still refused by their format."""
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(DocumentError, match="PyYAML, which is not installed") as caught:
        read(tmp_path, "perf.yaml", AI_HUB, "Samsung Galaxy S24")
    assert caught.value.hint == "pip install 'feasibility[yaml]'"
    with pytest.raises(DocumentError, match="its format is not known"):
        read(tmp_path, "other.yaml", "a: 1\n")


@given(st.text(max_size=200), st.text(max_size=50))
def test_any_yaml_is_read_or_refused(before: str, after: str) -> None:
    """Only its own error leaves the reader."""
    with contextlib.suppress(UnreadableError):
        ai_hub.read_performance(f"{before}performance_metrics:{after}", "")
