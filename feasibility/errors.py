"""Which errors reach a user? Each says what happened, why, and what to do.

They are raised where the cause is known and printed by `commands.report_error` only. No
module below `commands` prints an error or exits the process.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_REQUIREMENT_NOT_MET = 1
EXIT_CANNOT_DO = 2
EXIT_INTERRUPTED = 130


class FeasibilityError(Exception):
    """A job that could not be done.

    Args:
        what: The job that failed and its object, for example "Cannot read model 'a.onnx'".
        why: The cause, in one sentence.
        hint: What to do about it; may be empty.
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
    """An option or argument that is not valid."""


class ModelError(FeasibilityError):
    """A model file that cannot be read, or that the runtime cannot load or run."""


class ChangeError(FeasibilityError):
    """A change that does not apply to a model, or a changed model that cannot be written."""


class UselessChangeError(FeasibilityError):
    """A change that would leave a model as it is."""


class InputError(FeasibilityError):
    """Input data that does not match the model, or dims for which no value works."""


class DeviceError(FeasibilityError):
    """A device that is not in the catalogue, or a device file that is not valid."""


class ConfigError(FeasibilityError):
    """A budget file that is missing or not valid, or a model with no or several budgets."""


class RevisionError(FeasibilityError):
    """A git revision that does not exist here, or whose models cannot be checked out."""


class DocumentError(FeasibilityError):
    """A saved document (profile, assessment) that cannot be read or written."""


class MeasurementError(FeasibilityError):
    """A child process that ended without a reply."""


class HostError(FeasibilityError):
    """A feature that this machine does not have."""
