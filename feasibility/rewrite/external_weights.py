"""How are weights moved out of a model file without holding them? The kernel copies them.

ONNX Runtime maps weights that lie beside a model, so they are pages of a file instead of memory
that must stay, and while loading there is no second copy of them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from feasibility.errors import ChangeError, ModelError
from feasibility.facts.reader_process import in_reader_process
from feasibility.model_file.open_model import FileIdentity, ModelFile, open_model, open_regular
from feasibility.rewrite.change_process import data_path
from feasibility.rewrite.weights_plan import DataFile, WeightsPlan
from feasibility.text import safe_text
from feasibility.write_atomically import whole_file

# One call copies this much, so that Ctrl-C ends it soon.
_CHUNK_BYTES: Final = 32 * 1024 * 1024


def move_weights(source: Path, target: Path) -> None:
    """Writes the model with all its weights in one file beside it.

    After an error nothing is left; files that were there before are kept.

    Raises:
        ModelError: The source cannot be read.
        ChangeError: It has no weights that can be moved, or the target cannot be written.
    """
    with open_model(source) as file:
        if file.format == "ort":
            raise ChangeError(
                f"Cannot move the weights of '{safe_text(str(source))}'",
                "it is in ORT format, which keeps its weights inside",
                "give the ONNX model that it was made from",
            )
        plan = _plan(file, data_path(target).name)
        if not plan.moved:
            raise ChangeError(
                f"Cannot move the weights of '{safe_text(str(source))}'",
                "it has no weights of 1 KiB or more, or only such that must stay inside",
                "try another change",
            )
        _write(file, plan, target)


def _plan(file: ModelFile, location: str) -> WeightsPlan:
    def read() -> WeightsPlan:
        from feasibility.rewrite.forked.plan_weights import plan_weights

        return plan_weights(file, location)

    what = f"Cannot read model '{safe_text(str(file.path))}'"
    return in_reader_process(read, WeightsPlan, what)


def _write(file: ModelFile, plan: WeightsPlan, target: Path) -> None:
    what = f"Cannot write '{safe_text(str(target))}'"
    try:
        with contextlib.ExitStack() as stack:
            others = [stack.enter_context(_reopened(each)) for each in plan.files]
            # The model is put in place last, when its data is there.
            model = stack.enter_context(whole_file(target))
            data = stack.enter_context(whole_file(data_path(target)))
            for moved in plan.moved:
                os.lseek(data.fileno(), moved.offset, os.SEEK_SET)
                origin = file.descriptor if moved.file is None else others[moved.file]
                _copy(origin, moved.start, moved.end, data.fileno(), what)
            _write_model(file.descriptor, plan.parts, model.fileno(), what)
    except OSError as error:
        raise ChangeError(
            what,
            f"the system reports: {error.strerror or type(error).__name__}",
            "free space on the disk, or choose another folder",
        ) from error


def _write_model(
    source: int, parts: Sequence[bytes | tuple[int, int]], target: int, what: str
) -> None:
    for part in parts:
        if isinstance(part, bytes):
            view = memoryview(part)
            while view:
                view = view[os.write(target, view) :]
        else:
            _copy(source, *part, target, what)


def _copy(source: int, start: int, end: int, target: int, what: str) -> None:
    """Copies a part of a file to the current position of another one, inside the kernel."""
    while start < end:
        copied = os.sendfile(target, source, start, min(end - start, _CHUNK_BYTES))
        if not copied:
            raise ModelError(
                what,
                f"the model or its data became shorter: byte {start:,} is missing",
                "wait until the files are complete, then try again",
            )
        start += copied


@contextlib.contextmanager
def _reopened(data: DataFile) -> Iterator[int]:
    """A descriptor of an external data file that is still the one that was checked."""
    path = Path(os.fsdecode(data.path))
    what = f"Cannot read external data '{safe_text(str(path))}'"
    descriptor = open_regular(path, what)
    try:
        if FileIdentity.of(os.fstat(descriptor)) != data.identity:
            raise ModelError(
                what,
                "it was changed or replaced meanwhile",
                "run the command again when nothing writes the file",
            )
        yield descriptor
    finally:
        os.close(descriptor)
