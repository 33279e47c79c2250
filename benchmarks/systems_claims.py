"""What do the documents say, and what do we find? Each answer is computed from recorded figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from benchmarks.systems_answers import (
    BOARD_IDS,
    ESPNET_IDS,
    PHONE_IDS,
    Answers,
    difference_of,
    engine_differences,
    is_good,
    is_memory_enough,
    reason_parts,
    recipe_of,
    time_and_memory,
    verdict_with_parts,
)
from feasibility.records.assessment import DeviceAssessment
from feasibility.records.comparison import FigureDifference, OperatorUse
from feasibility.records.fit import Fit
from feasibility.records.profile import Profile
from feasibility.render.reports.change_texts import changes_text, main_changes
from feasibility.render.reports.sections import joined
from feasibility.units import (
    format_bytes,
    format_bytes_range,
    format_duration,
    format_duration_range,
    format_factor,
    format_similarity,
)

Outcome: TypeAlias = Literal[
    "agrees", "**contradicts**", "in part", "not seen here", "not measured"
]
_CLEAR_RATIO: Final = 1.5
# Cosine similarity of outputs that are close.
_SIMILAR: Final = 0.99


class Claim(NamedTuple):
    """A statement of a document, in its words or translated, and what we find."""

    quote: str
    answer: Callable[[Answers], tuple[str, Outcome]]


def answers_of_questions(answers: Answers) -> Iterator[tuple[str, str]]:
    """The questions that the documents leave open, and their answers."""
    yield "Does YAMNet run on a phone?", _runs(answers.verdicts("yamnet", PHONE_IDS))
    yield (
        'Does the "1 GB" sentence encoder run on a phone, as it is?',
        f"32 tokens: {_runs(answers.verdicts('sentence', PHONE_IDS))} "
        f"128 tokens: {_runs(answers.verdicts('sentence-128', PHONE_IDS))}",
    )
    yield (
        "And with the changes that `feasibility fit` finds? (32 tokens, one thread)",
        _fit_texts(answers),
    )
    for system in ESPNET_IDS:
        title = answers.systems[system].system.title
        yield (
            f"Does ESPnet run on a phone? ({title})",
            _runs(answers.verdicts(system, PHONE_IDS)),
        )
    yield (
        "Can ResNet-101, which needed 8.97 GB in one framework, run on a board?",
        f"{_runs(answers.verdicts('resnet101', BOARD_IDS))} {_memory_text(answers, BOARD_IDS)}",
    )


def _runs(verdicts: Sequence[DeviceAssessment]) -> str:
    """Yes or no, then each device with its time and memory."""
    good = [each for each in verdicts if is_good(each)]
    if len(good) == len(verdicts):
        lead = "**Yes.**"
    elif good:
        lead = "**On some.**"
    elif all(each.verdict == "does-not-fit" for each in verdicts):
        lead = "**No.**"
    elif any(each.verdict == "fits-with-changes" for each in verdicts):
        lead = "**With changes.**"
    else:
        lead = "**Undecided.**"
    return f"{lead} {'; '.join(map(_device_text, verdicts))}."


def _device_text(found: DeviceAssessment) -> str:
    return f"{found.name}: {verdict_with_parts(found)}, {time_and_memory(found)}"


def _fit_texts(answers: Answers) -> str:
    """What each search found, with its figures on the phone."""
    return " ".join(_fit_text(fit, answers) for fit in answers.recordings.fits)


def _fit_text(fit: Fit, answers: Answers) -> str:
    targets = fit.requirements
    name = answers.device_name(targets.device or "")
    asked = f"{name}, targets " if targets.latency_ns else f"{name}, target "
    asked += format_bytes(targets.device_limit_bytes)
    asked += f" and {format_duration(targets.latency_ns)}" if targets.latency_ns else ""
    shown = fit.chosen or fit.nearest
    if shown is None:
        return f"{asked}: **no**."
    figures = (
        f"{changes_text(main_changes(shown.changes))}: memory at most "
        f"{format_bytes(shown.device_memory_bytes)}, time likely "
        f"{format_duration(shown.device_latency_ns)}"
    )
    return f"{asked}: **{'no' if fit.chosen is None else 'yes'}**, {figures}."


def _memory_text(answers: Answers, devices: Sequence[str]) -> str:
    """On which devices the memory of ResNet-101 is enough."""
    found = [answers.verdict("resnet101", device) for device in devices]
    enough = [each.name for each in found if is_memory_enough(each)]
    short = [each.name for each in found if not is_memory_enough(each)]
    texts = [
        f"Memory is not enough on {joined(short)}" if short else "",
        f"{'enough' if short else 'Memory is enough'} on {joined(enough)}" if enough else "",
    ]
    others = {part for each in found if is_memory_enough(each) for part in reason_parts(each)}
    decides = " Where memory is enough, only the time decides." if others == {"time"} else ""
    return f"{', '.join(filter(None, texts))}.{decides}"


def _only_yamnet(answers: Answers) -> tuple[str, Outcome]:
    yamnet = [each.name for each in answers.verdicts("yamnet", PHONE_IDS) if is_good(each)]
    others = [
        f"{answers.systems[system].system.title} on {each.name}"
        for system in ("sentence", "sentence-128", *ESPNET_IDS)
        for each in answers.verdicts(system, PHONE_IDS)
        if is_good(each)
    ]
    text = f"YAMNet fits on {joined(yamnet) or 'none of the phones'}. "
    if not others:
        return f"{text}The other systems do not clearly fit as they are.", "agrees"
    return f"{text}These fit too: {'; '.join(others)}.", "**contradicts**"


def _difficult(answers: Answers) -> tuple[str, Outcome]:
    found = answers.verdicts("sentence", PHONE_IDS)
    as_is = "; ".join(map(_device_text, found))
    text = f"As it is: {as_is}. After `fit`: {_fit_texts(answers)}"
    fits = [fit.chosen is not None for fit in answers.recordings.fits]
    return text, "**contradicts**" if all(fits) else "in part" if any(fits) else "agrees"


def _on_cpu(answers: Answers) -> tuple[str, Outcome]:
    guess = next(
        each
        for each in answers.systems["sentence"].figures
        if each.published.words == "around 27 ms"
    )
    assert guess.projected is not None
    low, _, high = guess.projected
    text = (
        f"Projected for a Ryzen 3800X, 32 tokens: {format_duration_range(low, high)}. The time "
        "grows with the length of the text."
    )
    return text, "agrees" if guess.is_inside else "**contradicts**"


def _espnet_runs(answers: Answers) -> tuple[str, Outcome]:
    found = [answers.systems[system] for system in ESPNET_IDS]
    titles = [each.system.title for each in found if each.profile.latency is not None]
    text = (
        f"ONNX Runtime loads and runs {len(titles)} of {len(found)} here: {joined(titles)}, with "
        "the operators that espnet_onnx exports."
    )
    return text, "**contradicts**" if len(titles) == len(found) else "in part"


def _edge(answers: Answers) -> tuple[str, Outcome]:
    found = answers.verdicts("yamnet", BOARD_IDS)
    good = all(map(is_good, found))
    text = "; ".join(map(_device_text, found))
    return f"{text}. Target: 975 ms, the length of the sound.", "agrees" if good else "in part"


def _fusion(answers: Answers) -> tuple[str, Outcome]:
    found = {
        answers.systems[name].system.title: difference_of(
            comparison, "latency", "transformer-fused"
        )
        for name, comparison in answers.recordings.changes.items()
    }
    texts = [f"{title} {_difference_text(each)}" for title, each in found.items()]
    text = (
        f"Time after fusion, divided by the time before: {joined(texts)} (published: 0.83x, 0.73x, "
        f"0.89x). The standard tool fuses {_fused_text(answers)} here. espnet_onnx has fusions of "
        "its own; those of decoder and Conformer need a custom build of the runtime."
    )
    return text, _seen([each.outcome == "lower" for each in found.values()])


def _seen(outcomes: Sequence[bool]) -> Outcome:
    return "agrees" if all(outcomes) else "in part" if any(outcomes) else "not seen here"


def _difference_text(found: FigureDifference) -> str:
    assert found.value_ratio is not None
    known = {"lower": "", "higher": ""}.get(found.outcome, " (may be noise)")
    return f"{format_factor(found.value_ratio)}{known}"


def _fused_text(answers: Answers) -> str:
    """Operators that only the fused networks have."""
    found: dict[str, None] = {}
    for comparison in answers.recordings.changes.values():
        recipes = [each.workload.recipe for each in comparison.subjects]
        as_is, fused = recipes.index("as-is"), recipes.index("transformer-fused")
        for operator in comparison.operators:
            if _count(operator.uses[fused]) and not _count(operator.uses[as_is]):
                found[operator.op_type] = None
    return joined(sorted(found)) or "nothing more"


def _count(use: OperatorUse | None) -> int:
    return 0 if use is None else use.node_count


def _simpler(answers: Answers) -> tuple[str, Outcome]:
    times, peaks = (
        [
            difference_of(comparison, figure, "optimizer-off")
            for comparison in answers.recordings.changes.values()
        ]
        for figure in ("latency", "load_peak")
    )
    text = (
        "With the optimizer off, ESPnet's encoder, decoder and Conformer take "
        f"{joined([_difference_text(each) for each in times])} the time, and "
        f"{joined([_difference_text(each) for each in peaks])} the memory."
    )
    outcomes = [each.outcome for each in (*times, *peaks)]
    if "lower" in outcomes:
        return text, "in part" if "higher" in outcomes else "**contradicts**"
    return text, _seen([each == "higher" for each in outcomes])


def _bits(answers: Answers) -> tuple[str, Outcome]:
    changes = answers.recordings.changes.values()
    times = [difference_of(each, "latency", "int8-dynamic") for each in changes]
    peaks = [difference_of(each, "load_peak", "int8-dynamic") for each in changes]
    text = (
        "Dynamic int8 here, on the CPU: ESPnet's encoder, decoder and Conformer take "
        f"{joined([_difference_text(each) for each in times])} the time, and "
        f"{joined([_difference_text(each) for each in peaks])} the memory. The tables of ESPnet: "
        "0.88x, 0.64x and 0.76x the time. A GPU was not measured."
    )
    return text, _seen([each.outcome == "lower" for each in times])


def _accuracy(answers: Answers) -> tuple[str, Outcome]:
    cosines = [
        output.cosine
        for comparison in answers.recordings.changes.values()
        for each in comparison.outputs
        if recipe_of(comparison, each.subject) == "int8-dynamic"
        for output in each.drift.outputs
        if output.cosine is not None
    ]
    text = (
        "Cosine similarity of dynamic int8 and float32: at least "
        f"{format_similarity(min(cosines))} (ESPnet's stacks, random weights and inputs). Only "
        "real weights and inputs show the accuracy."
    )
    return text, "in part" if min(cosines) >= _SIMILAR else "**contradicts**"


def _runtimes(answers: Answers) -> tuple[str, Outcome]:
    found = engine_differences(answers.recordings.engines).values()
    ratios = [1.0, *(each.value_ratio for each in found if each.value_ratio is not None)]
    slowest = max(ratios) / min(ratios)
    text = (
        f"The slowest engine takes {format_factor(slowest)} the time of the fastest one for "
        "WeSpeaker's network here. In WeSpeaker's table, two builds of MNN differ by 2.53x."
    )
    return text, "in part" if slowest < _CLEAR_RATIO else "**contradicts**"


def _loading(answers: Answers) -> tuple[str, Outcome]:
    profiles = sorted(
        (answers.recordings.profiles[name] for name in ("yamnet", "resnet101", "sentence")),
        key=lambda each: each.model.file_bytes,
    )
    texts = [
        f"{format_bytes(each.model.file_bytes)}: {format_duration(_load_ns(each))}"
        for each in profiles
    ]
    times = [_load_ns(each) for each in profiles]
    text = (
        f"Loading with ONNX Runtime here: {'; '.join(texts)}. Loading with LiteRT was not measured."
    )
    return text, "agrees" if times == sorted(times) else "in part"


def _not_measured(_: Answers) -> tuple[str, Outcome]:
    return "To check this, an NVIDIA GPU and MediaPipe are needed.", "not measured"


def _mnn(answers: Answers) -> tuple[str, Outcome]:
    found = engine_differences(answers.recordings.engines).get("mnn")
    if found is None:
        return "MNN has no figures here.", "not measured"
    text = (
        f"Here, on another processor, MNN takes {_difference_text(found)} the time of ONNX "
        "Runtime. Published: 0.97x, and 0.38x with mini_libs; the versions are not stated."
    )
    return text, "**contradicts**" if found.outcome == "higher" else "agrees"


def _nine_gigabytes(answers: Answers) -> tuple[str, Outcome]:
    found = answers.systems["resnet101"]
    memory, projected = found.profile.memory, found.figures[0].projected
    assert memory is not None
    assert projected is not None
    text = (
        f"ONNX Runtime needs {format_bytes(memory.load_peak_bytes)} to load it here, and "
        f"{format_bytes_range(projected.low, projected.high)} on their MacBook (projected). The "
        "8.97 GB are all memory that the import allocated, including memory that was freed "
        "meanwhile."
    )
    is_less = memory.load_peak_bytes < found.figures[0].published.value / 2
    return text, "**contradicts**" if is_less else "agrees"


def _one_megabyte(answers: Answers) -> tuple[str, Outcome]:
    profile = answers.recordings.profiles["cats-v-dogs"]
    memory = profile.memory
    assert memory is not None
    text = (
        f"The weights alone have {format_bytes(profile.model.initializer_bytes)}; ONNX Runtime "
        f"needs {format_bytes(memory.load_peak_bytes)} to load it here. Benchee counts the process "
        "that calls the import, not the size of the virtual machine."
    )
    is_more = memory.load_peak_bytes > 2_000_000
    return text, "**contradicts**" if is_more else "agrees"


def _embedded(answers: Answers) -> tuple[str, Outcome]:
    found = answers.verdicts("resnet101", BOARD_IDS)
    text = f"{_memory_text(answers, BOARD_IDS)} {'; '.join(map(_device_text, found))}."
    if not any(map(is_memory_enough, found)):
        return text, "agrees"
    return text, "**contradicts**"


def _load_ns(profile: Profile) -> int:
    assert profile.latency is not None
    assert profile.latency.load_ns is not None
    return profile.latency.load_ns


CLAIMS: Final[Mapping[str, tuple[Claim, ...]]] = {
    "notes": (
        Claim('YAMNet: "running on CPU seems enough and it might be run on edge"', _edge),
        Claim('"Currently, only YAMNet can be running on mobile device."', _only_yamnet),
        Claim('"around 1GB and it might be difficult to run it on mobile device"', _difficult),
        Claim('"it will be around 27 [ms] even in my PC"', _on_cpu),
        Claim('ESPnet: "running on onnx doesn\'t seem successful yet"', _espnet_runs),
    ),
    "espnet": (Claim('"You can improve inference performance with this node fusion."', _fusion),),
    "runtimes": (
        Claim("A simpler graph for inference lowers time and memory (translated)", _simpler),
        Claim("Quantization helps on CPUs, and less on GPUs (translated)", _bits),
        Claim("With fewer bits, the accuracy can stay acceptable (translated)", _accuracy),
        Claim("The differences between runtimes are not large (translated)", _runtimes),
        Claim("A small file loads faster (translated)", _loading),
        Claim("TensorRT is for CUDA only; MediaPipe has no ONNX (translated)", _not_measured),
    ),
    "wespeaker": (
        Claim("RTF of MNN: 0.1333, of ONNX Runtime: 0.1377, of MNN with mini_libs: 0.05262", _mnn),
    ),
    "axon": (
        Claim('ResNet-101 "requires approximately the memory of 9GB"', _nine_gigabytes),
        Claim(
            'cats_v_dogs and cat_dog_breeds "requires approximately the memory of 1MB"',
            _one_megabyte,
        ),
        Claim(
            '"many developers may hope to use it on embedded systems. However, the results deny '
            'this hope."',
            _embedded,
        ),
    ),
}
