"""Whom the BS draws."""

from collections import Counter

import pytest

from fl_simu.station.draw import draw

# Whoever changes these changes every run that draws fewer UEs than there are.
DRAWN = {
    (1, 0, 10, 3): (1, 7, 8),
    (1, 7, 10, 3): (2, 3, 8),
    (5, 2, 100, 4): (4, 9, 33, 99),
    (3, 1, 4, 4): (0, 1, 2, 3),
}


@pytest.mark.parametrize("key", DRAWN)
def test_the_drawn_and_the_others_are_all_ues_once(key):
    drawn, others = draw(*key)
    assert tuple(sorted(drawn)) == DRAWN[key]
    assert sorted(drawn + others) == list(range(key[2]))


def test_every_order_of_three_ues_comes_equally_often():
    orders = Counter(sum(draw(2, version, 3, 1), ()) for version in range(1200))
    # Chi-squared with 5 degrees of freedom: above 25.74 in one of 10,000 cases (scipy.stats.chi2.ppf(0.9999, 5)).
    assert len(orders) == 6 and sum((count - 200) ** 2 for count in orders.values()) / 200 < 25.74
