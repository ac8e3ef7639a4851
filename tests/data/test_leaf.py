"""LEAF's files, written here by hand or at random, and the data read from them."""

import json
import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import fl_simu as fl
from fl_simu.data.leaf import LETTERS, LeafFemnist, LeafSent140, LeafShakespeare, LeafSynthetic
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.installation import MODERN


def table(users):
    """A file of LEAF: user -> (x, y)."""
    data = {user: {"x": x, "y": y} for user, (x, y) in users.items()}
    return {"users": list(users), "num_samples": [len(y) for _, y in users.values()], "user_data": data}


def write(folder, train, test):
    """Write files by name; each is a result of `table`, or text."""
    for part, files in (("train", train), ("test", test)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            text = content if isinstance(content, str) else json.dumps(content)
            (folder / part / name).write_text(text, encoding="utf-8")
    return str(folder)


def tweet(text, number=1):
    return [number, "Mon Apr 06 22:19:45 PDT 2009", "NO_QUERY", "somebody", text, "training"]


def same(samples, images, labels, ues=None):
    assert samples.images.dtype == torch.float32 and samples.labels.dtype == torch.int64
    assert samples.images.shape[1:3] == (1, 28) or samples.images.shape[1:3] == (1, 1)
    rows = samples.images.reshape(len(samples), -1).numpy()
    assert np.array_equal(rows, np.array(images, np.float32))
    assert samples.labels.tolist() == labels
    assert ues is None or samples.ues.tolist() == ues


def test_femnist_value_by_value(tmp_path):
    """Files by name, users in the order of `users`, not of `user_data`; one user has no training samples."""
    rows = {
        user: [[k / 8] * 783 + [1.0] for k in ks] for user, ks in {"f1": (1, 2), "f0": (3,), "f9": (4,)}.items()
    }
    first = table({"f1": (rows["f1"], [61, 0]), "f0": (rows["f0"], [36])})
    first["user_data"] = {user: first["user_data"][user] for user in ("f0", "f1")}
    first["hierarchies"] = ["a", "b"]
    second = table({"empty": ([], []), "f9": (rows["f9"], [7.0])})
    test = table({"f9": ([[0] * 784], [1]), "stranger": ([[1] * 784], [2])})
    path = write(tmp_path, {"b.json": second, "a.json": first, "notes.txt": "x"}, {"t.json": test})
    source = LeafFemnist(path)
    data = source.load()
    assert (data.name, data.classes, source.shape, source.classes) == ("leaf_femnist", 62, (1, 28, 28), 62)
    assert data.source == f"folder {path}"
    same(data.train, rows["f1"] + rows["f0"] + rows["f9"], [61, 0, 36, 7], [0, 0, 1, 2])
    same(data.test, [[0] * 784, [1] * 784], [1, 2])
    assert data.test.ues is None
    fl.laws.check(source)


def test_shakespeare_value_by_value(tmp_path):
    """Indices in LEAF's alphabet, counted by hand: newline 0, blank 1, digits 11 to 20, A 25, [ 51, a 53, } 79."""
    by_hand = {
        "\n": 0,
        " ": 1,
        "!": 2,
        "0": 11,
        "9": 20,
        ":": 21,
        "?": 24,
        "A": 25,
        "Z": 50,
        "[": 51,
        "a": 53,
        "z": 78,
    }
    assert {letter: LETTERS.index(letter) for letter in by_hand} == by_hand and len(set(LETTERS)) == 80
    text = "To be:\n" + "z" * 72 + "}"
    places = [44, 67, 1, 54, 57, 21, 0] + [78] * 72 + [79]
    train = table({"HAMLET": ([text, "a" * 80], ["!", "}"]), "GHOST": ([" " * 80], ["\n"])})
    path = write(tmp_path, {"a.json": train}, {"a.json": table({"GHOST": (["A" * 80], ["Z"])})})
    source = LeafShakespeare(path)
    data = source.load()
    assert (source.shape, source.classes, source.symbols, data.classes) == ((1, 1, 80), 80, 80, 80)
    same(data.train, [places, [53] * 80, [1] * 80], [2, 79, 0], [0, 0, 1])
    same(data.test, [[25] * 80], [50])
    fl.laws.check(source)


def test_sent140_counts_the_most_frequent_words_of_the_training_tweets(tmp_path):
    train = table(
        {"ann": ([tweet("Good good day!"), tweet("bad... it's DAY @x")], [1, 0]), "bob": ([tweet("!")], ["0"])}
    )
    test = table({"bob": ([tweet("good, Bad! it's new good day day day")], [1])})
    path = write(tmp_path, {"a.json": train}, {"a.json": test})
    # . 3 times; ! day good twice; bad it's x once. Equal counts are in alphabetical order.
    data = LeafSent140(path, words=6).load()
    same(data.train, [[0, 1, 1, 2, 0, 0], [3, 0, 1, 0, 1, 1], [0, 1, 0, 0, 0, 0]], [1, 0, 0], [0, 0, 1])
    same(data.test, [[0, 1, 3, 2, 1, 1]], [1])
    assert data.train.images.shape[1:] == LeafSent140(path, words=6).shape == (1, 1, 6)
    same(LeafSent140(path, words=2).load().train, [[0, 1], [3, 0], [0, 1]], [1, 0, 0])
    with pytest.raises(UserError, match=r"data.words = 8 is not allowed: at most 7, the different words"):
        LeafSent140(path, words=8).load()
    fl.laws.check(LeafSent140(path, words=6))


NAMES = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=5) | st.sampled_from(["x", "y"])
NUMBERS = st.floats(-1e6, 1e6, width=32) | st.integers(-99, 99)


@st.composite
def parts(draw):
    """Training and test users, in files: rows of one length, classes up to 4, some classes as floats."""
    width = draw(st.integers(1, 4))

    def users(names):
        made = {}
        for name in names:
            rows = draw(st.lists(st.lists(NUMBERS, min_size=width, max_size=width), max_size=3))
            made[name] = rows, [draw(st.sampled_from([0, 1, 4, 2.0])) for _ in rows]
        return made

    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    cut = draw(st.integers(0, len(names)))
    return [users(names[:cut]), users(names[cut:])], users(draw(st.lists(NAMES, max_size=3, unique=True)))


@given(parts())
def test_what_is_written_is_read(given_parts):
    train, test = given_parts
    flat = [(rows, y) for users in train for rows, y in users.values() if y]
    with tempfile.TemporaryDirectory() as folder:
        files = {f"{number}.json": table(users) for number, users in enumerate(train)}
        source = LeafSynthetic(write(Path(folder), files, {"t.json": table(test)}))
        tested = [row for rows, _ in test.values() for row in rows]
        if not flat or not tested or len(tested[0]) != len(flat[0][0][0]):
            with pytest.raises(UserError):
                source.load()
            return
        data = source.load()
        labels = [one for _, y in flat for one in y]
        same(
            data.train,
            [row for rows, _ in flat for row in rows],
            labels,
            [ue for ue, (_, y) in enumerate(flat) for _ in y],
        )
        test_labels = [one for _, y in test.values() for one in y]
        same(data.test, tested, test_labels)
        assert source.classes == data.classes == max(2, 1 + max(labels + test_labels))
        assert source.shape == (1, 1, len(tested[0]))
        fl.laws.check(source)


def edited(change, user="u"):
    """A valid file with one change."""
    content = table({"t": ([[0.5] * 784], [3]), user: ([[0.0] * 784, [1.0] * 784], [1, 2])})
    change(content, content["user_data"][user])
    return content


def setting(place, value):
    """A change of one item of a user's x or y."""

    def change(content, own):
        inside = own
        for step in place[:-1]:
            inside = inside[step]
        inside[place[-1]] = value

    return change


@pytest.mark.parametrize(
    "content, line",
    [
        ("{", "train/a.json: damaged, or not what its name says: Expecting property name"),
        ("[" * 100_000, "train/a.json: damaged, or not what its name says: nested too deep"),
        ("[]", "train/a.json: is no table of users"),
        ('{"users": [], "users": []}', "train/a.json: damaged.*'users' stands twice in one table"),
        ("{}", "train/a.json: lacks users, num_samples, user_data"),
        ('{"users": {}, "num_samples": [], "user_data": {}}', "train/a.json: users and num_samples are lists"),
        ('{"users": [], "num_samples": [], "user_data": {}}', "train: there is no sample in its files"),
        (edited(lambda all, own: all["num_samples"].pop()), "train/a.json: 2 users and 1 num_samples"),
        (edited(lambda all, own: all["num_samples"].__setitem__(1, 3)), "num_samples says 3, and there are 2"),
        (edited(lambda all, own: own["y"].pop()), "x has 2 samples, and y 1"),
        (edited(lambda all, own: own.pop("y")), "lacks x or y"),
        (edited(setting(["x"], "text")), "lacks x or y"),
        (edited(lambda all, own: all["user_data"].pop("u")), "is not in user_data"),
        (
            edited(lambda all, own: all.update(users=["u", "u"], num_samples=[2, 2])),
            "is not in user_data, or stands in users twice",
        ),
        (edited(lambda all, own: all["user_data"].update(u=0, v=all["user_data"]["u"])), "lacks x or y"),
        (edited(setting(["x", 1, 5], math.nan)), "x holds NaN, or numbers that are infinite in float32"),
        (edited(setting(["x", 1, 5], 1e39)), "x holds NaN, or numbers that are infinite in float32"),
        (edited(setting(["x", 1, 5], 10**400)), "x holds NaN, or numbers that are infinite in float32"),
        (edited(setting(["x", 1, 5], "0.5")), "a row of x is no list of numbers"),
        (edited(setting(["x", 1, 5], [0.5])), "a row of x is no list of numbers"),
        (edited(setting(["x", 1], 5)), "a row of x is no list of numbers"),
        (edited(setting(["x", 1], [0.5] * 783)), "rows of x have 783 and 784 numbers"),
        (edited(setting(["x"], [[0.5] * 783] * 2)), "rows of x have 783 numbers; they are the 784 pixels"),
        (edited(setting(["x", 1, 5], 255)), "pixels from 0 to 255; they are in 0..1"),
        (edited(setting(["y", 1], 62)), "label 62; labels are 0 to 61"),
        (edited(setting(["y", 1], -1)), "a label is no whole number, at least 0"),
        (edited(setting(["y", 1], 1.5)), "a label is no whole number, at least 0"),
        (edited(setting(["y", 1], math.nan)), "a label is no whole number, at least 0"),
        (edited(setting(["y", 1], True)), "a label is no whole number, at least 0"),
        (edited(setting(["y", 1], "1")), "a label is no whole number, at least 0"),
    ],
)
def test_a_fault_is_one_line_with_file_and_user(tmp_path, content, line):
    source = LeafFemnist(write(tmp_path, {"a.json": content}, {"a.json": edited(lambda all, own: None)}))
    with pytest.raises(UserError, match=line) as told:
        source.load()
    assert "\n" not in str(told.value) and len(str(told.value)) < len(str(tmp_path)) + 200
    if isinstance(content, dict) and "num_samples;" not in line and " users and " not in line:
        assert f"{tmp_path / 'train' / 'a.json'}: user 'u': " in str(told.value)


@pytest.mark.parametrize(
    "make, train, line",
    [
        (
            LeafShakespeare,
            {"a.json": table({"u": (["a" * 79 + "#"], ["a"])})},
            "user 'u': character '#' is none of",
        ),
        (
            LeafShakespeare,
            {"a.json": table({"u": (["a" * 80], ["\u00e9"])})},
            "user 'u': character 'é' is none of",
        ),
        (
            LeafShakespeare,
            {"a.json": table({"u": (["a" * 80], ["\U0001f600"])})},
            "user 'u': character .* is none",
        ),
        (
            LeafShakespeare,
            {"a.json": table({"u": (["a" * 80], ["ab"])})},
            "user 'u': a label is no single character",
        ),
        (LeafShakespeare, {"a.json": table({"u": (["a" * 81], ["a"])})}, "user 'u': a row of x is no text of 80"),
        (LeafSent140, {"a.json": table({"u": ([["good"]], [1])})}, "user 'u': a row of x is no list of id, date"),
        (LeafSent140, {"a.json": table({"u": ([tweet("good")], [4])})}, "user 'u': label 4; labels are 0 to 1"),
        (
            LeafSynthetic,
            {"a.json": table({"t": ([[1]], [1])}), "b.json": table({"u": ([[1, 2]], [1])})},
            "b.json: user 'u': rows of x have 2 numbers, and those of the first user 1",
        ),
        (
            LeafSynthetic,
            {"a.json": table({"u": ([[1]], [1])}), "b.json": table({"u": ([[1]], [1])})},
            "b.json: user 'u': .*a.json: user 'u' is the same user",
        ),
        (LeafSynthetic, {}, "^data.path = .* is not allowed: its folder train has no .json file"),
    ],
)
def test_faults_of_each_data_set(tmp_path, make, train, line):
    source = make(write(tmp_path, train, train))
    with pytest.raises(UserError, match=line) as told:
        source.load()
    assert "\n" not in str(told.value)


def test_what_is_not_there_and_what_cannot_be_are_one_line(tmp_path):
    for path in (str(tmp_path / "no"), "a\0b"):
        with pytest.raises(UserError, match=r"^data.path = .* is not allowed: "):
            LeafFemnist(path).load()
    with pytest.raises(UserError, match=r"words = 0 is not allowed"):
        LeafSent140("x", words=0)


def test_users_are_the_ues(tmp_path):
    """A run with them equals a run with the same samples in Python; a changed file is read again."""
    rng = np.random.RandomState(1)
    users = {f"f{k}": (rng.rand(4 + k, 784).round(3).tolist(), [k, 61, 9, 5, 6, 7][: 4 + k]) for k in range(3)}
    path = write(tmp_path, {"a.json": table(users)}, {"a.json": table({"g": users["f2"]})})
    small = {"rounds": 1, "model": "logistic_regression", "backend": "torch", "partition": "by_ue", "ues": 3}
    data = {"name": "leaf_femnist", "path": path}
    run = fl.run(fl.Experiment.parse({**small, "data": data}))
    own = {
        ue: (np.array(x, np.float32).reshape(-1, 1, 28, 28), np.array(y))
        for ue, (x, y) in enumerate(users.values())
    }
    other = fl.run(fl.Experiment.parse(small).with_(data=(own, own[2])))
    assert run.summary.model_sha256 == other.summary.model_sha256
    with pytest.raises(UserError, match="ues = 2 is not allowed: 3, as many as the data have parts"):
        fl.run(fl.Experiment.parse({**small, "data": data, "ues": 2}))
    write(tmp_path, {"a.json": table({"f0": users["f1"], "f1": users["f0"], "f2": users["f2"]})}, {})
    assert fl.run(fl.Experiment.parse({**small, "data": data})).summary.model_sha256 != run.summary.model_sha256


@pytest.fixture
def plays(tmp_path):
    """An experiment on three roles with a few lines of random characters."""
    draws, letters = np.random.RandomState(1), list(LETTERS)

    def lines(count):
        return ["".join(draws.choice(letters, 80)) for _ in range(count)], list(draws.choice(letters, count))

    train = table({"KING": lines(3), "FOOL": lines(4), "GHOST": lines(5)})
    path = write(tmp_path, {"a.json": train}, {"a.json": table({"FOOL": lines(4)})})
    data = {"name": "leaf_shakespeare", "path": path}
    return {"rounds": 1, "ues": 3, "partition": "by_ue", "data": data, "training": {"batch_size": 4}}


def test_characters_go_through_backends_as_pixels_do(plays, reused_actors):
    plays["model"] = "leaf_lstm"
    runs = [
        fl.run(fl.Experiment.parse(dict(plays, backend=one))) for one in ("torch", {"name": "ray", "actors": 1})
    ]
    assert runs[0].summary.model_sha256 == runs[1].summary.model_sha256
    assert runs[0].records[0].loss == pytest.approx(math.log(80), rel=0.05)


class Bag(nn.Module):
    """A score for each character, to which every character of the text contributes."""

    def __init__(self, shape, classes):
        super().__init__()
        self.embedding = nn.Embedding(classes, classes)

    def forward(self, x):
        return self.embedding(x.flatten(1).long()).mean(dim=1)


@pytest.mark.skipif(not MODERN, reason="torch.func needs the modern stack")
def test_a_stack_is_tried_on_characters(plays):
    """A stackable model of characters must not be refused because of its output on random pixels."""
    with pytest.raises(UserError, match=r"with a model that torch.func cannot batch"):
        fl.run(fl.Experiment.parse(dict(plays, model="leaf_lstm", backend="vectorized")))
    one, other = (
        fl.run(fl.Experiment.parse(dict(plays, backend=name)).with_(model=Bag)) for name in ("torch", "vectorized")
    )
    assert one.records[0].loss == pytest.approx(other.records[0].loss, rel=1e-5)
