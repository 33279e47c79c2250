"""Where are profiles from an emulator saved? Measuring them again would take minutes."""

from __future__ import annotations

import contextlib
import hashlib

from feasibility.errors import DocumentError
from feasibility.json_documents import encode, read_document
from feasibility.paths import data_dir
from feasibility.records.profile import Profile
from feasibility.write_atomically import whole_file

_DIGEST_CHARACTERS = 16


def save_emulation(profile: Profile) -> None:
    """Saves a profile; if the disk is full, the next check emulates again."""
    if profile.model.sha256 is None:
        return
    conditions = repr((_conditions(profile), profile.runner))
    digest = hashlib.sha256(conditions.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    path = data_dir() / "profiles" / f"{_prefix(profile)}{digest}.json"
    with contextlib.suppress(OSError), whole_file(path) as file:
        file.write(encode(profile))


def saved_emulations(profile: Profile) -> tuple[Profile, ...]:
    """Saved profiles of the same model, workload and runtime, for all emulated cores."""
    if profile.model.sha256 is None:
        return ()
    found = []
    for path in sorted((data_dir() / "profiles").glob(f"{_prefix(profile)}*.json")):
        with contextlib.suppress(DocumentError):
            kept = read_document(path, Profile)
            if kept.method == "emulated" and _conditions(kept) == _conditions(profile):
                found.append(kept)
    return tuple(found)


def _prefix(profile: Profile) -> str:
    return f"{(profile.model.sha256 or '')[:_DIGEST_CHARACTERS]}-"


def _conditions(profile: Profile) -> tuple[object, ...]:
    """What must be equal for a saved profile to stand for a new measurement."""
    workload = profile.workload
    shapes = tuple((item.name, item.shape) for item in workload.inputs)
    return (
        profile.model.sha256,
        profile.model.external_bytes,
        shapes,
        workload.threads,
        workload.runtime,
        workload.provider,
        workload.recipe,
    )
