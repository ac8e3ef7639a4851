"""Turns a line of a docstring or README into plain text for a terminal: no LaTeX, no code marks."""

import re

_SIGNS = {
    "times": "x", "cdot": "*", "leq": "<=", "le": "<=", "geq": ">=", "ge": ">=", "neq": "!=", "ne": "!=",
    "approx": "~", "sim": "~", "pm": "+-", "to": "->", "rightarrow": "->", "infty": "infinity", "ldots": "...",
    "dots": "...", "cdots": "...", "in": "in", "mid": "|", "vert": "|", "Vert": "||", "ell": "l", "propto": "~",
    "langle": "<", "rangle": ">", "prime": "'",
}  # fmt: skip
# Commands that only change the layout.
_NOTHING = ("left", "right", "bigl", "bigr", "big", "Big", "displaystyle", "limits", "quad", "qquad", "thinspace")
# Commands that only change the font or add an accent.
_LETTERS = "mathrm|mathbf|mathbb|mathcal|mathit|boldsymbol|operatorname|text|textrm|textbf|hat|bar|tilde|vec"

_MATH = re.compile(r":math:`([^`]+)`|\$\$([^$]+)\$\$|\$([^$]+)\$|\\\((.+?)\\\)")
_GROUP = r"\{([^{}]*)\}"


def plain(text: str) -> str:
    r"""The text with its formulas in plain letters.

    An unknown command becomes its name. A dollar sign outside formulas becomes USD.

    >>> plain(r"loss with :math:`\lambda` and $\frac{1}{n} \sum_{i} x_i^{2}$ of `top_k`")
    'loss with lambda and 1/n sum_i x_i^2 of top_k'
    >>> plain(r"$\mathrm{SINR} \geq \sqrt{\gamma + 1}$, \(10^{-3}\)")
    'SINR >= sqrt(gamma + 1), 10^-3'
    """
    text = _MATH.sub(lambda found: formula(next(one for one in found.groups() if one is not None)), text)
    text = text.replace("``", "`").replace("`", "")
    return text.replace("$", "USD ").replace("\\", "")


def formula(tex: str) -> str:
    r"""A LaTeX formula in plain letters.

    >>> formula(r"\sum_i \frac{n_i}{a + b} w_i"), formula(r"\|x\|_2 \le r"), formula(r"e^{-\beta t}")
    ('sum_i n_i/(a + b) w_i', '||x||_2 <= r', 'e^(-beta t)')
    """
    tex = tex.replace(r"\|", "||")
    tex = re.sub(r"\\[,;:!> ]|~", " ", tex)
    tex = re.sub(r"\\([{}%_&#$])", lambda found: {"{": "\0", "}": "\1"}.get(found.group(1), found.group(1)), tex)
    before = ""
    while before != tex:
        before = tex
        tex = re.sub(rf"\\(?:{_LETTERS})\s*{_GROUP}", r"\1", tex)
        tex = re.sub(rf"\\sqrt\s*{_GROUP}", r"sqrt(\1)", tex)
        tex = re.sub(rf"\\[dt]?frac\s*{_GROUP}\s*{_GROUP}", _over, tex)
        tex = re.sub(rf"([_^])\s*{_GROUP}", lambda found: found.group(1) + _together(found.group(2)), tex)
    tex = re.sub(r"\\([A-Za-z]+)", lambda found: _named(found.group(1)), tex)
    tex = tex.replace("{", "").replace("}", "").replace("\0", "{").replace("\1", "}").replace("\\", "")
    return " ".join(tex.split())


def _named(command: str) -> str:
    return "" if command in _NOTHING else _SIGNS.get(command, command)


def _over(fraction: "re.Match[str]") -> str:
    above, below = (_together(one, "^") for one in fraction.groups())
    return f"{above}/{below}"


def _together(text: str, also: str = "") -> str:
    """Put the text in brackets unless it is a single word or signed number; `also` lists more allowed signs."""
    return text if re.match(rf"-?\\?[\w.,{also}]+$", text.strip()) else f"({text.strip()})"
