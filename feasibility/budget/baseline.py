"""How are baselines measured, written and read? One small file per model in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from msgspec.structs import replace

from feasibility.budget.metrics import Need
from feasibility.budget.model_under_test import ModelUnderTest
from feasibility.errors import DocumentError
from feasibility.json_documents import encode, read_document
from feasibility.measure.measure_options import Progress
from feasibility.records.budget import Metric, Snapshot
from feasibility.text import safe_text
from feasibility.write_atomically import whole_file

# Enough to explain growth; all initializers of a large model would make a large file.
KEPT_INITIALIZER_COUNT: Final = 24
_CONFLICT_MARKER: Final = b"<<<<<<< "
# Odd, so that the median is a measured figure.
_PROCESS_COUNT: Final = 3


def baseline_path(folder: Path, name: str) -> Path:
    """File of a model's baseline: the path of the model with `.json` after it."""
    return folder / f"{name}.json"


def read_baseline(folder: Path, name: str) -> Snapshot | None:
    """The baseline of a model; None if it was not recorded.

    Raises:
        DocumentError: The file is damaged, has a git conflict, or is of a newer version.
    """
    path = baseline_path(folder, name)
    if not path.exists():
        return None
    try:
        return read_document(path, Snapshot)
    except DocumentError as error:
        if _has_conflict(path):
            raise DocumentError(
                f"Cannot read baseline {safe_text(str(path))}",
                "git left conflict markers in it",
                "resolve it, then run `feasibility budget update` if the model changed too",
            ) from error
        raise DocumentError(
            error.what, error.why, f"{error.hint}; `feasibility budget update` writes it again"
        ) from error


def write_baseline(folder: Path, snapshot: Snapshot) -> Path:
    """Write a model's baseline, complete or not at all; returns its path."""
    path = baseline_path(folder, snapshot.model)
    try:
        with whole_file(path) as file:
            file.write(encode(_committed(snapshot)))
    except OSError as error:
        raise DocumentError(
            f"Cannot write baseline {safe_text(str(path))}",
            error.strerror or str(error),
            "check the folder, its permissions and the free space",
        ) from error
    return path


def _committed(snapshot: Snapshot) -> Snapshot:
    """The snapshot for the repository: only the largest initializers, no inputs."""
    by_size = sorted(snapshot.initializers, key=lambda size: (-size.size_bytes, size.name))
    largest = by_size[:KEPT_INITIALIZER_COUNT]
    return replace(
        snapshot,
        inputs=(),
        initializers=tuple(sorted(largest, key=lambda size: size.name)),
        are_initializers_cut=len(largest) < len(snapshot.initializers),
    )


def _has_conflict(path: Path) -> bool:
    try:
        return any(line.startswith(_CONFLICT_MARKER) for line in path.read_bytes().splitlines())
    except OSError:
        return False


def record_baseline(model: ModelUnderTest, progress: Progress) -> Snapshot:
    """The snapshot of a model with every metric; unknown metrics are measured."""
    steps: tuple[tuple[Need, Metric, int], ...] = (
        ("memory", "peak", _PROCESS_COUNT),
        ("latency", "latency", _PROCESS_COUNT),
        ("allocations", "allocated_peak", 1),
    )
    for number, (need, metric, wanted) in enumerate(steps):
        progress(number, len(steps) + 1, need)
        for _ in range(wanted - len(model.readings.series.get(metric, ()))):
            model.take(need)
    progress(len(steps), len(steps) + 1, "operators")
    if not model.readings.snapshot.operator_times:
        model.take("operators")
    model.save()
    progress(len(steps) + 1, len(steps) + 1, "")
    return model.readings.summary()
