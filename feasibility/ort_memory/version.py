"""Which version of ONNX Runtime is modelled here, and is another one installed?"""

from __future__ import annotations

from importlib import metadata
from typing import Final

from feasibility.records.shared_fields import Notice

# The rules and sizes of this package were read from this version and checked against it.
MODELLED_VERSION: Final = "1.31"
_PACKAGES: Final = ("onnxruntime", "onnxruntime-gpu")


def other_version_installed() -> tuple[Notice, ...]:
    """A warning if the installed runtime is another version than the modelled one."""
    installed = _installed_version()
    if installed is None or f"{installed}.".startswith(f"{MODELLED_VERSION}."):
        return ()
    return (
        Notice(
            code="modelled-for-another-version",
            message=f"modelled memory describes ONNX Runtime {MODELLED_VERSION}, "
            f"but {installed} is installed",
            hint="measured figures are not affected; modelled ones may be less exact",
        ),
    )


def _installed_version() -> str | None:
    for name in _PACKAGES:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None
