"""How are several models assessed? If one fails, the others are still assessed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from feasibility import __version__
from feasibility.commands.profiles_of_path import ProfileSource, is_document, profiles_of
from feasibility.commands.progress import Watch
from feasibility.measure.measure_options import no_progress_of

if TYPE_CHECKING:
    from feasibility.decide.requirements import Requirements
    from feasibility.records.assessment import Assessment, ModelAssessment
    from feasibility.records.device import Device
    from feasibility.records.profile import Profile

Item = TypeVar("Item")
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked about each model.

    Args:
        job_count: Models that are read at the same time, if they are not run.
        prove: True to run each model under the memory limit of each device too.
    """

    devices: Sequence[Device]
    requirements: Requirements
    source: ProfileSource
    job_count: int = 1
    prove: bool = False


def assess_models(models: Sequence[Path | Profile], question: Question, watch: Watch) -> Assessment:
    """Assessment of all models, in their order; failures are reported to `watch`.

    Raises:
        Exception: What `watch.failed` raises.
    """
    from msgspec.structs import replace

    from feasibility.commands.prove_on_devices import with_proofs
    from feasibility.decide.recommendation import assess_model
    from feasibility.records.assessment import Assessment, Failure
    from feasibility.render.reports.assessment_texts import with_sentences
    from feasibility.runners.engines import other_engines

    devices, source = question.devices, question.source
    # The bars of models that are read at the same time would overwrite each other.
    progress_of = no_progress_of if source.is_static and len(models) > 1 else watch.progress_of

    def attempt(asked: Path | Profile) -> tuple[ModelAssessment, ...] | Exception:
        try:
            found = tuple(
                with_sentences(assess_model(profile, devices, question.requirements, emulated))
                for profile, emulated in profiles_of(asked, devices, source, progress_of)
            )
            if isinstance(asked, Path) and not (source.is_static or is_document(asked)):
                others = other_engines(found[0].profile.model.format)
                found = tuple(replace(model, other_engines=others) for model in found)
            if question.prove and isinstance(asked, Path):
                found = tuple(
                    with_proofs(asked, model, devices, source.options, watch) for model in found
                )
        except Exception as error:  # noqa: BLE001 (the other models are still assessed)
            return error
        return found

    assessed: list[ModelAssessment] = []
    failures: list[Failure] = []
    outcomes = _in_order(attempt, models, question.job_count if source.is_static else 1)
    for asked, outcome in zip(models, outcomes, strict=True):
        if isinstance(outcome, Exception):
            error = watch.failed(outcome)
            path = str(asked) if isinstance(asked, Path) else asked.model.name
            failures.append(Failure(path=path, message=error.message, hint=error.hint))
            continue
        assessed += outcome
        # The report comes last. A saved profile is assessed at once: its line would only
        # repeat the report.
        if len(models) > 1 and isinstance(asked, Path) and not is_document(asked):
            for model in outcome:
                watch.assessed(model)
    return Assessment(tool_version=__version__, models=tuple(assessed), errors=tuple(failures))


def _in_order(
    function: Callable[[Item], Found], items: Sequence[Item], job_count: int
) -> Iterator[Found]:
    """The results in the order of the items, several computed at the same time.

    Threads are enough: the work is done in reader processes.
    """
    if job_count < 2 or len(items) < 2:
        yield from map(function, items)
        return
    from concurrent.futures import ThreadPoolExecutor

    from feasibility.facts.read_model import prepare_for_several

    prepare_for_several()
    pool = ThreadPoolExecutor(min(job_count, len(items)))
    try:
        yield from pool.map(function, items)
    finally:
        # After an interrupt, models that were not started are left out.
        pool.shutdown(wait=False, cancel_futures=True)
