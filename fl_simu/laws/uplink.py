"""The laws of bit rules, size rules, losses and casts."""

import math
from typing import Dict, Tuple

import torch

from fl_simu.kernel.errors import BadField
from fl_simu.kernel.parameters import Structure, TensorSpec
from fl_simu.kernel.randomness import stream
from fl_simu.laws.base import SEED, Inputs, Law, expect, same
from fl_simu.radio.bits import BitRule, Memory, Outlook
from fl_simu.radio.codecs.affine import Affine
from fl_simu.radio.codecs.base import Codec
from fl_simu.radio.codecs.float32 import Float32
from fl_simu.radio.codecs.layered import MAX_BITS
from fl_simu.radio.codecs.top_k import TopK
from fl_simu.radio.downlink import Cast
from fl_simu.radio.losses import Loss
from fl_simu.radio.sizes import SizeRule


def a_choice_is_a_number_of_bits_or_0(rule: BitRule, outlook: Outlook) -> None:
    """1 to 16, or 0 for the codec as configured; the same for the same outlook."""
    bits = rule.choose(outlook)
    right = isinstance(bits, int) and not isinstance(bits, bool) and 0 <= bits <= MAX_BITS
    expect(right, f"it chooses {bits!r} bits; right is a whole number from 0 to {MAX_BITS}")
    same("the second choice from the same outlook", rule.choose(outlook), bits)


def outlooks(rule: BitRule) -> Inputs:
    """Before the first upload, after some uploads, and with extreme losses and rates."""
    memories = {
        "no upload so far": Memory(),
        "uploads behind it": Memory(2.0, 3.0, 4, 0.1),
        "a rate of 0 so far": Memory(0.0, 0.0, 3, 0.01),
        "vast and tiny numbers behind it": Memory(1e-300, 1e300, 3, 1e-300),
    }
    losses = {
        "no loss": (),
        "a falling loss": (2.3, 0.1),
        "a loss of 0": (2.3, 0.0),
        "no number for a loss": (math.nan, math.nan),
        "an infinite loss": (2.3, math.inf),
    }
    return {
        f"{known} and {lost}": (Outlook(memory, values, lambda bits: 0.5 * bits, lambda bits: 0.25 * bits),)
        for known, memory in memories.items()
        for lost, values in losses.items()
    }


def each_layer_is_charged_bits(rule: SizeRule, codec: Codec, structure: Structure) -> None:
    """A whole number, 0 or more, for each layer; the same for a second call."""
    bits = rule.layer_bits(codec, structure)
    same("the number of layers that are charged", len(bits), len(codec.layer_bytes(structure)))
    expect(
        all(isinstance(one, int) and one >= 0 for one in bits), f"the layers cost {bits}; right are whole numbers"
    )
    same("what the layers cost, the second time,", rule.layer_bits(codec, structure), bits)


def more_bits_are_no_smaller_load(rule: SizeRule, codec: Codec, structure: Structure) -> None:
    """Finite loads, 0 or more."""
    loads = [rule.load_mbit(bits) for bits in (0, 1, 8, *rule.layer_bits(codec, structure))]
    expect(
        all(0 <= load < math.inf for load in loads),
        f"the loads are {loads} Mbit; right are finite ones, 0 or more",
    )
    ascending = [rule.load_mbit(bits) for bits in (0, 1, 8, 10**6, 10**9)]
    expect(ascending == sorted(ascending), f"0, 1, 8, 10^6 and 10^9 bits are {ascending} Mbit; right is ascending")


def codecs(rule: SizeRule) -> Inputs:
    """A model in the codecs that the rule accepts."""
    model = (
        TensorSpec("w", (20, 5), torch.float32),
        TensorSpec("n", (), torch.int64),
        TensorSpec("b", (5,), torch.float32),
    )
    found: Dict[str, tuple] = {}
    for codec in (Float32(), Affine(2, (3,)), TopK(0.1, (0.2,))):
        try:
            rule.check(codec)
        except BadField:
            continue
        found.update(
            {str(codec): (codec, model), f"{codec} and no tensor that is floating point": (codec, model[1:2])}
        )
    return found


def a_layer_is_sent_whole_and_arrives_or_does_not(loss: Loss, size_bits: int, number: int) -> None:
    """A whole number of bits, no fewer than the layer has."""
    bits, arrives = loss.carry(size_bits, stream(SEED, "laws", round=number))
    whole = isinstance(bits, int) and bits >= size_bits
    expect(whole, f"{bits!r} bits go on the air; right is a whole number, at least {size_bits}")
    expect(arrives is True or arrives is False, f"`arrives` is {arrives!r}; right is True or False")


def the_same_draws_give_the_same_fate(loss: Loss, size_bits: int, number: int) -> None:
    """Regardless of what was sent in between."""
    first = loss.carry(size_bits, stream(SEED, "laws", round=number))
    loss.carry(size_bits + 1, stream(SEED, "laws", round=number + 1))
    same("what becomes of it again", loss.carry(size_bits, stream(SEED, "laws", round=number)), first)


def layers(loss: Loss) -> Inputs:
    """No bits, one bit, a packet, a packet and one bit, a model; each with some draws."""
    sizes = (0, 1, 12_000, 12_001, 1_000_000)
    return {f"{size} bits, draws {number}": (size, number) for size in sizes for number in range(4)}


def every_ue_is_in_one_group(cast: Cast, ues: Tuple[int, ...]) -> None:
    """No group is empty."""
    groups = cast.groups(ues)
    members = sorted(ue for group in groups for ue in group)
    expect(members == list(ues), f"the groups of {ues} are {groups}; right is each of them once")
    expect(all(groups), f"the groups of {ues} are {groups}; right are none that is empty")


def asked_again_the_groups_are_the_same(cast: Cast, ues: Tuple[int, ...]) -> None:
    """Regardless of calls for other UEs in between."""
    first = cast.groups(ues)
    cast.groups((*ues, 99))
    same("the groups again", cast.groups(ues), first)


def cohorts(cast: Cast) -> Inputs:
    """One UE, two UEs, some of many UEs."""
    return {f"UEs {ues}": (ues,) for ues in ((0,), (3, 7), (0, 1, 2, 5, 9, 20))}


CAST = (Law(every_ue_is_in_one_group, cohorts), Law(asked_again_the_groups_are_the_same, cohorts))
BITS = (Law(a_choice_is_a_number_of_bits_or_0, outlooks),)
SIZE = (Law(each_layer_is_charged_bits, codecs), Law(more_bits_are_no_smaller_load, codecs))
LOSS = (
    Law(a_layer_is_sent_whole_and_arrives_or_does_not, layers),
    Law(the_same_draws_give_the_same_fate, layers),
)
