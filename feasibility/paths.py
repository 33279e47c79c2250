"""Where are the catalogue, the recorded profiles, the user's files and the caches?"""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).parent


def devices_dir() -> Path:
    """Folder of the shipped device files."""
    return _shipped("devices")


def profiles_dir() -> Path:
    """Folder of the published tables and the recorded profiles."""
    return _shipped("profiles")


def cache_dir() -> Path:
    """Folder for files that can be made again; it need not exist yet."""
    return _user_folder("XDG_CACHE_HOME", ".cache")


def data_dir() -> Path:
    """Folder for files that the user owns, such as device files; it need not exist yet."""
    return _user_folder("XDG_DATA_HOME", ".local/share")


def user_devices_dir() -> Path:
    """Folder of the user's own device files; it need not exist yet."""
    return data_dir() / "devices"


def _shipped(name: str) -> Path:
    """The folder inside the wheel, or beside the package in a source checkout."""
    installed = _PACKAGE / "data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def _user_folder(variable: str, default: str) -> Path:
    # The XDG specification says that a relative path is ignored.
    base = Path(os.environ.get(variable, ""))
    if not base.is_absolute():
        base = Path.home() / default
    return base / "feasibility"
