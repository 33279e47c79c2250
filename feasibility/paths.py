"""Where the catalogue, the recorded profiles and the caches are."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).parent


def devices_dir() -> Path:
    """Folder that holds one TOML file per device."""
    return _shipped("devices")


def profiles_dir() -> Path:
    """Folder that holds published tables and recorded profiles."""
    return _shipped("profiles")


def cache_dir() -> Path:
    """Folder for files that can be made again; it need not exist yet."""
    return _user_folder("XDG_CACHE_HOME", ".cache")


def data_dir() -> Path:
    """Folder for files that the user owns, such as device files; it need not exist yet."""
    return _user_folder("XDG_DATA_HOME", ".local/share")


def _shipped(name: str) -> Path:
    """The folder inside the wheel, or beside the package in a source checkout."""
    installed = _PACKAGE / "data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def _user_folder(variable: str, default: str) -> Path:
    # The XDG specification tells to ignore a relative path there.
    base = Path(os.environ.get(variable, ""))
    if not base.is_absolute():
        base = Path.home() / default
    return base / "feasibility"
