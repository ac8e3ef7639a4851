"""Compares fl_simu's algorithms with other frameworks' own, if those are installed."""

import pytest

from benchmarks.children import ROOT
from benchmarks.peers.agreement.__main__ import main
from fl_simu.kernel.installation import MODERN


@pytest.mark.skipif(not MODERN, reason="once is enough; the sums of the two stacks differ")
def test_the_algorithms_agree_with_those_of_other_frameworks():
    python = ROOT / ".venv" / "peers" / "bin" / "python"
    if not python.exists():
        pytest.skip("the other frameworks are not installed; make agreement sets them up")
    assert main([]) == 0
