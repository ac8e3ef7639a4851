"""If a model is evaluated in the background, the next round starts before the end; nothing else changes."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from fl_simu.experiment import Stopping
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.messages import Aggregate, Ready
from fl_simu.loop.resuming import restore
from fl_simu.radio.codecs.affine import Affine
from fl_simu.station.evaluation import Evaluation
from fl_simu.station.protocols import Buffered, Deadline, WaitForAll
from fl_simu.station.protocols.base import Protocol
from fl_simu.station.selection.base import Selection
from tests.loop.test_coordinator import Uneven, coordinator, seen

RATES = (0.3, 0.7, 1.1)


def run(protocol, aside, stop=None, selection=None, codec=None):
    """A run of eight rounds; its requests, starts and reports, in order."""
    running = coordinator(protocol, RATES, rounds=8, backend=Uneven(), codec=codec or Affine(2, (2,)))
    log, setting = running.cohorts.backend.log, running.setting

    def evaluation(params):
        return Evaluation(0.5, float(params["w"].mean()))

    def ask(params):
        log.append("asked")

        def answer():
            log.append("answered")
            return evaluation(params)

        return answer

    running.cohorts.backend.aside = aside
    running.setting = replace(
        setting,
        aside=ask if aside else None,
        stop=stop or setting.stop,
        selection=selection or setting.selection,
    )
    return running, log


def told(running):
    """The data for observers and in checkpoints, without the wall-clock times."""
    records = [replace(record, wall_time_s=0.0) for record in seen(running).records]
    checkpoints = [one._replace(plain=without_wall_time(one.plain)) for one in seen(running).snapshots]
    return records, checkpoints


def without_wall_time(plain):
    if isinstance(plain, dict):
        return {key: without_wall_time(value) for key, value in plain.items() if key != "wall_s"}
    return [without_wall_time(value) for value in plain] if isinstance(plain, list) else plain


def assert_same(one, other):
    records, checkpoints = one
    wanted_records, wanted_checkpoints = other
    assert records == wanted_records
    assert len(checkpoints) == len(wanted_checkpoints) == len(records)
    for checkpoint, wanted in zip(checkpoints, wanted_checkpoints):
        assert checkpoint.plain == wanted.plain
        assert set(checkpoint.arrays) == set(wanted.arrays)
        assert all(np.array_equal(array, wanted.arrays[name]) for name, array in checkpoint.arrays.items())


@dataclass(frozen=True)
class AtOnce(Protocol):
    """A protocol that ends every other round with the event that starts it."""

    state_classes = WaitForAll.state_classes

    def start(self):
        return WaitForAll().start()

    def on(self, state, event):
        state, actions = WaitForAll().on(state, event)
        if isinstance(event, Ready) and event.version % 2:
            return WaitForAll().start()._replace(version=event.version), (*actions, Aggregate((), event.ues))
        return state, actions


@pytest.mark.parametrize("protocol", [WaitForAll(), Deadline(2.5), Buffered(2), AtOnce()], ids=str)
def test_records_and_checkpoints_are_those_of_one_thing_after_the_other(protocol):
    early, log = run(protocol, aside=True)
    early.run()
    plain, _ = run(protocol, aside=False)
    plain.run()
    assert_same(told(early), told(plain))
    # All models but the last are evaluated in the background.
    assert log.count("asked") == log.count("answered") == 7
    # From the checkpoint of an early round, the run resumes to the same result.
    resumed, _ = run(protocol, aside=True)
    restore(resumed, seen(early).snapshots[3])
    resumed.run()
    assert told(resumed)[0] == told(early)[0][4:]
    assert torch.equal(resumed.model["w"], early.model["w"])


def test_ues_train_while_the_model_is_evaluated():
    running, log = run(WaitForAll(), aside=True)
    running.run()
    rounds = [entry for entry in log if entry in ("asked", "answered") or entry[0] == "train"]
    everybody = ("train", (0, 1, 2))
    assert rounds == [everybody] + 7 * ["asked", everybody, "answered"]


def test_a_run_that_stops_at_an_accuracy_waits_for_it():
    running, log = run(WaitForAll(), aside=True, stop=Stopping(accuracy=0.5))
    running.run()
    assert "asked" not in log and len(seen(running).records) == 1


@dataclass(frozen=True)
class Tired(Selection):
    """A selection that fails at the start of the second round."""

    def choose(self, state, view, free):
        if view.version == 1:
            raise UserError("no more")
        return state, tuple(view.idle)


def test_a_round_that_has_ended_is_told_of_where_the_next_cannot_begin():
    running, _ = run(WaitForAll(), aside=True, selection=Tired())
    with pytest.raises(UserError, match="no more"):
        running.run()
    assert [record.loss for record in seen(running).records] == [pytest.approx(running.model["w"].mean().item())]


def test_an_upload_is_decoded_when_its_last_layer_has_arrived():
    """It is decoded once. A base layer that is used alone is decoded when it is used."""
    decoded = []

    @dataclass(frozen=True)
    class Noted(Affine):
        def decode(self, layers, structure):
            decoded.append((len(layers), round(running.clock.now_s, 6)))
            return super().decode(layers, structure)

    # Training takes 1 s, and an upload some 125,000 bits, which the slowest UE does not send in time.
    running, _ = run(Deadline(1.3), aside=True, codec=Noted(2, (2,)))
    running.setting = replace(running.setting, rounds=1)
    running.run()
    bits = seen(running).records[0].ues[2].bits
    assert decoded == [(2, round(1 + bits / 1.1e6, 6)), (2, round(1 + bits / 0.7e6, 6)), (1, 1.3)]
