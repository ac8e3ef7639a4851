"""Parts that do not fit together are refused in one line, before any data are read."""

from dataclasses import dataclass

import pytest

import fl_simu as fl
from fl_simu.kernel.errors import UserError
from fl_simu.loop.plan import plan
from fl_simu.radio.allocation import Equal
from fl_simu.radio.media.base import Medium

BASE = fl.Experiment(data="digits", model="mlp", backend="torch", codec="affine")


@dataclass(frozen=True)
class OnlyTheSum(Medium):
    """The BS hears no single upload."""

    separable = False


@dataclass(frozen=True)
class Halves(Equal):
    """Another allocator."""


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"allocator": Halves()}, "allocator.name"),
        ({"medium": "shared_band", "delay": "rate_at_start"}, "medium.name"),
        ({"medium": "shared_band", "bits": {"name": "channel_adaptive", "knows": "oracle"}}, "bits.knows"),
        ({"medium": OnlyTheSum(), "aggregation": "median"}, "aggregation.name"),
        ({"loss": "waterfall", "channel": "fading"}, "loss.name"),
        ({"loss": "fixed", "medium": OnlyTheSum()}, "loss.name"),
        ({"transforms": ["error_feedback"]}, "error_feedback"),
        ({"transforms": ["error_feedback"], "error_feedback": True, "payload": "update"}, "error_feedback"),
        ({"meters": ["energy", "energy"]}, "meters"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(changes, said):
    with pytest.raises(UserError, match=said.replace(".", r"\.")) as refusal:
        plan(BASE.with_(**changes))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "value", ["clip", {"name": "clip"}, 3, [3], [{"norm": 2.0}], ["clips"], [{"name": "clip", "norm": 0}]]
)
def test_a_chain_is_a_list_of_parts(value):
    with pytest.raises(UserError, match="transforms") as refusal:
        fl.Experiment.parse({"transforms": value})
    assert "\n" not in str(refusal.value)


def test_parts_of_a_chain_are_found_by_place():
    experiment = BASE.with_(transforms=["clip", "movement"], meters=["energy"])
    parts = experiment.parts()
    assert [name for name in parts if "[" in name] == ["transforms[0]", "transforms[1]", "meters[0]"]
    assert fl.Experiment.parse(experiment.to_plain()) == experiment
