"""Records with plausible figures, for renderers to be looked at and compared with.

The figures are made up; only their proportions are those of real models.
"""

from __future__ import annotations

import random
import statistics

import msgspec

from feasibility.records.assessment import (
    Alternative,
    Assessment,
    DeviceAssessment,
    Failure,
    MemoryLimit,
    ModelAssessment,
    Part,
    Placement,
    Reason,
    ReasonCode,
    Storage,
    Verdict,
)
from feasibility.records.device import (
    Cluster,
    Cpu,
    Device,
    DeviceMemory,
    Figure,
    Gpu,
    Grant,
    Limits,
)
from feasibility.records.facts import (
    ActivationPeak,
    ExternalFile,
    LiveTensor,
    ModelFacts,
    NodeFacts,
    OperatorType,
)
from feasibility.records.intervals import BytesInterval, DurationInterval
from feasibility.records.profile import (
    AllocatorUse,
    DefaultAllocator,
    Host,
    Latency,
    Memory,
    OperatorProfile,
    Profile,
    ProfiledModel,
)
from feasibility.records.shared_fields import Assumption, Notice, TensorSpec
from feasibility.records.workload import Fill, InputSpec, Workload
from feasibility.render.reports.assessment_texts import with_sentences
from feasibility.units import GIB, KIB, MIB, MILLISECOND_NS, SECOND_NS
from tests.projection_samples import modelled

# Every way in which a name has broken a terminal, a log or a page.
HOSTILE_NAMES = (
    "\x1b[2J\x1b[31mred\x1b[0m",
    "[bold red]markup[/] [link=file:///etc/passwd]x[/link] :skull:",
    "line\nbreak\r\ttab\x00nul\x07bell\x08\x7f",
    "\u202egnp.exe\u2066\u200b\ufeff",
    "\x9b31m\x85\u2028\u2029",
    "<script>alert(1)</script>&amp;",
    "x" * 10_000,
    "\ud800\udfff",
    "漢字" * 200,
    "",
)


def latency(median_ns: int, *, count: int = 40, load_ns: int = 460 * MILLISECOND_NS) -> Latency:
    """Times around a median, the same on every run of the tests."""
    noise = random.Random(7)
    samples = tuple(round(median_ns * (1 + abs(noise.gauss(0, 0.02)) - 0.01)) for _ in range(count))
    ordered = sorted(samples)

    def percentile(share: float) -> int:
        return ordered[min(round(share * count), count) - 1]

    return Latency(
        load_ns=load_ns,
        first_run_ns=round(median_ns * 1.14),
        samples_ns=samples,
        min_ns=ordered[0],
        median_ns=percentile(0.5),
        mean_ns=round(statistics.mean(samples)),
        stdev_ns=round(statistics.stdev(samples)),
        p90_ns=percentile(0.9),
        p95_ns=percentile(0.95),
        p99_ns=percentile(0.99),
        median_low_ns=percentile(0.4),
        median_high_ns=percentile(0.6),
    )


def profile() -> Profile:
    """A ResNet-101 with everything measured."""
    operators = tuple(
        OperatorProfile(
            node=f"resnetv17_stage{stage}_conv{index}_fwd_nchwc",
            op_type="Conv" if index % 4 else "ReorderInput",
            provider="CPUExecutionProvider",
            call_count=10,
            total_ns=(stage * 900_000 + index * 130_000) * 10,
            flops=250_000_000,
            bytes=(stage * 2 + index) * 512 * KIB,
            arena_in_use_bytes=(8 + stage) * MIB,
            run_count=10,
        )
        for stage in range(1, 5)
        for index in range(1, 8)
    )
    return Profile(
        tool_version="0.1.0",
        measured_at="2026-07-01T12:00:00Z",
        model=ProfiledModel(
            name="resnet101.onnx",
            path="models/resnet101.onnx",
            sha256="ab" * 32,
            file_bytes=178_914_043,
            parameter_count=44_549_160,
            initializer_bytes=178_196_640,
            node_count=345,
            opset=8,
            flops=15_600_000_000,
            macs=7_800_000_000,
            moved_bytes=390 * MIB,
            inputs=(TensorSpec(name="data", dtype="float32", shape=("N", 3, 224, 224)),),
            outputs=(TensorSpec(name="dense0", dtype="float32", shape=("N", 1000)),),
        ),
        host=Host(
            cpu="AMD EPYC 9B14",
            arch="x86_64",
            core_count=2,
            memory_bytes=8 * GIB,
            os="Linux 6.18",
            python="3.11.7",
            libraries={"onnxruntime": "1.31.1", "numpy": "2.4.0"},
            libc="glibc 2.36",
        ),
        workload=Workload(
            dims={"N": 1},
            inputs=(
                InputSpec(
                    name="data",
                    dtype="float32",
                    shape=(1, 3, 224, 224),
                    fill=Fill(kind="uniform", low=0.0, high=1.0, reason="values of an image"),
                ),
            ),
            assumptions=(
                Assumption(subject="N", value="1", reason="a batch of one", option="--dim N=N"),
            ),
            threads=1,
            warmup_count=3,
            run_count=40,
            runtime="onnxruntime 1.31.1",
        ),
        memory=Memory(
            allocator="steady",
            baseline_bytes=44 * MIB,
            load_peak_bytes=366 * MIB,
            resident_bytes=182 * MIB,
            resident_anonymous_bytes=174 * MIB,
            resident_file_bytes=8 * MIB,
            inference_peak_bytes=202 * MIB,
            inference_anonymous_bytes=187 * MIB,
            inference_file_bytes=9 * MIB,
            inference_pss_bytes=190 * MIB,
            inference_private_dirty_bytes=187 * MIB,
            floor_bytes=187 * MIB,
            comfort_bytes=196 * MIB,
            allocated_load_peak_bytes=357 * MIB,
            allocated_resident_bytes=172 * MIB,
            allocated_inference_peak_bytes=186 * MIB,
            retained_bytes=2 * MIB,
            arena_held_bytes=17 * MIB,
            arena_in_use_peak_bytes=12 * MIB,
        ),
        default_allocator=DefaultAllocator(
            repeat_count=4,
            load_peak_low_bytes=407 * MIB,
            load_peak_high_bytes=457 * MIB,
            resident_low_bytes=390 * MIB,
            resident_high_bytes=440 * MIB,
            inference_peak_low_bytes=391 * MIB,
            inference_peak_high_bytes=441 * MIB,
        ),
        latency=latency(65 * MILLISECOND_NS),
        operators=operators,
        allocations=(
            AllocatorUse(
                phase="load",
                allocator="posix_memalign",
                peak_bytes=340 * MIB,
                allocation_count=421,
                is_mapping=False,
            ),
            AllocatorUse(
                phase="load",
                allocator="mmap",
                peak_bytes=17 * MIB,
                allocation_count=12,
                is_mapping=True,
            ),
            AllocatorUse(
                phase="inference",
                allocator="posix_memalign",
                peak_bytes=186 * MIB,
                allocation_count=301,
                is_mapping=False,
            ),
        ),
        warnings=(
            Notice(
                code="noisy-latency",
                message="2 of 40 runs took over 1.5 times the median",
                hint="close other programs or give --runs 100",
            ),
        ),
    )


def device_assessment(
    name: str,
    verdict: Verdict,
    *,
    likely_bytes: int | None,
    budget_bytes: int,
    latency_ns: tuple[int, int, int] | None,
    score: int,
    codes: dict[Part, ReasonCode],
    **changes: object,
) -> DeviceAssessment:
    """One device with figures around the likely ones, and a reason for each of these parts."""
    low_ns, likely_ns, high_ns = latency_ns or (None, None, None)
    device = name.lower().replace(" ", "_").replace(",", "")
    memory = BytesInterval(
        low_bytes=None if likely_bytes is None else likely_bytes * 95 // 100,
        likely_bytes=likely_bytes,
        high_bytes=None if likely_bytes is None else likely_bytes * 112 // 100,
        budget_bytes=budget_bytes,
        runtime_bytes=24 * MIB,
        explanation="steady peak without re-laid convolution weights, as on 64-bit Arm",
    )
    verdicts: dict[ReasonCode, Verdict] = {
        "over-limit": "does-not-fit",
        "within-limit": "tight" if verdict == "tight" else "fits",
        "operators-missing": "does-not-fit",
    }
    reasons = tuple(
        Reason(
            code=code,
            part=part,
            verdict=verdicts.get(code, "undecided"),
            score=score,
            device=device,
            actual_low_bytes=memory.low_bytes,
            actual_high_bytes=memory.high_bytes,
            budget_bytes=budget_bytes,
            actual_low_ns=low_ns,
            actual_high_ns=high_ns,
            budget_ns=200 * MILLISECOND_NS,
            phase="load",
            memory_limit=MemoryLimit(
                source="system", system="linux", role="headless", total_bytes=2 * budget_bytes
            ),
            operators=("com.example:Fancy",),
        )
        for part, code in codes.items()
    )
    item = DeviceAssessment(
        device=device,
        name=name,
        kind="sbc",
        verdict=verdict,
        score=score,
        score_parts={"memory": score, "latency": score, "storage": 100, "operators": 100},
        reasons=reasons,
        memory=memory,
        latency=DurationInterval(
            low_ns=low_ns,
            likely_ns=likely_ns,
            high_ns=high_ns,
            budget_ns=200 * MILLISECOND_NS,
            is_budget_default=True,
            confidence_ratio=0.8,
            runtime="ONNX Runtime",
            threads=4,
            explanation="per operator class from the peak rates of its cores",
        ),
        storage=Storage(needed_bytes=178_914_043, budget_bytes=200 * MIB),
    )
    return msgspec.structs.replace(item, **changes)


def device_assessments() -> tuple[DeviceAssessment, ...]:
    """A board that is too small, one too slow, a phone that fits, a server."""
    return (
        device_assessment(
            "Raspberry Pi Zero 2 W",
            "does-not-fit",
            likely_bytes=250 * MIB,
            budget_bytes=220 * MIB,
            latency_ns=(1900 * MILLISECOND_NS, 2800 * MILLISECOND_NS, 4400 * MILLISECOND_NS),
            score=4,
            codes={"memory": "over-limit", "latency": "over-limit"},
        ),
        device_assessment(
            "Raspberry Pi 4, 4 GB",
            "does-not-fit",
            likely_bytes=230 * MIB,
            budget_bytes=2900 * MIB,
            latency_ns=(480 * MILLISECOND_NS, 700 * MILLISECOND_NS, 1200 * MILLISECOND_NS),
            score=38,
            codes={"latency": "over-limit", "memory": "within-limit"},
        ),
        device_assessment(
            "Samsung Galaxy S24",
            "fits",
            likely_bytes=229 * MIB,
            budget_bytes=1100 * MIB,
            latency_ns=(60 * MILLISECOND_NS, 90 * MILLISECOND_NS, 140 * MILLISECOND_NS),
            score=84,
            codes={"latency": "within-limit", "memory": "within-limit"},
            kind="phone",
        ),
        device_assessment(
            "Phone, budget",
            "tight",
            likely_bytes=229 * MIB,
            budget_bytes=256 * MIB,
            latency_ns=(150 * MILLISECOND_NS, 170 * MILLISECOND_NS, 195 * MILLISECOND_NS),
            score=65,
            codes={"memory": "within-limit", "latency": "within-limit"},
            kind="phone",
        ),
        device_assessment(
            "RTX 3070 server",
            "does-not-fit",
            likely_bytes=None,
            budget_bytes=7200 * MIB,
            latency_ns=None,
            score=0,
            codes={"operators": "operators-missing", "memory": "not-known", "latency": "not-known"},
            missing_operators=("com.example:Fancy",),
            kind="server",
        ),
    )


def model_assessment(name: str = "resnet101.onnx") -> ModelAssessment:
    """A model on all sample devices, with a recommendation and its sentences."""
    measured, devices = profile(), device_assessments()
    obstacles = [
        reason for item in devices for reason in item.reasons if reason.verdict == "does-not-fit"
    ]
    return with_sentences(
        ModelAssessment(
            profile=msgspec.structs.replace(
                measured, model=msgspec.structs.replace(measured.model, name=name)
            ),
            devices=devices,
            placement=Placement(
                where="on-device",
                device="samsung_galaxy_s24",
                reasons=(*obstacles, devices[2].reasons[0]),
                alternatives=(Alternative(where="cloud", device="rtx_3070_server"),),
            ),
        )
    )


def assessment() -> Assessment:
    """One model on all sample devices."""
    return Assessment(tool_version="0.1.0", models=(model_assessment(),))


def assessment_of_many() -> Assessment:
    """Two models and one that could not be read."""
    return Assessment(
        tool_version="0.1.0",
        models=(model_assessment(), model_assessment("cats_v_dogs.onnx")),
        errors=(
            Failure(
                path="broken.onnx",
                message="Cannot read model 'broken.onnx': it ends after 12 of 4096 bytes",
                hint="download it again",
            ),
        ),
    )


def facts() -> ModelFacts:
    """A ResNet-101 as inspect sees it."""
    return ModelFacts(
        tool_version="0.1.0",
        name="resnet101.onnx",
        path="models/resnet101.onnx",
        format="onnx",
        file_bytes=717_403,
        external_bytes=178_196_640,
        external_files=(
            ExternalFile(
                location="resnet101.onnx.data",
                file_bytes=178_196_640,
                used_bytes=178_196_640,
                initializer_count=521,
            ),
        ),
        producer="pytorch 2.9",
        ir_version=8,
        opset=17,
        opsets={"ai.onnx": 17, "com.microsoft": 1},
        inputs=(TensorSpec(name="data", dtype="float32", shape=("N", 3, 224, 224)),),
        outputs=(TensorSpec(name="dense0", dtype="float32", shape=("N", 1000)),),
        parameter_count=44_549_160,
        unique_parameter_count=44_000_000,
        initializer_count=521,
        initializer_bytes=178_196_640,
        initializer_bytes_by_dtype={"float32": 178_190_000, "int64": 6_640},
        largest_initializer_bytes=9 * MIB,
        node_count=345,
        subgraph_count=1,
        operators=(
            OperatorType(
                op_type="Conv",
                domain="ai.onnx",
                node_count=104,
                flops=15_500_000_000,
                weight_bytes=160 * MIB,
            ),
            OperatorType(
                op_type="Gemm",
                domain="ai.onnx",
                node_count=1,
                flops=4_096_000,
                weight_bytes=8 * MIB,
            ),
            OperatorType(op_type="Relu", domain="ai.onnx", node_count=100, flops=20_000_000),
            OperatorType(op_type="Add", domain="ai.onnx", node_count=33, flops=8_000_000),
            OperatorType(op_type="Fancy", domain="com.example", node_count=1, flops=None),
            OperatorType(op_type="Shape", domain="ai.onnx", node_count=2, flops=0),
            OperatorType(op_type="Reshape", domain="ai.onnx", node_count=2, flops=0),
        ),
        custom_operators=("com.example:Fancy",),
        dims={"N": 1},
        assumptions=(
            Assumption(subject="N", value="1", reason="a batch of one", option="--dim N=N"),
        ),
        flops=15_600_000_000,
        macs=7_800_000_000,
        moved_bytes=390 * MIB,
        unknown_node_count=1,
        nodes=tuple(
            NodeFacts(
                name=f"/layer{index}/conv{index}/Conv",
                op_type="Conv",
                domain="ai.onnx",
                op_class="conv",
                flops=index * 10**8,
                macs=index * 10**8 // 2,
                moved_bytes=(20 - index) * MIB,
                weight_bytes=index * MIB,
                output_bytes=MIB,
            )
            for index in range(1, 14)
        ),
        modelled_memory=(modelled("x86_64", 360, 182, 200), modelled("aarch64", 188, 181, 204)),
        activation_peak=ActivationPeak(
            peak_bytes=12 * MIB,
            node="/layer1/conv3/Conv",
            op_type="Conv",
            tensors=(
                LiveTensor(
                    name="/layer1/relu2_output", size_bytes=8 * MIB, producer="/layer1/relu2"
                ),
                LiveTensor(name="data", size_bytes=4 * MIB, producer="input"),
            ),
        ),
        warnings=(
            Notice(code="custom-operators", message="1 operator is custom", hint="see custom"),
        ),
    )


def slow_latency() -> Latency:
    """Times in seconds."""
    return latency(2 * SECOND_NS, count=10)


def devices() -> tuple[Device, ...]:
    """A board with every figure, and a bare accelerator."""
    source = "example.com/datasheet"
    board = Device(
        id="board_4gb",
        name="Board, 4 GB",
        kind="sbc",
        aliases=("board",),
        os="Linux",
        isa="aarch64",
        allocator="glibc",
        role="headless",
        cpu=Cpu(
            soc="SoC 1",
            clusters=(
                Cluster(
                    core="cortex-a72",
                    core_count=Figure(value=4, source=source),
                    clock_hz=Figure(value=1_500_000_000, source=source),
                    flop_per_cycle=Figure(value=8, source=source, note="one 128-bit pipe"),
                ),
            ),
            features=("neon",),
        ),
        memory=DeviceMemory(
            total_bytes=Figure(value=4 * GIB, source=source),
            bandwidth_bytes_per_s=None,
            grants=(
                Grant(
                    role="headless",
                    memory_bytes=Figure(value=3 * GIB, source="unverified", note="estimate"),
                    reason="the system keeps the rest",
                ),
            ),
        ),
        limits=Limits(
            runtime_bytes=Figure(value=24 * MIB, source=source),
            latency_ns=Figure(value=200 * MILLISECOND_NS, source="unverified"),
        ),
        runtimes=("ONNX Runtime",),
        origin="devices/board_4gb.toml",
    )
    accelerator = Device(
        id="accelerator",
        name="An accelerator with a name that is too long for its column by far",
        kind="server",
        os="Linux",
        isa="x86_64",
        allocator="glibc",
        runs_on="gpu",
        role="service",
        gpu=Gpu(
            name="GPU",
            memory_bytes=Figure(value=8 * GIB, source=source),
            context_bytes=Figure(value=400 * MIB, source=source),
        ),
        limits=Limits(runtime_bytes=Figure(value=24 * MIB, source=source)),
    )
    return (board, accelerator)
