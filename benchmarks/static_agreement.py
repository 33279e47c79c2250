"""Does `check --static` give the verdicts of `check`, which measures the model?

    python -m benchmarks.static_agreement [--minutes N] FOLDER...

Takes the models below each FOLDER and those of the zoo. Measured profiles are kept in the cache
folder of the tool, so a second call continues after the first one. Two verdicts agree if they
are the same, or if one of them is `undecided`.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks._common import print_table
from feasibility.catalogue.load_catalogue import chosen_devices
from feasibility.decide.verdict import assess_device
from feasibility.errors import DocumentError, FeasibilityError
from feasibility.json_documents import encode, read_document
from feasibility.measure.measure_model import measure_briefly
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.static_profile import read_static_profile
from feasibility.paths import cache_dir
from feasibility.records.profile import Profile
from feasibility.write_atomically import whole_file
from feasibility.zoo.architectures import build, entries

DEVICES = ("rpi_4b", "rpi_5", "galaxy_s24", "rtx_3070")
SUFFIXES = (".onnx", ".ort", ".tflite")


@dataclass(frozen=True, slots=True)
class Pair:
    """Both profiles of one model."""

    name: str
    static: Profile
    measured: Profile


def models(folders: list[str]) -> Iterator[Path]:
    """The models below the folders, then those of the zoo, small ones first."""
    found = [
        path for folder in folders for path in Path(folder).rglob("*") if path.suffix in SUFFIXES
    ]
    yield from sorted(found, key=lambda path: path.stat().st_size)
    yield from (build(entry.name) for entry in entries())


def measured(path: Path, deadline: float) -> Profile | None:
    """The cached profile of a model, else one measured now; None if the time limit is over."""
    status = path.stat()
    key = hashlib.sha256(repr((str(path.resolve()), status.st_size)).encode()).hexdigest()[:24]
    kept = cache_dir() / "static_agreement" / f"{key}.json"
    try:
        return read_document(kept, Profile)
    except DocumentError:
        if time.monotonic() > deadline:
            return None
    profile = measure_briefly(path, MeasureOptions(timeout_s=60))
    with whole_file(kept) as file:
        file.write(encode(profile))
    return profile


def pairs(folders: list[str], deadline: float, failed: Counter[str]) -> Iterator[Pair]:
    """Models that can be read and run. Models that fail are only counted."""
    for path in models(folders):
        try:
            static = read_static_profile(path, MeasureOptions())
        except FeasibilityError:
            failed["not read"] += 1
            continue
        try:
            profile = measured(path, deadline)
        except FeasibilityError as error:
            failed["read and not run"] += 1
            print(f"{path.name}: {error.message}"[:200], file=sys.stderr)
            continue
        if profile is None:
            failed["not measured in time"] += 1
            continue
        yield Pair(path.name, static, profile)


def main() -> None:
    """Print how many verdicts agree per device, and the verdicts that differ."""
    arguments = sys.argv[1:]
    minutes = 60.0
    if arguments[:1] == ["--minutes"]:
        minutes, arguments = float(arguments[1]), arguments[2:]
    devices = chosen_devices(list(DEVICES))
    failed: Counter[str] = Counter()
    outcomes: dict[str, Counter[str]] = {device.id: Counter() for device in devices}
    for pair in pairs(arguments, time.monotonic() + 60 * minutes, failed):
        for device in devices:
            static = assess_device(pair.static, device)
            found = assess_device(pair.measured, device)
            verdicts = (static.verdict, found.verdict)
            if len(set(verdicts)) == 1:
                outcome = "same"
            else:
                outcome = "one undecided" if "undecided" in verdicts else "different"
            outcomes[device.id][outcome] += 1
            memory, likely = static.memory, found.memory.likely_bytes
            if memory.low_bytes and memory.high_bytes and likely:
                is_inside = memory.low_bytes <= likely <= memory.high_bytes
                outcomes[device.id]["memory inside" if is_inside else "memory outside"] += 1
            if outcome == "different":
                print(f"{pair.name} on {device.id}: static {verdicts[0]}, measured {verdicts[1]}")
    titles = ("same", "one undecided", "different", "memory inside", "memory outside")
    print_table(
        ("device", *titles, "agreement"),
        [
            (
                name,
                *(str(found[title]) for title in titles),
                f"{1 - found['different'] / max(1, sum(found[each] for each in titles[:3])):.1%}",
            )
            for name, found in outcomes.items()
        ],
    )
    print(", ".join(f"{what}: {count}" for what, count in failed.items()))


if __name__ == "__main__":
    main()
