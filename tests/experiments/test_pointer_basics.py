"""Pointers of real syft 0.2.4 print what the notes show."""

import numpy as np
import pytest

from fl_simu.studies.script import Setup, load, run_script


@pytest.mark.parametrize(
    "text, words",
    [
        ("(Wrapper)>[PointerTensor | me:88077243152 -> kong:2511276968]", "me:# -> kong:#]"),
        ("(Wrapper)>[PointerTensor | me:50524552071 -> bob:6037595972]::grad", "-> bob:#]::grad"),
        ("{2511276968: tensor([0, 1, 2, 1, 2])}", "{#: tensor([0, 1, 2, 1, 2])}"),
        ("{1: tensor([1]), 2: tensor([2])} after send", "{#: tensor([1]), #: tensor([2])} after send"),
        ("tensor([2.4000, 6.2000], requires_grad=True)", "tensor([2.4000, 6.2000], requires_grad=True)"),
    ],
)
def test_only_ids_are_left_out(text, words):
    """Lines of the notes, as printed there."""
    assert load("pointer_basics").without_ids(text).endswith(words)


def test_syft_prints_the_notes_lines(tmp_path):
    comparisons = {one.what: one for one in run_script("pointer_basics", Setup(True, tmp_path))[0]}
    of_notes = [one for one in comparisons.values() if one.notes is not None]
    assert len(of_notes) == 15 and {one.verdict for one in of_notes} == {"agrees"}

    def numbers(what):
        return eval(comparisons[what].ours, {"tensor": np.array})

    # The values of a local copy: d(x + y) / dx is 1 for each backward, and the sums.
    assert numbers("gradient of x after one backward").tolist() == [1] * 5
    assert numbers("gradient of x after two").tolist() == [2] * 5
    np.testing.assert_allclose(numbers("sum at kong, fetched"), np.add([3.14, 6.28], [6.14, 3.28]), rtol=1e-6)
    assert comparisons["bob after the sum"].ours.count("#") == 3
    assert comparisons["bob after the pointers are deleted"].ours == "{}"
    assert comparisons["the pointer after get"].ours == "AttributeError"
    assert comparisons["result of backward, fetched"].ours == "ObjectNotFoundError"
