"""What does a model file say? Every reading of a model file starts here."""

from __future__ import annotations

import hashlib
import importlib
import itertools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar, cast

from msgspec.structs import replace

from feasibility.errors import ModelError
from feasibility.facts.answer_request import answer
from feasibility.facts.reader_reply import READ_TIMEOUT_S
from feasibility.model_file.open_model import ModelFile, open_model
from feasibility.records.facts import ModelFacts
from feasibility.records.model_reading import ModelReading, ReadRequest
from feasibility.records.workload import InputPlan
from feasibility.system_differences import CAN_FORK
from feasibility.text import safe_text
from feasibility.units import MIB

# Reading a gigabyte for its digest takes longer than everything else together.
HASHED_BYTES: Final = 64 * MIB
_LEAST_TIMEOUT_S: Final = 10.0
_READINGS: Final = itertools.count()
ResultT = TypeVar("ResultT")


def inspect_model(
    path: Path, *, dims: Mapping[str, int] | None = None, hash_file: bool | None = None
) -> ModelFacts:
    """Facts of a model file, its weights not loaded.

    Dims that are not in `dims` are assumed. `hash_file` says whether to read the whole file for
    its digest; None does so for files up to `HASHED_BYTES`.

    Raises:
        ModelError: The file or its external data cannot be read, or is not a model.
        InputError: A dim was given that the model does not have.
    """
    return read_model(path, dims=dims, hash_file=hash_file).facts


def read_model(
    path: Path,
    *,
    dims: Mapping[str, int] | None = None,
    with_plans: bool = False,
    input_files: Mapping[str, Path] | None = None,
    archive: Path | None = None,
    hash_file: bool | None = None,
    timeout_s: float | None = None,
    all_changes: bool = False,
) -> ModelReading:
    """What a model file says, its weights not loaded.

    `all_changes` models memory after every change of how the model is stored and loaded. Reading
    is ended after `timeout_s` seconds, at least 10; None for 60. The other arguments are those of
    `inspect_model` and `choose_sizes`.
    """

    def hash_if_wanted(file: ModelFile) -> None:
        if file.size_bytes <= HASHED_BYTES if hash_file is None else hash_file:
            with open(file.descriptor, "rb", closefd=False) as stream:
                digests.append(hashlib.file_digest(stream, "sha256").hexdigest())

    digests: list[str] = []
    request = ReadRequest(
        path=os.fsencode(path),
        dims=dict(dims or {}),
        with_plans=with_plans,
        input_files={name: str(file) for name, file in (input_files or {}).items()},
        archive=None if archive is None else str(archive),
        all_changes=all_changes,
        timeout_s=READ_TIMEOUT_S if timeout_s is None else max(timeout_s, _LEAST_TIMEOUT_S),
    )
    reading = _read(path, request, ModelReading, hash_if_wanted)
    # A path may hold bytes that are not text and cannot be sent.
    facts = replace(
        reading.facts, name=path.name, path=str(path), sha256=digests[0] if digests else None
    )
    return replace(reading, facts=facts)


def prepare_for_several() -> None:
    """Imports in this process what each fork would import again; costs nothing for one model.

    Call it before threads read models: a process that is forked while another thread imports a
    module may wait for that module forever.
    """
    if CAN_FORK:
        importlib.import_module("feasibility.facts.model_facts")


def facts_for(plan: InputPlan, reading: ModelReading) -> ModelFacts:
    """Facts with the sizes of a plan that turned out to run."""
    facts = reading.facts
    if facts.format == "ort" or plan.dims == facts.dims:
        return facts
    path = Path(facts.path)
    again = inspect_model(path, dims=plan.dims, hash_file=facts.sha256 is not None)
    if again.sha256 != facts.sha256:
        raise ModelError(
            f"Cannot read model '{safe_text(facts.path)}' again",
            "it was changed or replaced meanwhile",
            "run the command again when nothing writes the file",
        )
    return again


def external_locations(path: Path, *, must_exist: bool = True) -> tuple[str, ...]:
    """Names of the external data files that a model refers to, sorted.

    `must_exist` refuses data that is missing or too short.
    """
    request = ReadRequest(
        path=os.fsencode(path),
        only_locations=True,
        must_exist=must_exist,
        timeout_s=READ_TIMEOUT_S,
    )
    return _read(path, request, tuple[str, ...])


def _read(
    path: Path,
    request: ReadRequest,
    kind: type[ResultT],
    meanwhile: Callable[[ModelFile], None] = lambda _: None,
) -> ResultT:
    what = f"Cannot read model '{safe_text(str(path))}'"
    with open_model(path) as file:
        if not CAN_FORK:
            from feasibility.facts.spawned_reader import in_spawned_reader

            return in_spawned_reader(request, kind, what, meanwhile=lambda: meanwhile(file))
        from feasibility.facts.reader_process import in_reader_process

        if next(_READINGS):
            prepare_for_several()
        return in_reader_process(
            lambda: cast("ResultT", answer(request, file)),
            kind,
            what,
            timeout_s=request.timeout_s,
            meanwhile=lambda: meanwhile(file),
        )
