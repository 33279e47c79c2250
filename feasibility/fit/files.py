"""Which files does a set of changes need? Made once, each from the file with one change less."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from feasibility.errors import HostError
from feasibility.fit.candidate_runs import Variant
from feasibility.fit.changes import (
    ChangeSet,
    file_changes,
    graph_changes,
    precision_of,
    recipe_of,
)
from feasibility.records.changes import INCLUDES, ChangeCode
from feasibility.records.model_reading import ModelReading
from feasibility.units import format_bytes

# A changed copy, its predecessor, and room for other programs.
_COPIES: Final = 2.5


@dataclass(slots=True)
class Files:
    """Changed copies of one model in a scratch folder.

    Attributes:
        rewrite: Writes a changed copy: source, target, change, nodes that stay in float.
        read: Reads a copy whose graph changed.
        is_portable: True if the target has another instruction set than this machine.
        float_nodes: Nodes that stay in float where the arithmetic changes.
    """

    original: ModelReading
    folder: Path
    rewrite: Callable[[Path, Path, ChangeCode, tuple[str, ...]], None]
    read: Callable[[Path], ModelReading]
    is_portable: bool
    float_nodes: tuple[str, ...] = ()
    _made: dict[ChangeSet, Variant] = field(default_factory=dict)

    def variant(self, changes: ChangeSet) -> Variant:
        """The files for a set of changes, made now if they are missing.

        Raises:
            FeasibilityError: A change cannot be applied, or the disk is full.
        """
        wanted = file_steps(changes)
        if not wanted:
            return Variant(self.original.path, self.original)
        if wanted not in self._made:
            self._made[wanted] = self._make(wanted)
        return self._made[wanted]

    def leave_in_float(self, nodes: tuple[str, ...]) -> None:
        """From now on, make files with other arithmetic with these nodes in float."""
        if nodes != self.float_nodes:
            self.float_nodes = nodes
            for changes in [*self._made]:
                if precision_of(changes) is not None:
                    shutil.rmtree(self._made.pop(changes).path.parent, ignore_errors=True)

    def keep(self, *wanted: ChangeSet) -> None:
        """Remove all files except those for these sets, and files with another graph alone."""
        kept = {file_steps(changes) for changes in wanted}
        for changes in [*self._made]:
            if changes not in kept and (len(changes) > 1 or not graph_changes(changes)):
                shutil.rmtree(self._made.pop(changes).path.parent, ignore_errors=True)

    def _make(self, wanted: ChangeSet) -> Variant:
        before = self.variant(wanted[:-1])
        self._require_space(before)
        folder = self.folder / recipe_of(wanted)
        folder.mkdir()
        # The file name is part of the references to external data, so it is final.
        path = folder / self.original.path.with_suffix(".onnx").name
        try:
            self.rewrite(before.path, path, wanted[-1], self.float_nodes)
            reading = before.reading
            if graph_changes(wanted[-1:]):
                reading = self.read(path)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return replace(Variant(path, reading), changes=wanted, is_portable=self.is_portable)

    def _require_space(self, before: Variant) -> None:
        facts = before.facts
        needed = round((facts.file_bytes + facts.external_bytes) * _COPIES)
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise HostError(
                "Cannot write changed copies of the model",
                f"they need {format_bytes(needed)} in {self.folder.parent}, and "
                f"{format_bytes(free)} are free",
                "free space on this disk, or set TMPDIR to a folder on another one",
            )


def file_steps(changes: Iterable[str]) -> ChangeSet:
    """The changes that write a file, without those that a later or larger one includes."""
    wanted = file_changes(changes)
    included = {each for code in wanted for each in INCLUDES.get(code, ())}
    return tuple(code for code in wanted if code not in included)
