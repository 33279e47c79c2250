"""The errors that reach a user, each with what happened, why, and what to do.

They are raised once, where the cause is known, and printed once, in
`feasibility.commands.app`. Nothing below the commands exits the process.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_REQUIREMENT_NOT_MET = 1
EXIT_CANNOT_DO = 2
EXIT_INTERRUPTED = 130


class FeasibilityError(Exception):
    """A job that could not be done, in three parts a person can act on.

    Args:
        what: The job that failed and its object, for example "Cannot read model 'a.onnx'".
        why: The cause, in one sentence.
        hint: What to do about it; empty where nothing sensible can be advised.
    """

    exit_code = EXIT_CANNOT_DO

    def __init__(self, what: str, why: str, hint: str = "") -> None:
        super().__init__(what, why, hint)
        self.what = what
        self.why = why
        self.hint = hint

    @property
    def message(self) -> str:
        """What and why as one line, without the hint."""
        return f"{self.what}: {self.why}"

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class UsageError(FeasibilityError):
    """An option or argument that cannot be meant as it was written."""


class ModelError(FeasibilityError):
    """A model file that cannot be read, or that the runtime refuses to load or run."""


class InputError(FeasibilityError):
    """Input data that does not match the model, or dims for which no value works."""


class DeviceError(FeasibilityError):
    """A device that is not in the catalogue, or a device file that is not valid."""


class ConfigError(FeasibilityError):
    """A budget file that is missing or not valid, or a model that it does not speak of clearly."""


class RevisionError(FeasibilityError):
    """A git revision that is not here, or whose models cannot be had."""


class DocumentError(FeasibilityError):
    """A saved document (profile, assessment) that cannot be read or written."""


class MeasurementError(FeasibilityError):
    """A child process that ended without the reply it owed."""


class HostError(FeasibilityError):
    """Something this machine does not offer."""
