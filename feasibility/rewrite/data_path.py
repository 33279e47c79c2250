"""Where are the weights of a model that this room writes?"""

from __future__ import annotations

from pathlib import Path


def data_path(model: Path) -> Path:
    """The file with the weights, beside the model."""
    return model.with_name(f"{model.name}.data")
