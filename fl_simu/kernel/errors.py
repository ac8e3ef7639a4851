"""User errors, each with a one-line message."""

import difflib
from pathlib import PurePath
from typing import Any, Iterable

# The most characters of a value in a message.
LONGEST = 60


class UserError(ValueError):
    """A mistake that the user can fix. The command line prints it as one line and exits with status 2."""


class BadField(UserError):
    """A field of a part or of the config with a value that is not allowed.

    Args:
        field: name of the field, as written in the config.
        value: the value that was given.
        allowed: the allowed values, as a phrase ("a number above 0").
    """

    def __init__(self, field: str, value: Any, allowed: str) -> None:
        super().__init__(f"{field} = {shown(value)} is not allowed: {allowed}")
        self.field = field
        self.value = value
        self.allowed = allowed


class NetworkNotAllowed(UserError):
    """A script wants to connect to other machines, or to accept their connections, without permission."""


def require(condition: bool, field: str, value: Any, allowed: str) -> None:
    """Raise BadField unless the condition holds. Comparisons with NaN are false, so NaN never passes."""
    if not condition:
        raise BadField(field, value, allowed)


def shown(value: Any) -> str:
    """A value as shown in a message: its repr, shortened.

    >>> shown("x" * 1000)
    "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx ... xxxxxxxxxxxxxxx'"
    >>> shown(-(10**5000))
    'a negative number of over 4,000 digits'
    """
    # Since 3.7.14 Python refuses to print longer numbers; older versions take long to print them.
    if isinstance(value, int) and value.bit_length() > 13_300:
        return "a {}number of over 4,000 digits".format("negative " if value < 0 else "")
    if isinstance(value, PurePath):  # a shortened path is of no use
        return brief(repr(str(value)), 255)
    try:
        return brief(repr(value))
    except (RecursionError, ValueError):  # nested too deep, or contains such a number
        return f"a {type(value).__name__}, too long or too deep to show"


def brief(text: str, longest: int = LONGEST) -> str:
    """The text, with its middle left out if it is longer than `longest` characters."""
    return text if len(text) <= longest else text[: longest - 21] + " ... " + text[-16:]


def one_line(text: str) -> str:
    """The text as one line of printable characters; other characters are escaped.

    >>> one_line("no such file:  a\\n b\\0")
    'no such file: a b\\\\x00'
    """
    line = " ".join(text.split())
    return line if line.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for an unknown name: the most similar known name, or all known names.

    >>> nearest("affin", ["affine", "float32"])
    "did you mean 'affine'?"
    """
    names = sorted(known)
    close = difflib.get_close_matches(str(name)[:100], names, n=1)
    return f"did you mean {close[0]!r}?" if close else "known are " + (", ".join(names) or "none")
