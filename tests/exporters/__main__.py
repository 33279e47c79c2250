"""Exports real graphs with PyTorch's exporters, to try the tool on; see README.md.

python tests/exporters OUT [NAME...]
"""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import audio
import onnxruntime
import text
import torch
import vision
from case import Case
from variants import VARIANTS

CASES = (*vision.CASES, *text.CASES, *audio.CASES)


def main(folder: Path, names: tuple[str, ...]) -> int:
    """Number of files that could not be made; each failure is told, the others go on."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    failures = 0
    for case in CASES:
        if names and case.name not in names:
            continue
        for exporter, export in (("torchscript", with_torchscript), ("dynamo", with_dynamo)):
            path = folder / f"{case.name}.{exporter}.onnx"
            failures += attempt(path, lambda e=export, c=case, p=path: e(c, p))
    for source, write, target in VARIANTS:
        if names and source.split(".")[0] not in names:
            continue
        path = folder / target
        failures += attempt(path, lambda w=write, s=folder / source, p=path: w(s, p))
    write_list(folder)
    return failures


def attempt(path: Path, make: Callable[[], None]) -> int:
    try:
        make()
        outcome = try_to_load(path)
    except Exception:  # noqa: BLE001 (whatever an exporter raises concerns one file only)
        outcome = traceback.format_exc(limit=-1)
    sys.stderr.write(f"{path.name}: {outcome or 'ok'}\n")
    return bool(outcome)


def with_torchscript(case: Case, path: Path) -> None:
    module, inputs = made(case)
    torch.onnx.export(
        module,
        tuple(inputs.values()),
        path,
        dynamo=False,
        opset_version=case.opset,
        input_names=list(inputs),
        output_names=list(case.outputs),
        dynamic_axes=case.open_dims or None,
    )


def with_dynamo(case: Case, path: Path) -> None:
    module, inputs = made(case)
    shapes = tuple(
        dict.fromkeys(case.open_dims.get(name, {}), torch.export.Dim.DYNAMIC) for name in inputs
    )
    positional = len(inputs) - sum(name.startswith("past_") for name in inputs)
    if positional < len(inputs):  # a *past parameter takes one tuple
        shapes = (*shapes[:positional], shapes[positional:])
    torch.onnx.export(
        module,
        tuple(inputs.values()),
        path,
        dynamo=True,
        input_names=list(inputs),
        output_names=list(case.outputs),
        dynamic_shapes=shapes if case.open_dims else None,
        verbose=False,
    )


def made(case: Case) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    module, inputs = case.make()
    return module.eval(), inputs


def try_to_load(path: Path) -> str:
    """What the runtime says against the file; empty if it loads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 (the runtime's exceptions share no base class)
        return f"does not load: {error}"
    return ""


def write_list(folder: Path) -> None:
    """A README of what the folder holds, with sizes and inputs."""
    rows = ["| file | MiB | external MiB | inputs |", "|---|---|---|---|"]
    for path in sorted(folder.rglob("*.onnx")):
        beside = path.with_name(f"{path.name}.data")
        external = beside.stat().st_size if beside.exists() else 0
        name = path.relative_to(folder)
        sizes = f"{path.stat().st_size / 2**20:.1f} | {external / 2**20:.1f}"
        rows.append(f"| {name} | {sizes} | {inputs_of(path)} |")
    (folder / "README.md").write_text("\n".join(rows) + "\n", encoding="utf-8")


def inputs_of(path: Path) -> str:
    import onnx

    graph = onnx.load(path, load_external_data=False).graph  # noqa: TID251 (no part of the tool)
    shown = []
    for each in graph.input[:4]:
        dims = [dim.dim_param or str(dim.dim_value) for dim in each.type.tensor_type.shape.dim]
        shown.append(f"{each.name} {'x'.join(dims)}")
    rest = len(graph.input) - len(shown)
    return "; ".join(shown) + (f"; and {rest} more" if rest else "")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), tuple(sys.argv[2:])) > 0)
