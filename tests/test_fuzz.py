"""The failure criteria of the fuzzer; the fuzzer itself is `make fuzz`."""

import pytest

from tests.fuzz.__main__ import wrong
from tests.fuzz.inputs import make


@pytest.mark.parametrize(
    "status, said, told",
    [
        (0, "", ""),
        (0, "a notice\n", ""),
        (2, "fl_simu: rounds = 0 is not allowed: at least 1\n", ""),
        (2, "", "0 lines"),
        (2, "fl_simu: a\nfl_simu: b\n", "2 lines"),
        (2, "RuntimeWarning: overflow\nfl_simu: a\n", "said"),
        (2, "fl_simu: " + "x" * 1000, "a line of 1009 characters"),
        (2, "fl_simu: out of memory: 8 TiB\n", "no field named"),
        (1, "Traceback (most recent call last):\nKeyError: 1\n", "status 1: KeyError: 1"),
        (0, "Traceback (most recent call last):\nKeyError: 1\n", "said KeyError: 1"),
        (-9, "", "not done in 30 s"),
        (-111, "", "status -111"),
    ],
)
def test_verdicts(status, said, told):
    assert wrong(status, said).startswith(told) and bool(wrong(status, said)) == bool(told)


def test_a_number_is_one_input(tmp_path):
    configs_only = [number for number in range(40) if make(5, number).kind == "config"]
    texts = set()
    for number in configs_only:
        written = []
        for copy in ("a", "b"):
            folder = tmp_path / f"{number}-{copy}"
            folder.mkdir()
            one = make(5, number)
            one.prepare(folder)
            written.append((one.arguments, (folder / "x.toml").read_bytes()))
        assert written[0] == written[1]
        texts.add(written[0])
    assert len(texts) == len(configs_only) > 10
