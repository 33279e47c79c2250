"""Which changed forms of one model does `compare --changes` measure, and how are they made?"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from msgspec.structs import replace

from feasibility.compare.subjects import Subject, require_several
from feasibility.errors import UsageError
from feasibility.fit.changes import AS_IS, CHANGES, JOIN, recipe_of, settings_of
from feasibility.fit.files import file_steps
from feasibility.measure.inputs_that_run import read_to_run
from feasibility.measure.measure_options import MeasureOptions
from feasibility.records.changes import INCLUDES, PRECISIONS, ComparedChange, FileChange
from feasibility.records.workload import InputPlan
from feasibility.rewrite.rewrite_model import rewrite_model
from feasibility.runners.host import this_isa
from feasibility.temporary_folders import scratch_folder
from feasibility.text import safe_text

_KNOWN: Final[tuple[ComparedChange, ...]] = (*CHANGES, "transformer-fused", "optimizer-off")

ComparedChanges: TypeAlias = tuple[ComparedChange, ...]


@contextlib.contextmanager
def changed_subjects(
    path: Path, texts: Sequence[str], options: MeasureOptions
) -> Iterator[list[Subject]]:
    """One subject per set of changes, the reference first; their files exist until the block ends.

    Args:
        path: The model.
        texts: `as-is`, or names of changes with `+` between them.
        options: Inputs of the model, for changes that need a run.

    Raises:
        UsageError: A change has no such name, or fewer than two sets are given.
        FeasibilityError: The model cannot be read, or a change cannot be applied.
    """
    wanted = [changes_named(text) for text in texts]
    require_several(wanted)
    with scratch_folder() as folder:
        plan = read_to_run(path, options).plans[0]
        yield [
            Subject(
                path=path,
                kind="model",
                model=changed_file(path, changes, plan, folder / str(number)),
                settings=replace(
                    settings_of(changes),
                    **({"optimization_level": "disabled"} if "optimizer-off" in changes else {}),
                ),
                recipe=recipe_of(changes),
            )
            for number, changes in enumerate(wanted)
        ]


def changes_named(text: str) -> ComparedChanges:
    """The changes of a text such as `as-is` or `transformer-fused+int8-dynamic`.

    Raises:
        UsageError: There is no change of that name.
    """
    names = [name.strip() for name in text.split(JOIN)]
    if names == [AS_IS]:
        return ()
    if AS_IS in names:
        raise UsageError(
            f"Cannot use the changes {safe_text(text, 60)!r}",
            f"{AS_IS} is the model without changes",
            f"name it alone: --changes {AS_IS},fp16",
        )
    for name in names:
        if name not in _KNOWN:
            near = difflib.get_close_matches(name.lower(), (AS_IS, *_KNOWN), n=1)
            raise UsageError(
                f"Unknown change {safe_text(name, 60)!r}",
                f"the changes are {AS_IS}, {', '.join(_KNOWN)}",
                f"did you mean {near[0]}?" if near else "docs/compare.md explains them",
            )
    if sum(name in PRECISIONS for name in names) > 1:
        raise UsageError(
            f"Cannot use the changes {safe_text(text, 60)!r}",
            "two of them change the arithmetic",
            "compare them one by one: --changes as-is,fp16,int8-dynamic",
        )
    included = {each for code, others in INCLUDES.items() if code in names for each in others}
    return tuple(code for code in _KNOWN if code in names or code in included)


def changed_file(path: Path, changes: ComparedChanges, plan: InputPlan, folder: Path) -> Path:
    """The model with the changes of its file, written into a folder; the model itself if none.

    Raises:
        FeasibilityError: A change cannot be applied.
    """
    fused: tuple[FileChange, ...] = ("transformer-fused",) if "transformer-fused" in changes else ()
    source = path
    # Tools that quantize do not know the types of fused operators, so fusions come last.
    for step in (*file_steps(changes), *fused):
        target = folder / step / path.with_suffix(".onnx").name
        rewrite_model(source, target, step, isa=this_isa(), plan=plan)
        source = target
    return source
