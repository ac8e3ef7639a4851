"""Malicious UEs in the loop: other UEs are unaffected, runs resume exactly, and all backends agree."""

import json
import math

import numpy as np
import pytest
import torch

from fl_simu.attacks.poisoning.base import Hostile, draw_targets
from fl_simu.attacks.poisoning.malicious import AttackMemory, Malicious
from fl_simu.attacks.poisoning.untargeted import GaussianNoise
from fl_simu.backends.torch_loop import TorchLoop
from fl_simu.cli.app import main
from fl_simu.kernel.errors import BadField
from fl_simu.kernel.parameters import sha256
from fl_simu.kernel.trees import flatten, unflatten
from fl_simu.loop.cohorts import Cohorts
from fl_simu.loop.state import CLASSES as CLASSES_OF_STATE
from fl_simu.loop.state import Flight, RunState
from fl_simu.models import Mlp
from fl_simu.radio.link import Upload
from fl_simu.ue.algorithms import FedAvg
from fl_simu.ue.optimizers import Adam
from fl_simu.ue.training import Key, LocalTraining, Shard, Task, initial_params
from fl_simu.ue.work import Work

SHAPE, CLASSES, UES, SEED = (1, 3, 3), 4, 5, 3
WORK = Work(10, 1, 2)
MODEL = Mlp((6,), dropout=0.2)
TRAINING = LocalTraining(lambda: MODEL.build(SHAPE, CLASSES), MODEL.loss, Adam(lr=0.01), batch_size=4)
GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.randn(40, *SHAPE, generator=GENERATOR)
LABELS = torch.randint(0, CLASSES, (40,), generator=GENERATOR)
TARGETS = draw_targets(SEED, 2, IMAGES, LABELS, CLASSES)
START = initial_params(TRAINING.make_module, SEED)


class Spy(Hostile):
    """Records its inputs, and sends a constant."""

    omniscient = remembers = True

    def poison(self, knowledge):
        told.append((knowledge, knowledge.benign()))
        return {name: torch.full_like(tensor, 7.0) for name, tensor in knowledge.params.items()}


told = []


class Side:
    """The UEs with their cohorts; the state keeps the results of each fetched model, as in the loop."""

    def __init__(self, attack=None, state=None):
        told.clear()
        self.malicious = Malicious(attack or Spy(malicious=2), TRAINING, UES, CLASSES, TARGETS)
        self.state = state or RunState(START)
        backend = TorchLoop(TRAINING)
        for ue in range(UES):
            shard = Shard(IMAGES, LABELS, torch.arange(8 * ue, 8 * ue + 8))
            backend.place(ue, self.malicious.own_data(ue, shard))
        full = dict.fromkeys(range(UES), WORK)
        self.cohorts = Cohorts(backend, SEED, self.state, FedAvg(), full, malicious=self.malicious)

    def broadcast(self, params, version, ues=range(UES)):
        self.state.begun += 1
        for ue in ues:
            upload = Upload(ue, version, 1.0, (8,), (2.0,))
            self.state.flights[ue] = Flight(upload, params, self.state.begun - 1, WORK)
        self.cohorts.train(list(ues), version, params)

    def fetch(self, ue):
        flight = self.state.flights[ue]
        flight.layers, flight.sent = (b"x",), self.cohorts.fetch(ue).params
        return flight.sent

    def settle(self, ues):
        """The inputs that the loop has for the measures when uploads are settled."""
        sent = {ue: self.state.flights.pop(ue).sent for ue in ues if ue in self.state.flights}
        self.cohorts.forget()
        return {ue: params for ue, params in sent.items() if params}

    def one_round(self, params, version, ues=range(UES)):
        self.broadcast(params, version, ues)
        sent = {ue: self.fetch(ue) for ue in reversed(ues)}
        self.settle(ues)
        return sent


def alone(params, version):
    """The models that the UEs train if none is malicious."""
    backend = TorchLoop(TRAINING)
    for ue in range(UES):
        backend.place(ue, Shard(IMAGES, LABELS, torch.arange(8 * ue, 8 * ue + 8)))
    backend.train([Task(Key(SEED, ue, version), params, {}) for ue in range(UES)])
    return {ue: backend.get(ue).params for ue in range(UES)}


def test_benign_ues_send_what_they_would_without_malicious_ones():
    first, among = alone(START, 0), Side().one_round(START, 0)
    assert [sha256(first[ue]) == sha256(among[ue]) for ue in range(UES)] == [True, True, True, False, False]
    assert all(float(tensor.min()) == 7.0 for tensor in among[4].values())


def test_a_malicious_ue_knows_what_it_should():
    side, first = Side(), alone(START, 0)
    sent = side.one_round(START, 0)
    (known, benign), (second, _) = told
    assert (known.key, second.key, known.drawn) == (Key(SEED, 3, 0), Key(SEED, 4, 0), UES)
    assert sha256(benign) == sha256(first[3]) and sha256(known.params) == sha256(START)
    assert [sha256(one) for one in known.others] == [sha256(first[ue]) for ue in range(3)]
    assert known.others_last is None

    mean = {name: sum(one[name] for one in sent.values()) / UES for name in START}
    side.one_round(mean, 1)
    # One of the four UEs other than UE 4 is malicious too.
    updates = {ue: {name: sent[ue][name] - START[name] for name in START} for ue in range(4)}
    for name in START:
        wanted = sum(update[name].double() for update in updates.values()) / 4
        assert told[-1][0].others_last[name].numpy() == pytest.approx(wanted.numpy(), abs=1e-5)
    # After a round without UE 4, it can no longer use the global models.
    side.one_round(mean, 2, ues=range(4))
    side.one_round(mean, 3)
    assert told[-1][0].others_last is None and told[-2][0].others_last is not None


def test_a_model_stays_until_it_is_fetched():
    side = Side()
    side.broadcast(START, 0)
    looked = {ue: sha256(side.cohorts.peek(ue)) for ue in range(UES)}
    assert sha256(side.cohorts.give_up(4)) == looked[4]
    assert {ue: sha256(side.fetch(ue)) for ue in range(4)} == {ue: looked[ue] for ue in range(4)}


def flat(params):
    return np.concatenate([params[name].double().numpy().ravel() for name in START])


def told_of(hostile, benign):
    """Distances and spread, in numpy."""
    middle = np.mean([flat(one) for one in benign], axis=0)
    squares = [np.sum((flat(one) - middle) ** 2) for one in benign]
    distances = [np.linalg.norm(flat(one) - middle) for one in hostile]
    return {
        "distances": pytest.approx(distances, rel=1e-5),
        "spread": pytest.approx(math.sqrt(np.mean(squares)), rel=1e-5),
    }


def spread_of(side, settled):
    measures = side.malicious.measures(START, side.settle(settled))
    return {key: measures[key] for key in ("distances", "spread")}


def test_measures_are_distances_from_the_benign_mean_and_chances_of_the_targets():
    side = Side()
    sent = side.one_round(START, 0)
    measures = side.malicious.measures(START, sent)
    assert {**measures, **told_of([sent[3], sent[4]], [sent[0], sent[1], sent[2]])} == measures
    module = TRAINING.make_module()
    module.load_state_dict(START)
    module.eval()
    chances = module(TARGETS.images).softmax(dim=1)
    assert measures["wanted"] == TARGETS.wanted.tolist()
    assert measures["predicted"] == chances.argmax(dim=1).tolist()
    wanted = [row[label].item() for row, label in zip(chances, measures["wanted"])]
    assert measures["confidence"] == pytest.approx(wanted)
    benign = {ue: sent[ue] for ue in range(3)}
    assert side.malicious.measures(START, benign)["distances"] == []
    assert side.malicious.measures(START, benign)["spread"] is None


@pytest.mark.parametrize("resumed", [False, True])
def test_measures_are_of_the_uploads_behind_the_model_not_of_the_last_broadcast(resumed):
    """As under `buffered`: uploads of two broadcasts are aggregated together, others stay in flight."""
    side = Side(GaussianNoise(2))
    later = {name: tensor + 0.5 for name, tensor in START.items()}
    side.broadcast(START, 0)
    first = {ue: side.fetch(ue) for ue in (0, 3)}
    assert spread_of(side, (0, 3)) == told_of([first[3]], [first[0]])
    side.broadcast(later, 1, (0,))
    second = {1: side.fetch(1)}
    wanted = {ue: sha256(side.cohorts.peek(ue)) for ue in (0, 2, 4)}
    if resumed:
        # At the checkpoint UE 1 was fetched, and UEs 2 and 4 were not; UE 0 trains from the other model.
        classes = (*CLASSES_OF_STATE, AttackMemory)
        side = Side(GaussianNoise(2), unflatten(flatten(side.state, classes), classes))
        side.cohorts.train_again()
    assert {ue: sha256(side.cohorts.peek(ue)) for ue in (0, 2, 4)} == wanted
    second.update({ue: side.fetch(ue) for ue in (4, 0)})
    assert spread_of(side, (0, 1, 4)) == told_of([second[4]], [second[0], second[1]])
    # Settled uploads are released.
    assert set(side.state.flights) == {2} and set(side.state.cohorts) == {0}


def test_targets_are_drawn_alike_and_never_want_the_right_class():
    images, labels = torch.arange(50.0).view(50, 1, 1, 1), torch.arange(50) % 4
    targets = draw_targets(5, 40, images, labels, 4)
    right = labels.index_select(0, targets.images.view(-1).long())
    assert bool((targets.wanted != right).all())
    assert len({*targets.images.view(-1).tolist()}) == 40 and {*targets.wanted.tolist()} == {0, 1, 2, 3}
    assert torch.equal(draw_targets(5, 40, images, labels, 4).wanted, targets.wanted)
    assert not torch.equal(draw_targets(6, 40, images, labels, 4).images, targets.images)
    with pytest.raises(BadField, match="targets = 51"):
        draw_targets(5, 51, images, labels, 4)


# A change to the memory of an attack, its draws or its training changes these runs.
ATTACKS = {
    "boosting": 'name = "boosting", malicious = 2, targets = 2, most_steps = 20, estimate = "after"',
    "before": 'name = "boosting", most_steps = 20, estimate = "before"',
    "alternating": 'name = "alternating_minimisation", constraint = "others_last", benign_steps = 2, epochs = 2',
    "own benign": 'name = "concatenated", most_steps = 20, constraint = "own_benign", rho = 0.1',
    "little": 'name = "little_is_enough", malicious = 2',
    "noise": 'name = "gaussian_noise"',
    "flip": 'name = "label_flip"',
}
PROTOCOLS = {
    "deadline": 'protocol = { name = "deadline", deadline_s = 0.1 }\n',
    "buffered": 'protocol = { name = "buffered", k = 2 }\n',
}


def run_file(small, attack, protocol="deadline"):
    text = small.read_text().replace("ues_per_round = 3\n", "").replace("rounds = 2\n", "rounds = 4\n")
    lines = [line for line in text.splitlines() if not line.startswith("protocol")]
    head, tail = "\n".join(lines).split("[training]")
    file = small.parent / "beset.toml"
    file.write_text(f"{head}{PROTOCOLS[protocol]}attack = {{ {ATTACKS[attack]} }}\n[training]{tail}\n")
    return file


def run(file, out, *more):
    assert main(["run", str(file), "--out", str(out), *more]) == 0
    return left(out)


def left(out):
    records = [json.loads(line) for line in (out / "rounds.jsonl").read_text().splitlines()]
    for record in records:
        del record["wall_time_s"]
    return records, json.loads((out / "summary.json").read_text())["model_sha256"]


@pytest.mark.parametrize("attack", ATTACKS)
def test_syft_and_torch_tell_the_same(attack, small, tmp_path):
    file = run_file(small, attack)
    assert run(file, tmp_path / "torch") == run(file, tmp_path / "syft", "--backend", "syft")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("attack", ["before", "alternating", "noise"])
def test_a_resumed_run_ends_alike(attack, protocol, small, tmp_path):
    file = run_file(small, attack, protocol)
    whole = run(file, tmp_path / "whole")
    run(file, tmp_path / "stopped", "--rounds", "2")
    assert main(["run", "--resume", str(tmp_path / "stopped"), "--rounds", "4"]) == 0
    assert left(tmp_path / "stopped") == whole
    assert all(record["attack"]["distances"] for record in whole[0]) or protocol == "buffered"


def test_records_of_a_run_without_an_attack_know_none(small, tmp_path):
    records, _ = run(small, tmp_path / "out")
    assert all("attack" not in record for record in records)
