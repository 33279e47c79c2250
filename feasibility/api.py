"""Which functions does Python code call? The commands of the tool, which return records here.

Nothing is printed. `feasibility.__all__` lists what is public; docs/python.md explains it.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar, cast

import msgspec

from feasibility.commands.check import assessment_of
from feasibility.commands.compare import comparison_of
from feasibility.commands.fit import fit_of
from feasibility.commands.inspect import facts_of
from feasibility.commands.keyword_options import Job
from feasibility.commands.measure import profile_of
from feasibility.commands.profiles_of_path import imported, saved_profile
from feasibility.commands.progress import Watch
from feasibility.commands.report_error import known_error
from feasibility.errors import ModelError
from feasibility.prepared_types import prepared
from feasibility.records.profile import Profile
from feasibility.render.notebook import show_in_notebooks

if TYPE_CHECKING:
    from feasibility.records.assessment import Assessment
    from feasibility.records.comparison import Comparison
    from feasibility.records.facts import ModelFacts
    from feasibility.records.fit import Fit


class ModelProto(Protocol):
    """A model in memory, such as `onnx.ModelProto`; onnx is not imported here."""

    @property
    def graph(self) -> Any:
        """Graph of the model, which has a name."""

    def SerializeToString(self) -> bytes:  # noqa: N802
        """The model as the bytes of an ONNX file."""


Model: TypeAlias = str | os.PathLike[str] | ModelProto
RecordT = TypeVar("RecordT", bound=msgspec.Struct)

_NOT_IN_A_NAME: Final = re.compile(r"[^\w.-]+", re.ASCII)
_INSPECT: Final = Job(facts_of)
_MEASURE: Final = Job(profile_of)
_CHECK: Final = Job(assessment_of)
_FIT: Final = Job(fit_of)
_COMPARE: Final = Job(comparison_of)

show_in_notebooks()


@_INSPECT.describes
def inspect(model: Model, **options: Any) -> ModelFacts:
    """Facts about a model that is not run, as `feasibility inspect` shows them.

    Raises:
        ModelError: The model cannot be read.
        InputError: A dim does not exist, or no size is possible for it.
    """
    with _Files() as files:
        return files.without_folder(_INSPECT(options, model=files.path(model)))


@_MEASURE.describes
def measure(model: Model, **options: Any) -> Profile:
    """The profile of a model that is measured now, as `feasibility measure` does.

    Raises:
        FeasibilityError: The model cannot be read, loaded or run, or this machine cannot measure.
    """
    with _Files() as files:
        return files.without_folder(_MEASURE(options, model=files.path(model)))


@_CHECK.describes
def check(models: Model | Profile | Iterable[Model | Profile], **options: Any) -> Assessment:
    """Verdicts per device and a recommendation per model, as `feasibility check` gives them.

    A model may also be a profile, or the path of a saved profile or assessment.

    Raises:
        FeasibilityError: The one model cannot be assessed. Of several models, those that fail
            are in `errors` of the assessment.
    """
    is_one = isinstance(models, (str, os.PathLike, Profile)) or _is_in_memory(models)
    given = [models] if is_one else list(cast("Iterable[Model | Profile]", models))
    watch = Watch() if is_one else Watch(failed=known_error)
    with _Files() as files:
        asked = files.paths_and_profiles(cast("list[Model | Profile]", given))
        return files.without_folder(_CHECK(options, models=asked, watch=watch))


@_FIT.describes
def fit(model: Model, **options: Any) -> Fit:
    """The smallest change with which a model meets its targets, as `feasibility fit` finds it.

    `chosen` is None if no change is enough.

    Raises:
        FeasibilityError: The model cannot be read, loaded or run, or no target is given.
    """
    with _Files() as files:
        answer, was_interrupted = _FIT(options, model=files.path(model))
        if was_interrupted:
            raise KeyboardInterrupt
        return files.without_folder(answer)


@_COMPARE.describes
def compare(*subjects: Model | Profile, **options: Any) -> Comparison:
    """Models, profiles and folders side by side, as `feasibility compare` shows them.

    The first one is the reference. With `engines` or `changes`: one model.

    Raises:
        FeasibilityError: Something cannot be read or measured, or is not comparable.
    """
    with _Files() as files:
        found = files.paths_and_profiles(subjects)
        return files.without_folder(_COMPARE(options, subjects=found))


def load_profile(path: str | os.PathLike[str], model: Model | None = None) -> Profile:
    """The profile in a file of this tool or of another program.

    Args:
        path: The file, as `measure --import` takes it.
        model: The model that was measured, for its facts; only for files of other programs.

    Raises:
        DocumentError: The file cannot be read, or holds no profile or several.
    """
    if model is None:
        return saved_profile(Path(path))
    with _Files() as files:
        return files.without_folder(imported(Path(path), files.path(model)))


def _is_in_memory(model: object) -> bool:
    return hasattr(model, "SerializeToString")


class _Files(contextlib.AbstractContextManager["_Files"]):
    """Paths of models; those in memory are written into a folder that is removed at the end."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._folder: Path | None = None
        self._count = 0

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def path(self, model: Model) -> Path:
        """The path of a model."""
        if isinstance(model, (str, os.PathLike)):
            return Path(model)
        if not _is_in_memory(model):
            raise TypeError(f"a model is a path or an onnx.ModelProto, not {type(model).__name__}")
        if self._folder is None:
            folder = tempfile.TemporaryDirectory(prefix="feasibility-api-")
            self._folder = Path(self._stack.enter_context(folder))
        # Two models can have the same name, so each file is in its own folder.
        self._count += 1
        name = _NOT_IN_A_NAME.sub("_", model.graph.name).strip("._") or "model"
        path = self._folder / str(self._count) / f"{name[:80]}.onnx"
        path.parent.mkdir()
        from google.protobuf.message import EncodeError  # type: ignore[import-untyped]

        try:
            path.write_bytes(model.SerializeToString())
        except (EncodeError, ValueError) as error:
            raise ModelError(
                f"Cannot use the model {name!r} in memory",
                "a model of more than 2 GiB cannot be written as one file",
                "save it with external data, and give its path",
            ) from error
        return path

    def paths_and_profiles(self, models: Sequence[Model | Profile]) -> list[Path | Profile]:
        """The path of each model; profiles are unchanged."""
        return [each if isinstance(each, Profile) else self.path(each) for each in models]

    def without_folder(self, record: RecordT) -> RecordT:
        """The record with the names of models in memory in place of their temporary paths."""
        if self._folder is None:
            return record
        data = msgspec.json.encode(record)
        for number in range(1, self._count + 1):
            prefix = msgspec.json.encode(f"{self._folder / str(number)}{os.sep}").strip(b'"')
            data = data.replace(prefix, b"")
        return msgspec.json.decode(data, type=prepared(type(record)))
