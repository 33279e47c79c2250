"""What `check` and `demo` share: from paths to an assessment, one model after the other."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from feasibility import __version__
from feasibility.commands.measuring import profiles_for
from feasibility.commands.proving import with_proofs
from feasibility.commands.report_error import bug_error, report_error
from feasibility.errors import FeasibilityError
from feasibility.text import safe_text

if TYPE_CHECKING:
    from feasibility.decide.requirements import Requirements
    from feasibility.measure.measure_options import MeasureOptions
    from feasibility.records.assessment import Assessment, Failure, ModelAssessment, Verdict
    from feasibility.records.device import Device

# Best first; `undecided` meets no requirement.
RANKED_VERDICTS: Final[tuple[Verdict, ...]] = ("fits", "tight", "fits-with-changes")


def assess_paths(
    paths: Iterable[Path],
    devices: Sequence[Device],
    *,
    options: MeasureOptions,
    requirements: Requirements,
    on: str | None = None,
    prove: bool = False,
    quiet: bool,
    on_model: Callable[[ModelAssessment], None],
) -> Assessment:
    """Assessment of all models; one that fails is reported on stderr and the others go on.

    Args:
        paths: Model files and saved profiles.
        devices: Where the models may run.
        options: How to measure.
        requirements: What the models must keep.
        on: Where to measure, as `--on` takes it.
        prove: Whether to run the models under what each device leaves them.
        quiet: True to show no progress.
        on_model: Called with each model's assessment as soon as there is one.
    """
    from feasibility.decide.recommendation import assess_model
    from feasibility.records.assessment import Assessment

    models: list[ModelAssessment] = []
    failures: list[Failure] = []
    for path in paths:
        try:
            profile, emulated = profiles_for(path, devices, options, on, quiet=quiet)
            model = assess_model(profile, devices, requirements, emulated)
            if prove:
                model = with_proofs(path, model, devices, options, quiet=quiet)
        except FeasibilityError as error:
            failures.append(_failure(path, error))
            continue
        except Exception as error:  # noqa: BLE001 (one model must not take the others with it)
            failures.append(_failure(path, bug_error(error)))
            continue
        models.append(model)
        on_model(model)
    return Assessment(tool_version=__version__, models=tuple(models), errors=tuple(failures))


def unmet(assessment: Assessment, required: Verdict) -> tuple[str, ...]:
    """Models and devices with a worse verdict than this one, or whose limit killed the model."""
    accepted = RANKED_VERDICTS[: RANKED_VERDICTS.index(required) + 1]
    missed = []
    for model in assessment.models:
        for item in model.devices:
            is_killed = item.proof is not None and item.proof.run.outcome == "killed"
            if is_killed or item.verdict not in accepted:
                how = "killed by its limit" if is_killed else item.verdict.replace("-", " ")
                missed.append(f"{safe_text(model.profile.model.name)} on {item.device}: {how}")
    return tuple(missed)


def _failure(path: Path, error: FeasibilityError) -> Failure:
    from feasibility.records.assessment import Failure

    sys.stdout.flush()
    report_error(error)
    return Failure(path=str(path), message=error.message, hint=error.hint)
