"""What is compared? Models, folders that `fit` wrote, and saved profiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from feasibility.deploy.place_files import OPTIONS_NAME
from feasibility.errors import DocumentError, UsageError
from feasibility.json_documents import read_document
from feasibility.records.comparison import SubjectKind
from feasibility.records.profile import Profile
from feasibility.records.session_options import SessionOptions
from feasibility.records.workload import STEADY_ENVIRONMENT, RuntimeSettings
from feasibility.text import safe_text

LABELS: Final = "ABCDEF"
SUBJECT_COUNT_MAX: Final = len(LABELS)
_DEPLOYED: Final = "deployed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One model to measure, or the profile of one that was measured before.

    Attributes:
        path: Path as the user gave it.
        model: File to measure; None for a profile.
        threads: Number of threads that a folder states.
    """

    path: Path
    kind: SubjectKind
    model: Path | None = None
    profile: Profile | None = None
    settings: RuntimeSettings = field(default_factory=RuntimeSettings)
    recipe: str = "as-is"
    threads: int | None = None


def model_subject(path: Path) -> Subject:
    """A model file, to be measured with default settings."""
    return Subject(path=path, kind="model", model=path)


def profile_subject(path: Path, profile: Profile) -> Subject:
    """A saved profile."""
    return Subject(path=path, kind="profile", profile=profile)


def folder_subject(folder: Path) -> Subject:
    """The model in a folder that `fit` wrote, to be measured with exactly its settings.

    Raises:
        DocumentError: The folder has no session options, or they cannot be followed.
    """
    file = folder / OPTIONS_NAME
    what = f"Cannot compare folder {safe_text(str(folder))}"
    if not file.is_file():
        raise DocumentError(
            what,
            f"it has no {OPTIONS_NAME}, so it is not a folder that `feasibility fit -o` wrote",
            "give the path of the model itself",
        )
    options = read_document(file, SessionOptions)
    if Path(options.model).name != options.model or options.model in ("", ".."):
        raise DocumentError(
            what,
            f"its {OPTIONS_NAME} names a model outside this folder: {safe_text(options.model)!r}",
            "write the folder again with `feasibility fit -o`",
        )
    # A folder from elsewhere must not choose, for example, a library that is loaded.
    others = options.settings.environment.keys() - STEADY_ENVIRONMENT.keys()
    if others:
        raise DocumentError(
            what,
            f"its {OPTIONS_NAME} sets the variable {safe_text(min(others))}, "
            f"but only {' and '.join(STEADY_ENVIRONMENT)} may be set",
            "write the folder again with `feasibility fit -o`",
        )
    return Subject(
        path=folder,
        kind="folder",
        model=folder / options.model,
        settings=options.settings,
        recipe=_DEPLOYED,
        threads=options.threads,
    )


def require_several(subjects: Sequence[object]) -> None:
    """Refuses one subject, which has nothing to be compared with, and too many for a report.

    Raises:
        UsageError: There are fewer than two, or more than six.
    """
    if len(subjects) < 2:
        raise UsageError(
            "Cannot compare",
            "only one model or profile is given" if subjects else "no model or profile is given",
            "give the reference first, then the others: feasibility compare A B",
        )
    if len(subjects) > SUBJECT_COUNT_MAX:
        raise UsageError(
            "Cannot compare",
            f"{len(subjects)} models or profiles are given; the highest number is "
            f"{SUBJECT_COUNT_MAX}",
            "compare fewer of them",
        )


def common_threads(subjects: Sequence[Subject], wanted: int | None) -> int:
    """Threads for all models that are measured: as wanted, or as the folders state.

    Raises:
        UsageError: Nothing is wanted, and the folders state different numbers.
    """
    stated = {each.threads for each in subjects if each.threads is not None}
    if wanted is not None:
        return wanted
    if len(stated) > 1:
        raise UsageError(
            "Cannot compare the folders",
            f"their {OPTIONS_NAME} have different numbers of threads: "
            f"{', '.join(map(str, sorted(stated)))}",
            "set one number for all folders, for example --threads 1",
        )
    return stated.pop() if stated else 1
