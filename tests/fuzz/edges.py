"""Values at the limits of a type, in the notation of TOML and of a command line."""

import random

# Integers that decide the amount of computation: small, or more than any machine can do. Values between may be
# allowed, and would then run for a long time.
INTEGERS = ("0", "-1", "1", "2", "3", "2147483648", "-9223372036854775809", "9223372036854775808", "1" + "0" * 59)
LONG_INTEGERS = ("1" + "0" * 400, "9" * 4300, "9" * 4301)
FLOATS = (
    *("0.0", "-0.0", "-1.0", "0.5", "1.0", "1e-9", "1e9", "inf", "-inf", "nan"),
    *("1e-300", "5e-324", "1e300", "1.8e308"),
)
TEXTS = ("", " ", "x", "nan", "../x", "/dev/null", "a" * 300, "b" * 10_000, "é\u2028", "None", "auto", "= a.b")
OTHERS = (
    *("true", "false", "[]", "[[]]", "[0]", "[1, 1]", "[-1]", "[1e300]", "{}", "{x = 1}"),
    *("1979-05-27", "07:32:00"),
)
BROKEN = ("", "=", '"', "[", "{", "1 2", '"\\ud800"', '"\x00"', "\t", "[" * 900 + "]" * 900, "[" * 90_000)
ARGUMENTS = (
    *("\x00", "\ud800", "\udcff", "a\nb", "-", "--", "=", "~", "a" * 300, "c" * 100_000),
    *("/dev/full", "/dev/zero"),
)


def literal(rng: random.Random, likely: str = "") -> str:
    """One value in TOML notation, usually of the given kind: "int", "float", "str" or "" for any."""
    draw = rng.random()
    if draw < 0.03:
        return rng.choice(BROKEN)
    if draw < 0.06:
        return rng.choice(LONG_INTEGERS)
    if draw < 0.16:
        kinds = INTEGERS + FLOATS + OTHERS + tuple(map(quoted, TEXTS))
        return rng.choice(kinds)
    if likely == "int":
        return rng.choice(INTEGERS)
    if likely == "float":
        return rng.choice(INTEGERS + FLOATS * 2)
    return rng.choice(tuple(map(quoted, TEXTS)) if likely == "str" else INTEGERS + FLOATS + OTHERS)


def quoted(text: str) -> str:
    """A text in TOML notation."""
    return '"{}"'.format(text.replace("\\", "\\\\").replace('"', '\\"'))


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Bytes with a few changes that disks, networks and editors may cause."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(data)) if data else 0
        kind = rng.randrange(8)
        if kind <= 2:
            data = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :] if data else b"\0"
        elif kind == 3:
            data = data[:at]
        elif kind == 4:
            data = data[:at] + data[at + rng.choice((1, 2, 8, 100)) :]
        elif kind == 5:
            data = data[:at] + bytes(rng.randrange(256) for _ in range(rng.choice((1, 2, 8, 100)))) + data[at:]
        elif kind == 6:
            data = data[:at] + data[at : at + 200] * 2 + data[at + 200 :]
        else:
            strange = (b"", b"\0" * len(data), data[::-1], data * 2, b"\xff\xfe" + data, b"null", b"[]", b"{}")
            data = rng.choice(strange)
    return data
