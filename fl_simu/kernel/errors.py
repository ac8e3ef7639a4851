"""What a user did wrong, in one line."""

from typing import Any

# Characters of a value in a message.
LONGEST = 60


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
        super().__init__(f"{field} = {shown(value)} is not allowed: {allowed}")
        self.field = field
        self.value = value
        self.allowed = allowed


def require(condition: bool, field: str, value: Any, allowed: str) -> None:
    """Raise BadField unless the condition holds. Comparisons with NaN are false, so NaN never passes."""
    if not condition:
        raise BadField(field, value, allowed)


def shown(value: Any) -> str:
    """A value as a message shows it: its repr, shortened.

    >>> shown("x" * 1000)
    "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx ... xxxxxxxxxxxxxxx'"
    >>> shown(-(10**5000))
    'a negative number of over 4,000 digits'
    """
    # Python writes out no longer number since 3.7.14, and takes long for it before.
    if isinstance(value, int) and value.bit_length() > 13_300:
        return "a {}number of over 4,000 digits".format("negative " if value < 0 else "")
    if isinstance(value, float) and value != value:
        return "nan"
    try:
        return brief(repr(value))
    except (RecursionError, ValueError):  # nested too deep, or such a number inside
        return f"a {type(value).__name__}, too long or too deep to show"


def brief(text: str) -> str:
    """A text shortened to 60 characters, its middle left out."""
    return text if len(text) <= LONGEST else text[: LONGEST - 21] + " ... " + text[-16:]
