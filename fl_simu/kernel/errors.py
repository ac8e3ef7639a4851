"""What a user did wrong, in one line."""

from typing import Any


class UserError(ValueError):
    """A mistake that the user can mend: the command line prints it as one line and exits with status 2."""


class BadField(UserError):
    """A field of a part or of the config with a value that is not allowed.

    Args:
        field: name of the field, as written in the config.
        value: what was given.
        allowed: what is allowed, as a phrase ("a number above 0").
    """

    def __init__(self, field: str, value: Any, allowed: str) -> None:
        super().__init__(f"{field} = {value!r} is not allowed: {allowed}")
        self.field = field
        self.value = value
        self.allowed = allowed


def require(condition: bool, field: str, value: Any, allowed: str) -> None:
    """Raise BadField unless the condition holds. Comparisons with NaN are false, so NaN never passes."""
    if not condition:
        raise BadField(field, value, allowed)
