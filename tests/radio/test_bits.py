import math

import pytest

from fl_simu.kernel.errors import BadField
from fl_simu.radio.bits import BITS, ChannelAdaptive, FixedBits, LossAdaptive, Memory, Outlook, SpreadAdaptive
from fl_simu.radio.codecs.affine import Affine
from fl_simu.radio.codecs.float32 import Float32


def outlook(last=0.0, mean=0.0, spread=0.0, losses=(), delay_s=lambda bits: math.inf):
    # 10 Mbit per bit of precision: at 20 Mbit/s, half a second per bit.
    return Outlook(Memory(last, mean, 1, spread), losses, lambda bits: 10.0 * bits, delay_s)


@pytest.mark.parametrize(
    "rule, seen, wanted",
    [
        (FixedBits(), outlook(last=20.0), 0),
        (ChannelAdaptive(2.0, "last", 1, 8), outlook(last=20.0), 4),
        (ChannelAdaptive(2.0, "last", 1, 3), outlook(last=20.0), 3),
        (ChannelAdaptive(2.0, "last", 2, 8), outlook(last=1.0), 2),
        (ChannelAdaptive(2.0, "last", 2, 8), outlook(), 2),
        (ChannelAdaptive(2.0, "mean", 1, 8), outlook(last=20.0, mean=35.0), 7),
        (ChannelAdaptive(2.0, "oracle", 1, 8), outlook(last=20.0, delay_s=lambda bits: bits / 2.5), 5),
        (LossAdaptive(2, 8), outlook(), 2),
        # s = 3 sqrt(4) = 6 steps: 7 levels need 3 bits; s = 3 * 5 = 15: 16 levels need 4.
        (LossAdaptive(2, 8), outlook(losses=(2.0, 0.5)), 3),
        (LossAdaptive(2, 8), outlook(losses=(2.0, 0.08)), 4),
        (LossAdaptive(2, 8), outlook(losses=(2.0, 1e-9)), 8),
        (LossAdaptive(2, 8), outlook(losses=(2.0, 0.0)), 8),
        (LossAdaptive(2, 8), outlook(losses=(1e308, 1e-308)), 8),
        (LossAdaptive(2, 8), outlook(losses=(math.inf, 2.0)), 8),
        (LossAdaptive(2, 8), outlook(losses=(math.nan, 2.0)), 8),
        (LossAdaptive(2, 8), outlook(losses=(2.0, math.nan)), 8),
        (LossAdaptive(2, 8), outlook(losses=(2.0, math.inf)), 1),
        (SpreadAdaptive(1e-300, 1, 8), outlook(spread=1e30), 8),
        (SpreadAdaptive(0.01, 1, 8), outlook(), 8),
        (SpreadAdaptive(0.01, 1, 8), outlook(spread=0.15), 4),
        (SpreadAdaptive(0.01, 1, 8), outlook(spread=0.151), 5),
        (SpreadAdaptive(0.01, 2, 8), outlook(spread=0.001), 2),
    ],
)
def test_bits_from_what_is_known(rule, seen, wanted):
    assert rule.choose(seen) == wanted


def test_a_memory_keeps_the_last_rate_and_the_mean():
    memory = Memory(spread=0.5).after(10.0).after(20.0).after(60.0)
    assert memory == Memory(60.0, 30.0, 3, 0.5)


@pytest.mark.parametrize("name", BITS)
def test_only_codecs_with_bits_can_take_other_bits(name):
    BITS[name]().check(Affine(4))
    if name != "fixed":
        with pytest.raises(BadField, match="float32"):
            BITS[name]().check(Float32())


@pytest.mark.parametrize(
    "make, field",
    [
        (lambda: ChannelAdaptive(0.0), "deadline_s"),
        (lambda: ChannelAdaptive(knows="guess"), "knows"),
        (lambda: ChannelAdaptive(least_bits=5, most_bits=4), "most_bits"),
        (lambda: LossAdaptive(first_bits=17), "first_bits"),
        (lambda: SpreadAdaptive(resolution=math.nan), "resolution"),
    ],
)
def test_arguments_are_checked(make, field):
    with pytest.raises(BadField, match=field):
        make()
