"""Which documents have hand-made measurements, and which networks represent their systems?

Figures and quotes are from the documents. A network of the zoo represents each system.
"""

from __future__ import annotations

from typing import Final

from feasibility.records.changes import Precision
from feasibility.records.systems import (
    PublishedFigure,
    Quantity,
    System,
    SystemsDocument,
)
from feasibility.units import MIB, MILLISECOND_NS, SECOND_NS

# One patch of YAMNet needs 0.975 s of sound.
_PATCH_SAMPLES: Final = 15_600
_PATCH_NS: Final = 975 * MILLISECOND_NS
# The Ryzen 3800X has 8 cores, and by default ONNX Runtime starts one thread per core.
_RYZEN_THREADS: Final = 8
_NO_SIZE: Final = "the document states no length of the text; 32 tokens stand for a sentence"


def _milliseconds(value: float) -> int:
    return round(value * MILLISECOND_NS)


_YAMNET: Final = System(
    id="yamnet",
    title="YAMNet",
    network="yamnet-waveform",
    dims={"samples": _PATCH_SAMPLES},
    signal_ns=_PATCH_NS,
)
_SENTENCE: Final = System(
    id="sentence",
    title="sentence (32)",
    network="xlmr-base-sentence",
    dims={"sequence": 32},
)
_PRECISIONS: Final[tuple[tuple[Precision | None, str], ...]] = (
    (None, ""),
    ("int8-dynamic", "-int8"),
)
_ESPNET: Final = tuple(
    System(
        id=name + suffix,
        title=title + (", int8" if change else ""),
        network=name,
        signal_ns=signal_ns,
        change=change,
    )
    for change, suffix in _PRECISIONS
    for name, title, signal_ns in (
        ("espnet-encoder", "encoder (18)", SECOND_NS),
        ("espnet-decoder", "decoder (6)", None),
        ("espnet-conformer", "Conformer (12)", SECOND_NS),
    )
)
_WESPEAKER: Final = System(
    id="wespeaker",
    title="ResNet-34",
    network="wespeaker-resnet34-198",
    signal_ns=2 * SECOND_NS,
)
_CLASSIFIERS: Final = (
    System(id="cats-v-dogs", title="cats_v_dogs", network="resnet18-fastai"),
    System(id="cat-dog-breeds", title="cat_dog_breeds", network="resnet18-fastai-37"),
    System(id="resnet101", title="ResNet-101", network="resnet101"),
)

_FUSED: Final = "their layers are fused, but the projection is for layers without fusion"
_CUSTOM: Final = (
    f"{_FUSED}; fused decoder and Conformer layers need a custom build of ONNX Runtime (same "
    "document)"
)
_INT8: Final = (
    "the Ryzen 3800X has no VNNI, and only one published row of ONNX Runtime in int8 is of such a "
    "processor (profiles/published.csv)"
)
_TORCH: Final = "the runtime was PyTorch; the projection is for ONNX Runtime"


def _espnet_figures() -> tuple[PublishedFigure, ...]:
    """The two tables: before, after, PyTorch; then the same in 8 bits."""
    rows = (
        ("espnet-encoder", "", _FUSED, 45.02, 37.52, 89.85),
        ("espnet-decoder", "", _CUSTOM, 9.37, 6.88, 20.32),
        ("espnet-conformer", "RelativeShift, ", _CUSTOM, 26.82, 23.76, 48.59),
        ("espnet-conformer", "RelPosAttention, ", _CUSTOM, None, 22.68, None),
        ("espnet-encoder-int8", "quantized, ", _FUSED, 39.55, 34.07, 53.65),
        ("espnet-decoder-int8", "quantized, ", _CUSTOM, 5.98, 4.32, 8.71),
        ("espnet-conformer-int8", "quantized, RelativeShift, ", _CUSTOM, 20.29, 19.04, 32.21),
        ("espnet-conformer-int8", "quantized, RelPosAttention, ", _CUSTOM, None, 17.69, None),
    )
    return tuple(
        PublishedFigure(
            system=system,
            words=f"{value} ms",
            condition=kind + condition,
            quantity="run",
            value=_milliseconds(value),
            device="ryzen_3800x",
            threads=_RYZEN_THREADS,
            miss="; ".join(filter(None, (_INT8 if "int8" in system else "", why))),
        )
        for system, kind, after, *values in rows
        for condition, why, value in zip(
            ("before optimize", "after optimize", "torch"),
            ("", after, _TORCH),
            values,
            strict=True,
        )
        if value is not None
    )


_RTF_MISS: Final = (
    "the published time includes more than the network: the timer also runs during the computation "
    "of the features, and a last chunk of less than 2 s is padded to 2 s "
    "(runtime/core/bin/extract_emb_main.cc, speaker/speaker_engine.cc)"
)


def _wespeaker_figure(
    words: str, factor: float, engine: str, runtime: str, miss: str
) -> PublishedFigure:
    return PublishedFigure(
        system=_WESPEAKER.id,
        words=words,
        condition=f"{engine}, RTF {factor:g}",
        quantity="run",
        value=round(factor * 2 * SECOND_NS),
        device="xeon_e5_2630v4",
        threads=1,
        runtime=runtime,
        miss=miss,
    )


_BENCHEE: Final = (
    "the program was Axon, in Elixir. Benchee counts all memory that an Erlang process "
    "allocates during the import, including memory that it frees again (Benchee, README.md). The "
    "peak is not known"
)


def _import_figures() -> tuple[PublishedFigure, ...]:
    """Time and memory of `AxonOnnx.import |> Nx.serialize`, and the sizes of the files."""
    rows: tuple[tuple[str, tuple[tuple[Quantity, str, int, str], ...]], ...] = (
        (
            "cats-v-dogs",
            (
                ("load-memory", "1.04 MB", 1_040_000, "import and serialize"),
                ("load", "4.01 ms", _milliseconds(4.01), "import and serialize"),
                ("file-size", "47 090 548 bytes", 47_090_548, "ls -l"),
            ),
        ),
        (
            "cat-dog-breeds",
            (
                ("load-memory", "1.04 MB", 1_040_000, "import and serialize"),
                ("load", "4.05 ms", _milliseconds(4.05), "import and serialize"),
                ("file-size", "47 162 250 bytes", 47_162_250, "ls -l"),
            ),
        ),
        (
            "resnet101",
            (
                ("load-memory", "8.97 GB", 8_970_000_000, "import and serialize"),
                ("load", "21.96 s", _milliseconds(21_960), "import and serialize"),
                ("file-size", "178 914 043 bytes", 178_914_043, "ls -l"),
            ),
        ),
    )
    return tuple(
        PublishedFigure(
            system=system,
            words=words,
            condition=condition,
            quantity=quantity,
            value=value,
            device="macbook_air_m2" if quantity == "load-memory" else "",
            miss=_BENCHEE if quantity == "load-memory" else "",
        )
        for system, figures in rows
        for quantity, words, value, condition in figures
    )


DOCUMENTS: Final = (
    SystemsDocument(
        id="notes",
        title="Notes on YAMNet, SentenceTransformer and ESPnet",
        source="notes of a developer; the address is not known",
        hardware="PC with an RTX 3070",
        assumed="XLM-R base, because its file has about 1 GB; 32 tokens for a sentence, because no "
        "length is stated; a Ryzen 3800X for the CPU of the PC, which is not named",
        systems=(
            _YAMNET,
            _SENTENCE,
            System(
                id="sentence-128",
                title="sentence (128)",
                network="xlmr-base-sentence",
                dims={"sequence": 128},
            ),
        ),
        figures=(
            PublishedFigure(
                system=_SENTENCE.id,
                words="8.84 ms",
                condition="torch (GPU)",
                quantity="run",
                value=_milliseconds(8.842836856842042),
                device="rtx_3070",
                miss=f"the runtime was PyTorch; {_NO_SIZE}",
            ),
            PublishedFigure(
                system=_SENTENCE.id,
                words="2845 MiB",
                condition="torch (GPU), video memory",
                quantity="memory",
                value=2845 * MIB,
                device="rtx_3070",
                miss="the runtime was PyTorch; the projection is for ONNX Runtime with CUDA. The "
                "document does not say what the video memory contains",
            ),
            PublishedFigure(
                system=_SENTENCE.id,
                words="around 27 ms",
                condition='a guess: "3x slower on CPU"',
                quantity="run",
                value=_milliseconds(27),
                device="ryzen_3800x",
                threads=_RYZEN_THREADS,
                miss="it is three times the time of the GPU and was not measured; the document "
                f"does not name the CPU, and a Ryzen 3800X stands for it; {_NO_SIZE}",
            ),
            PublishedFigure(
                system=_SENTENCE.id,
                words="around 1GB",
                condition="size of the onnx model",
                quantity="file-size",
                value=10**9,
            ),
        ),
    ),
    SystemsDocument(
        id="espnet",
        title="espnet_onnx: model optimization",
        source="github.com/espnet/espnet_onnx, docs/Optimization.md at 27317bf736",
        hardware="Ryzen 3800X, input (1, 100, 80)",
        assumed="8 threads, the default of ONNX Runtime on this processor, because no number is "
        "stated; sizes of the layers as in docs/zoo.md, because none are stated",
        systems=_ESPNET,
        figures=_espnet_figures(),
    ),
    SystemsDocument(
        id="runtimes",
        title="Optimization of models with TFLite, TensorRT, MediaPipe and ONNX Runtime",
        source="notes of a developer, in Japanese; the address is not known",
        hardware="none; it states no figures",
    ),
    SystemsDocument(
        id="wespeaker",
        title="MNN backend on WeSpeaker",
        source="github.com/wenet-e2e/wespeaker, runtime/mnn/README.md at 1150afb409",
        hardware="Xeon E5-2630 v4 at 2.20 GHz, one thread, chunks of 2 s",
        systems=(_WESPEAKER,),
        figures=(
            _wespeaker_figure("275.4 ms", 0.1377, "onnxruntime", "onnxruntime", _RTF_MISS),
            _wespeaker_figure(
                "266.6 ms",
                0.1333,
                "mnn",
                "mnn",
                f"{_RTF_MISS}. The build matters too: in the same table, MNN built with mini_libs "
                "takes 0.39 of this time",
            ),
            _wespeaker_figure("105.2 ms", 0.05262, "mnn mini_libs", "mnn", _RTF_MISS),
        ),
    ),
    SystemsDocument(
        id="axon",
        title="A benchmark program of loading ONNX to Axon",
        source="github.com/zeam-vm/pelemay_backend, benchmarks/onnx_to_axon_bench/README.md",
        hardware="MacBook Air, Apple M2, 24 GB",
        assumed="an import is compared with loading in ONNX Runtime; the time to load is not "
        "projected",
        systems=_CLASSIFIERS,
        figures=_import_figures(),
    ),
)
