"""The error tree: every error says what was given, what is allowed and what to do, and carries the exit code of its kind."""

from __future__ import annotations


class MieError(Exception):
    """Anything the engine raises on purpose. `exit_code` is what `mie` ends with."""

    exit_code = 5


class UsageError(MieError, ValueError):
    """The call itself is wrong: an unknown action unit, a negative count, a bad option."""

    exit_code = 2


class ShapeError(UsageError):
    """An array has the wrong shape or dtype."""


class RangeError(UsageError):
    """A number lies outside its allowed range."""


class InputError(MieError, ValueError):
    """A file or its content is refused: corrupt, too large, no face, not finite."""

    exit_code = 3


class PlanError(InputError):
    """A plan cannot be used: another version, another hash, unreadable."""


class EnvironmentProblem(MieError, RuntimeError):
    """The machine cannot do what was asked: unwritable or full disk, missing backend or package."""

    exit_code = 4


class BackendError(EnvironmentProblem):
    """An explicitly chosen backend or device cannot run here."""
