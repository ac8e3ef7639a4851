"""The laws of `fl_simu.laws`: our parts keep them, and a part that breaks one gets the name of that law."""

import re

import ours
import pytest
from broken import BROKEN, Mistyped, codec
from torch import nn

import fl_simu as fl
from fl_simu.data.datasets import DataUnavailable, Mnist
from fl_simu.kernel.errors import BadField
from fl_simu.laws import PLACES, every_part, laws_of
from fl_simu.parts import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_our_parts_keep_the_laws_of_their_kind(kind):
    for part in ours.parts(kind):
        fl.laws.check(part)


@pytest.mark.parametrize("kind", sorted(set(ours.SETTINGS) - {"data", "downlink"}))
def test_every_registered_part_is_tried(kind):
    assert set(ours.SETTINGS[kind]) == set(KINDS[kind].rows)


@pytest.mark.parametrize("kind, law", [(kind, law) for kind, parts in BROKEN.items() for law in parts])
def test_a_part_that_breaks_a_law_is_told_so(kind, law):
    with pytest.raises(AssertionError, match=f'breaks the law "{law}"') as told:
        fl.laws.check(BROKEN[kind][law], kind)
    assert "\n" not in str(told.value)


def test_every_law_has_a_part_that_breaks_it():
    shared = len(every_part.LAWS)
    wanted = {kind: {law.name for law in laws_of(kind)[shared:]} for kind in PLACES}
    wanted["compute"] = {law.name for law in laws_of("compute")}
    assert {kind: set(parts) for kind, parts in BROKEN.items()} == wanted


@pytest.mark.parametrize(
    "part, told",
    [
        (
            codec(layer_bits=lambda self, dtype=None: (1, 1)),
            '<Broken>() breaks the law "bits are those of each layer or of none" with integers and booleans: '
            "layer_bits names 2 layers; right are 1, or none",
        ),
        (
            codec(encode=lambda self, params, draws: {}["w"]),
            '<Broken>() breaks the law "encoding leaves the params alone" with integers and booleans: '
            "it raised KeyError: 'w'",
        ),
        (
            Mistyped(),
            'Mistyped(seconds=1.0, number=1.5) breaks the law "made again from its table it is equal": it raised '
            "UserError: compute.number = 1.5 is not allowed: input should be a valid integer",
        ),
    ],
)
def test_a_message_names_part_law_input_what_was_found_and_what_is_right(part, told):
    with pytest.raises(AssertionError, match="^" + re.escape(told)):
        fl.laws.check(part)


def test_what_is_no_part_is_refused_unless_its_kind_is_named(tmp_path, monkeypatch):
    def net(shape, classes):
        channels, height, width = shape
        return nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, classes))

    with pytest.raises(BadField, match=r"part = .* is not allowed: a part; for a function"):
        fl.laws.check(net)
    fl.laws.check(net, "model")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("FL_SIMU_DATA", raising=False)
    with pytest.raises(DataUnavailable, match="mnist"):
        fl.laws.check(Mnist())
