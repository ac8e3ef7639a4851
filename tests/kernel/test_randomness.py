import math

import numpy as np
import pytest

from fl_simu.kernel.randomness import briefly, permutation, stream, torch_seed, uniforms


def test_a_key_names_one_generator_and_every_part_of_it_counts():
    keys = [(1, "a", 0, 0), (2, "a", 0, 0), (1, "b", 0, 0), (1, "a", 1, 0), (1, "a", 0, 1), (1, "a", 1, 1)]
    draws = [stream(*key).random(4).tolist() for key in keys]
    assert len({tuple(draw) for draw in draws}) == len(keys)
    assert draws == [stream(*key).random(4).tolist() for key in keys]
    assert len({torch_seed(*key) for key in keys}) == len(keys)


def test_a_brief_generator_draws_what_a_stream_draws_whatever_was_drawn_before():
    for ue, size in enumerate((0, 1, 5, 256)):
        # Draws of 32 bits leave half a number unused, and others leave the rest of a block of four.
        briefly(9, "before", ue).integers(0, 100, 3, dtype=np.int32)
        brief, kept = briefly(9, "fixed", ue, 2), stream(9, "fixed", ue, 2)
        assert brief.integers(0, 100, 3, dtype=np.int32).tolist() == kept.integers(0, 100, 3, np.int32).tolist()
        assert brief.standard_normal(size).tolist() == kept.standard_normal(size).tolist()
        assert brief.random() == kept.random()


@pytest.mark.parametrize("seed, round", [(0, 0), (2**63 - 1, 10**9)])
def test_first_numbers_of_many_are_those_that_numpy_draws_for_each(seed, round):
    for ues in ([], [5], range(99), range(100), [2**62, 0, 5, 5] * 300):
        found = uniforms(seed, "channel", ues, round)
        assert found.tolist() == [stream(seed, "channel", ue, round).random() for ue in ues]
        assert found.dtype == np.float64


def test_draws_are_uniform_across_keys():
    draws = np.sort([stream(1, "channel", ue, round).random() for ue in range(50) for round in range(40)])
    # Kolmogorov-Smirnov at the 0.1 % level: 1.95 / sqrt(n).
    gap = np.abs(draws - (np.arange(len(draws)) + 0.5) / len(draws)).max()
    assert gap < 1.95 / math.sqrt(len(draws))


def test_numbers_are_the_same_on_every_version_of_numpy():
    # Drawn with numpy 1.18 and with numpy 2; both stacks must keep drawing the same numbers.
    assert stream(7, "fixed", 3, 2).random() == 0.8003187656258217
    assert permutation(stream(7, "fixed"), 6).tolist() == [5, 2, 3, 4, 0, 1]


def test_a_permutation_holds_every_position_once():
    assert sorted(permutation(stream(1, "x"), 1000)) == list(range(1000))
