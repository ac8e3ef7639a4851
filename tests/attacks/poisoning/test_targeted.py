"""Each targeted attack against the same steps written out in numpy on a linear model."""

import numpy as np
import pytest
import torch

from fl_simu.attacks.poisoning.base import Knowledge, Targets, others_update
from fl_simu.attacks.poisoning.targeted import AlternatingMinimisation, Boosting, Concatenated, DataPoisoning
from fl_simu.kernel.errors import BadField
from fl_simu.kernel.parameters import params_of
from fl_simu.kernel.randomness import permutation, stream
from fl_simu.models import LogisticRegression
from fl_simu.ue.optimizers import Sgd
from fl_simu.ue.training import Key, LocalTraining, Shard, initial_params

SHAPE, CLASSES, LR, KEY = (1, 1, 3), 4, 0.3, Key(7, 2, 5)
MODEL = LogisticRegression()
TRAINING = LocalTraining(lambda: MODEL.build(SHAPE, CLASSES), MODEL.loss, Sgd(lr=LR), epochs=1, batch_size=4)
DRAWS = np.random.RandomState(1)
IMAGES = DRAWS.randn(10, 3).astype(np.float32)
LABELS = DRAWS.randint(0, CLASSES, 10)
ROWS = np.array([8, 1, 5, 9, 2, 4])
TARGETS, WANTED = DRAWS.randn(2, 3).astype(np.float32), np.array([3, 0])
START = initial_params(TRAINING.make_module, 1)


class Linear:
    """Weights (classes, inputs) and biases in float64, and gradient descent on the mean cross-entropy."""

    def __init__(self, params):
        self.w, self.b = (params[name].double().numpy() for name in ("1.weight", "1.bias"))

    def gradient(self, x, y):
        scores = np.exp(x @ self.w.T + self.b)
        error = (scores / scores.sum(axis=1, keepdims=True) - np.eye(CLASSES)[y]) / len(y)
        return error.T @ x, error.sum(axis=0)

    def step(self, x, y, near=None, rho=0.0, biases_too=True, boost=(1.0, 1.0)):
        gw, gb = self.gradient(x, y)
        if near is not None:
            gw, gb = gw + rho * (self.w - near.w), gb + rho * (self.b - near.b) * biases_too
        self.w, self.b = self.w - boost[0] * LR * gw, self.b - boost[1] * LR * gb

    def params(self):
        return {"1.weight": self.w, "1.bias": self.b}


def shape_images(rows):
    return torch.from_numpy(rows).view(-1, *SHAPE)


def benign():
    """The model that the UE would send if it were benign."""
    module = TRAINING.make_module()
    module.load_state_dict(START)
    optimizer = TRAINING.optimizer.build(module.parameters())
    for order in TRAINING.orders(KEY, len(ROWS)):
        rows = ROWS[order.numpy()]
        TRAINING.step(module, optimizer, shape_images(IMAGES[rows]), torch.from_numpy(LABELS[rows]))
    return params_of(module)


def knowledge(**changes):
    known = {
        "key": KEY,
        "params": START,
        "shard": Shard(shape_images(IMAGES), torch.from_numpy(LABELS), torch.from_numpy(ROWS)),
        "classes": CLASSES,
        "training": TRAINING,
        "module": TRAINING.make_module(),
        "targets": Targets(shape_images(TARGETS), torch.from_numpy(WANTED)),
        "drawn": 5,
        "benign": benign,
    }
    return Knowledge(**dict(known, **changes))


def moved(start, end, boost=(1.0, 1.0), extra=None):
    """start + boost * (end - start) + extra, weights and biases apart."""
    names = {"1.weight": boost[0], "1.bias": boost[1]}
    return {
        name: start[name].double().numpy()
        + factor * (end.params()[name] - start[name].double().numpy())
        + (extra[name] if extra else 0)
        for name, factor in names.items()
    }


def assert_same(params, wanted):
    for name, array in wanted.items():
        assert params[name].numpy() == pytest.approx(array, abs=2e-5), name


@pytest.mark.parametrize("boosted, factors", [("all", (10.0, 10.0)), ("weights", (10.0, 1.0))])
def test_boosting_multiplies_what_the_targets_teach(boosted, factors):
    attack, model = Boosting(targets=2, boosted=boosted, least_steps=4, most_steps=4), Linear(START)
    for _ in range(4):
        model.step(TARGETS, WANTED)
    assert_same(attack.poison(knowledge()), moved(START, model, factors))


def test_boosting_ends_where_the_loss_is_below_a_millionth():
    """A model that already knows the target takes only the least number of steps."""
    target = 5 * TARGETS[1:]

    def sent_by(attack, bias):
        params = {"1.weight": torch.zeros(CLASSES, 3), "1.bias": torch.tensor([bias, 0.0, 0.0, 0.0])}
        known = knowledge(params=params, targets=Targets(shape_images(target), torch.tensor([0])))
        return params, attack.poison(known)

    sure, sent = sent_by(Boosting(least_steps=0), 30.0)
    assert all(torch.equal(sent[name], sure[name]) for name in sure)
    # From a loss of 1.1 millionths it continues until then.
    _, sent = sent_by(Boosting(boost=1.0, least_steps=1, most_steps=10**6), 14.82)
    weight, bias = (sent[name].double().numpy() for name in ("1.weight", "1.bias"))
    scores = target[0].astype(np.float64) @ weight.T + bias
    # A float32 loss is a multiple of 2^-23, and eight times that is below a millionth.
    assert np.log(np.exp(scores).sum()) - scores[0] == pytest.approx(8 * 2**-23, rel=0.1)


@pytest.mark.parametrize("constrained, biases_too", [("all", True), ("weights", False)])
@pytest.mark.parametrize("constraint", ["own_benign", "others_last"])
def test_the_constraint_pulls_towards_its_reference(constraint, constrained, biases_too):
    last = {"1.weight": torch.full((CLASSES, 3), 0.3), "1.bias": torch.full((CLASSES,), -0.2)}
    known = knowledge(others_last=last)
    near = Linear(benign()) if constraint == "own_benign" else Linear({n: START[n] + last[n] for n in last})
    attack = Boosting(
        targets=2, constraint=constraint, rho=0.7, constrained=constrained, least_steps=3, most_steps=3
    )
    model = Linear(START)
    for _ in range(3):
        model.step(TARGETS, WANTED, near, 0.7, biases_too)
    assert_same(attack.poison(known), moved(START, model, (10.0, 10.0)))


def test_without_the_others_last_update_there_is_no_constraint():
    free, bound = (
        Boosting(targets=2, constraint=one, rho=1.0, most_steps=9).poison(knowledge())
        for one in ("none", "others_last")
    )
    assert all(torch.equal(free[name], bound[name]) for name in free)


def test_concatenated_adds_the_honest_update():
    model = Linear(START)
    for _ in range(2):
        model.step(TARGETS, WANTED)
    honest = {name: (tensor - START[name]).double().numpy() for name, tensor in benign().items()}
    sent = Concatenated(targets=2, least_steps=2, most_steps=2).poison(knowledge())
    assert_same(sent, moved(START, model, (10.0, 10.0), honest))


def written_out_alternating(near, boost):
    model, count = Linear(START), 0
    draws = stream(KEY.seed, "batches", KEY.ue, KEY.round)
    for _ in range(3):
        order = permutation(draws, len(ROWS))
        for begin in range(0, len(order), 4):
            rows = ROWS[order[begin : begin + 4]]
            model.step(IMAGES[rows], LABELS[rows], near, 0.4)
            count += 1
            if count % 2 == 0:
                model.step(TARGETS, WANTED, boost=boost)
    return model.params()


@pytest.mark.parametrize("boosted, factors", [("all", (3.0, 3.0)), ("weights", (3.0, 1.0))])
def test_alternating_minimisation_boosts_every_second_step(boosted, factors):
    attack = AlternatingMinimisation(
        targets=2, boost=3.0, boosted=boosted, constraint="own_benign", rho=0.4, benign_steps=2, epochs=3
    )
    assert_same(attack.poison(knowledge()), written_out_alternating(Linear(benign()), factors))


@pytest.mark.parametrize("make", [Boosting, AlternatingMinimisation], ids=lambda make: make.__name__)
@pytest.mark.parametrize("estimate", ["before", "after"])
def test_an_exact_estimate_makes_the_mean_what_the_attacker_wants(make, estimate):
    """If it is boosted by the number of UEs and knows the other updates, it alone determines the global model."""
    others = {"1.weight": torch.full((CLASSES, 3), 0.1), "1.bias": torch.full((CLASSES,), 0.05)}
    options = {"most_steps": 6} if make is Boosting else {"epochs": 2, "benign_steps": 1}
    attack = make(targets=2, boost=5.0, estimate=estimate, **options)
    sent = attack.poison(knowledge(others_last=others))
    mean = {name: START[name] + (4 * others[name] + (sent[name] - START[name])) / 5 for name in START}
    plain = make(targets=2, boost=5.0, **options)
    if estimate == "after":
        alone = plain.poison(knowledge())
        wanted = {name: START[name] + (alone[name] - START[name]) / 5 for name in START}
    else:
        moved_by_others = {name: START[name] + 0.8 * others[name] for name in START}
        there = plain.poison(knowledge(params=moved_by_others))
        wanted = {name: moved_by_others[name] + (there[name] - moved_by_others[name]) / 5 for name in START}
    assert_same(mean, {name: tensor.double().numpy() for name, tensor in wanted.items()})


def test_the_others_update_is_told_by_two_global_models():
    draws = np.random.RandomState(3)
    updates = [torch.from_numpy(draws.randn(4)) for _ in range(6)]
    before = torch.from_numpy(draws.randn(4))
    now = before + sum(updates) / 6
    told = others_update({"w": before}, {"w": now}, {"w": updates[-1]}, 6)["w"]
    assert told.numpy() == pytest.approx(np.mean([one.numpy() for one in updates[:-1]], axis=0))


def test_data_poisoning_is_honest_with_copies_of_the_targets_in_its_shard():
    known = knowledge()
    shard = DataPoisoning(targets=2, copies=3).own_data(known.shard, known.targets, CLASSES)
    rows = shard.images.index_select(0, shard.indices).view(-1, 3).numpy()
    assert np.array_equal(rows, np.concatenate([IMAGES[ROWS], *[TARGETS] * 3]))
    assert shard.labels.tolist() == [*LABELS[ROWS], *[3, 0] * 3]
    sent, honest = DataPoisoning(targets=2).poison(known), benign()
    assert all(torch.equal(sent[name], honest[name]) for name in honest)


@pytest.mark.parametrize(
    "make, field",
    [
        (lambda: Boosting(malicious=0), "malicious"),
        (lambda: Boosting(targets=0), "targets"),
        (lambda: Boosting(boost=0.0), "boost"),
        (lambda: Boosting(boosted="biases"), "boosted"),
        (lambda: Boosting(constraint="theirs"), "constraint"),
        (lambda: Boosting(rho=-1.0), "rho"),
        (lambda: Boosting(constrained="none"), "constrained"),
        (lambda: Boosting(estimate="during"), "estimate"),
        (lambda: Boosting(least_steps=-1), "least_steps"),
        (lambda: Boosting(least_steps=9, most_steps=8), "most_steps"),
        (lambda: AlternatingMinimisation(benign_steps=0), "benign_steps"),
        (lambda: AlternatingMinimisation(epochs=0), "epochs"),
        (lambda: DataPoisoning(copies=0), "copies"),
    ],
)
def test_arguments_are_checked(make, field):
    with pytest.raises(BadField, match=field):
        make()
