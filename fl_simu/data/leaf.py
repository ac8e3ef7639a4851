"""Data of LEAF, the benchmark of federated data sets: the JSON files that LEAF's own scripts write."""

import functools
import re
from abc import abstractmethod
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch

from fl_simu.data.datasets import Dataset, DataSource, Samples, Shape
from fl_simu.data.formats import read_json
from fl_simu.kernel.errors import UserError, require, shown
from fl_simu.kernel.limits import require_count

KEYS = ("users", "num_samples", "user_data")
# LEAF's `ALL_LETTERS`: the number of a character is its position here.
LETTERS = "\n !\"&'(),-.0123456789:;>?ABCDEFGHIJKLMNOPQRSTUVWXYZ[]abcdefghijklmnopqrstuvwxyz}"
# The tokens into which LEAF splits a tweet.
WORD = re.compile(r"[\w']+|[.,!?;]")
# The columns of a tweet: id, date, query, user, text.
TEXT = 4
NUMBERS = {int, float}

# Path, modification time in ns, size in bytes.
File = Tuple[str, int, int]


class Rows(NamedTuple):
    """The samples of one user, in compact form.

    Fields:
        where: file and user, for messages.
        x: the result of `Leaf.kept`.
        y: int64 labels, (n,).
    """

    where: str
    x: Any
    y: np.ndarray


class Fault(NamedTuple):
    """A phrase for what is wrong with the samples of a user."""

    what: str


@dataclass(frozen=True)
class Leaf(DataSource):
    """A data set of LEAF: `train/*.json` and `test/*.json` of a folder, as LEAF's own scripts write them.

    The files hold `{"users": [...], "num_samples": [...], "user_data": {user: {"x": [...], "y": [...]}}}`. Other
    keys, such as `hierarchies`, are not read. Nothing is downloaded.

    The users of the training files are the UEs. They are numbered from 0, in the order of the file names and of
    `users` in each file; a user without a training sample is not a UE. The partition `by_ue` gives each UE its own
    samples, with `ues` equal to the number of users. The samples of all test users form one test set, including
    users without a training sample. One file is read at a time, and its users are packed one by one.

    Args:
        path: the folder that holds `train` and `test`.
    """

    path: str

    name: ClassVar[str]

    def load(self, data_dir: Optional[Path] = None) -> Dataset:
        """Read the files.

        Raises:
            UserError: a file is missing or invalid; the message, one line, names the file and the user.
        """
        return _read(self, self._files("train"), self._files("test"))

    @abstractmethod
    def kept(self, x: Sequence[Any]) -> Any:
        """A user's x in compact form, with one row per sample.

        Raises:
            ValueError: the data are invalid; the message is a phrase with the reason.
        """

    def labels(self, y: Sequence[Any]) -> np.ndarray:
        """A user's y as int64 labels (n,).

        Raises:
            ValueError: as for `kept`.
        """
        if not set(map(type, y)) <= NUMBERS or not all(0 <= one < 2**31 and one == int(one) for one in y):
            raise ValueError("a label is no whole number, at least 0")
        return np.array(y, np.int64)

    def images(self, train: List[Rows], test: List[Rows]) -> Tuple[np.ndarray, np.ndarray]:
        """Training and test images, float32 (N, C, H, W); the lists are emptied, so that no data are in memory
        twice.
        """
        return _filled(train, self.shape), _filled(test, self.shape)

    def counted(self, train: np.ndarray, test: np.ndarray) -> int:
        """Number of classes, given the labels."""
        return self.classes

    def _files(self, part: str) -> Tuple[File, ...]:
        folder = Path(self.path) / part
        try:
            paths = sorted(path for path in folder.iterdir() if path.suffix == ".json")
            about = [(str(path), path.stat()) for path in paths]
        except (OSError, ValueError) as error:
            raise self._refused(f"its folder {part}: {getattr(error, 'strerror', error)}") from None
        if not about:
            raise self._refused(f"its folder {part} has no .json file")
        return tuple((path, one.st_mtime_ns, one.st_size) for path, one in about)

    def _refused(self, why: str) -> UserError:
        return UserError(f"data.path = {shown(self.path)} is not allowed: {why}")


class _Numbers(Leaf):
    """Rows of numbers."""

    def kept(self, x: Sequence[Any]) -> np.ndarray:
        if not all(isinstance(row, list) and set(map(type, row)) <= NUMBERS for row in x):
            raise ValueError("a row of x is no list of numbers")
        widths = set(map(len, x))
        if len(widths) > 1 or 0 in widths:
            raise ValueError(f"rows of x have {' and '.join(map(str, sorted(widths)[:2]))} numbers")
        try:
            with np.errstate(over="ignore"):
                rows = np.array(x, np.float64).astype(np.float32)
        except OverflowError:
            rows = np.array([np.inf])
        if not np.isfinite(rows).all():
            raise ValueError("x holds NaN, or numbers that are infinite in float32")
        return rows


@dataclass(frozen=True)
class LeafFemnist(_Numbers):
    """Handwritten digits and letters by writer, 28x28 grey: 62 classes, 0-9, A-Z, a-z.

    Pixels are as in LEAF, in 0..1 with a white background of 1. `leaf_cnn` is LEAF's model for them.

    Reference: of all four, Caldas et al. 2018, "LEAF: A Benchmark for Federated Settings", and its code.
    """

    name = "leaf_femnist"
    shape = (1, 28, 28)
    classes = 62

    def kept(self, x: Sequence[Any]) -> np.ndarray:
        rows = super().kept(x)
        if len(rows) and rows.shape[1] != 784:
            raise ValueError(f"rows of x have {rows.shape[1]} numbers; they are the 784 pixels of an image")
        if len(rows) and not 0 <= rows.min() <= rows.max() <= 1:
            raise ValueError(f"pixels from {rows.min():g} to {rows.max():g}; they are in 0..1")
        return rows

    def labels(self, y: Sequence[Any]) -> np.ndarray:
        return _below(super().labels(y), self.classes)


@dataclass(frozen=True)
class LeafShakespeare(Leaf):
    """Next-character prediction on Shakespeare's plays, by speaking role: 80 characters, the 81st is the label.

    A character is a number from 0 to 79, its position in LEAF's alphabet. The characters of a sample are stored as
    whole numbers in float32, as an image of 1 x 1 x 80. `leaf_lstm` is LEAF's model for it.
    """

    name = "leaf_shakespeare"
    shape = (1, 1, 80)
    classes = len(LETTERS)
    symbols = len(LETTERS)

    def kept(self, x: Sequence[Any]) -> np.ndarray:
        if not all(isinstance(row, str) and len(row) == self.shape[2] for row in x):
            raise ValueError(f"a row of x is no text of {self.shape[2]} characters")
        return _places("".join(x)).reshape(len(x), self.shape[2])

    def labels(self, y: Sequence[Any]) -> np.ndarray:
        if not all(isinstance(one, str) and len(one) == 1 for one in y):
            raise ValueError("a label is no single character")
        return _places("".join(y)).astype(np.int64)


@dataclass(frozen=True)
class LeafSent140(Leaf):
    """Sentiment of a tweet, sad (0) or glad (1), by author: a bag of words.

    LEAF's own models look words up in GloVe's vocabulary, which has to be downloaded. Here the vocabulary comes
    from the training tweets themselves: their `words` most frequent words, with ties broken alphabetically. A
    tweet is represented by the count of each of these words, an image of 1 x 1 x `words`. Words are what LEAF
    splits a tweet into: letters and digits, or one of `.,!?;`, in lower case. With `logistic_regression` the model
    is LEAF's `bag_log_reg` except for the vocabulary. A sample takes 4 `words` bytes of memory.

    Args:
        words: size of the vocabulary, 1 or more; at most the number of different words in the training tweets.
    """

    words: int = 1000

    name = "leaf_sent140"
    classes = 2

    def __post_init__(self) -> None:
        require_count("words", self.words)

    @property
    def shape(self) -> Shape:
        return 1, 1, self.words

    def kept(self, x: Sequence[Any]) -> List[str]:
        if not all(isinstance(row, list) and len(row) > TEXT and isinstance(row[TEXT], str) for row in x):
            raise ValueError("a row of x is no list of id, date, query, user, text")
        return [row[TEXT].lower() for row in x]

    def labels(self, y: Sequence[Any]) -> np.ndarray:
        # LEAF's own models convert each label to an int.
        return _below(super().labels([int(one) if one in ("0", "1") else one for one in y]), self.classes)

    def images(self, train: List[Rows], test: List[Rows]) -> Tuple[np.ndarray, np.ndarray]:
        counts = Counter(word for user in train for text in user.x for word in WORD.findall(text))
        allowed = f"at most {len(counts)}, the different words of the training tweets"
        require(self.words <= len(counts), "data.words", self.words, allowed)
        frequent = sorted(counts, key=lambda word: (-counts[word], word))[: self.words]
        places = {word: place for place, word in enumerate(frequent)}
        return _bags(train, places), _bags(test, places)


@dataclass(frozen=True)
class LeafSynthetic(_Numbers):
    """LEAF's synthetic data, as written by its generator: rows of numbers, of one length for all users.

    A row counts as an image of 1 x 1 x its length; the classes run from 0 to the largest label. Any other data in
    LEAF's format whose x are rows of numbers can be read too. `synthetic` generates its own data and needs no
    file.
    """

    name = "leaf_synthetic"

    @property
    def shape(self) -> Shape:
        _, channels, height, width = self.load().train.images.shape
        return channels, height, width

    @property
    def classes(self) -> int:
        return self.load().classes

    def images(self, train: List[Rows], test: List[Rows]) -> Tuple[np.ndarray, np.ndarray]:
        width = train[0].x.shape[1]
        for user in (*train, *test):
            if user.x.shape[1] != width:
                told = f"rows of x have {user.x.shape[1]} numbers, and those of the first user {width}"
                raise UserError(f"{user.where}: {told}")
        return _filled(train, (1, 1, width)), _filled(test, (1, 1, width))

    def counted(self, train: np.ndarray, test: np.ndarray) -> int:
        return max(2, 1 + int(max(train.max(), test.max())))


# Only one data set, since the largest ones take much of the memory.
@functools.lru_cache(maxsize=1)
def _read(source: Leaf, train_files: Sequence[File], test_files: Sequence[File]) -> Dataset:
    train, test = (_users(source, files) for files in (train_files, test_files))
    owners = np.repeat(np.arange(len(train)), [len(user.y) for user in train])
    labels = [np.concatenate([user.y for user in users]) for users in (train, test)]
    images = [torch.from_numpy(part) for part in source.images(train, test)]
    dealt = Samples(images[0], torch.from_numpy(labels[0]), torch.from_numpy(owners))
    tested = Samples(images[1], torch.from_numpy(labels[1]))
    return Dataset(source.name, dealt, tested, source.counted(*labels), f"folder {source.path}")


def _users(source: Leaf, files: Sequence[File]) -> List[Rows]:
    """The users of these files that have a sample, in order."""
    found: Dict[str, Rows] = {}
    for path, _, _ in files:
        for user, rows in _users_of(source, path):
            if user in found:
                raise UserError(f"{rows.where}: {found[user].where} is the same user")
            found[user] = rows
    used = [rows for rows in found.values() if len(rows.y)]
    if not used:
        raise UserError(f"{Path(files[0][0]).parent}: there is no sample in its files")
    return used


def _users_of(source: Leaf, path: str) -> Iterator[Tuple[str, Rows]]:
    """The users of a file, in the order of its `users`."""
    found = _parsed(source, path)
    if not isinstance(found, dict):
        raise UserError(f"{path}: is no table of users")
    lacking = [key for key in KEYS if key not in found]
    if lacking:
        raise UserError(f"{path}: lacks {', '.join(lacking)}")
    users, counts, data = (found[key] for key in KEYS)
    if not (isinstance(users, list) and isinstance(counts, list) and isinstance(data, dict)):
        raise UserError(f"{path}: users and num_samples are lists, and user_data is a table")
    if len(users) != len(counts):
        raise UserError(f"{path}: {len(users)} users and {len(counts)} num_samples")
    for user, count in zip(users, counts):
        where = f"{path}: user {shown(user)}"
        if not isinstance(user, str) or user not in data:
            raise UserError(f"{where}: is not in user_data, or stands in users twice")
        yield user, _checked(where, data.pop(user), count)
    for user in data:
        raise UserError(f"{path}: user {shown(user)}: is in user_data, and not in users")


def _checked(where: str, rows: Any, count: Any) -> Rows:
    if not isinstance(rows, (Rows, Fault)):
        raise UserError(f"{where}: lacks x or y, which are lists")
    if isinstance(rows, Fault):
        raise UserError(f"{where}: {rows.what}")
    if len(rows.x) != len(rows.y):
        raise UserError(f"{where}: x has {len(rows.x)} samples, and y {len(rows.y)}")
    if count != len(rows.y):
        raise UserError(f"{where}: num_samples says {shown(count)}, and there are {len(rows.y)}")
    return rows._replace(where=where)


def _parsed(source: Leaf, path: str) -> Any:
    """A file, with `Rows` or a `Fault` in place of each user's x and y. Users are packed at once, since a complete
    file would take several times the memory as lists of Python numbers.
    """

    def packed(table: Dict[str, Any]) -> Any:
        x, y = table.get("x"), table.get("y")
        if not (isinstance(x, list) and isinstance(y, list)):
            return table
        try:
            return Rows("", source.kept(x), source.labels(y))
        except ValueError as error:
            return Fault(str(error))

    return read_json(Path(path), packed)


def _below(labels: np.ndarray, classes: int) -> np.ndarray:
    if len(labels) and labels.max() >= classes:
        raise ValueError(f"label {labels.max()}; labels are 0 to {classes - 1}")
    return labels


# Indexed by the code of a character; the last entry is for all others.
PLACES = np.full(256, len(LETTERS), np.uint8)
PLACES[[ord(letter) for letter in LETTERS]] = np.arange(len(LETTERS))


def _places(text: str) -> np.ndarray:
    """The position of each character in the alphabet, uint8."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    places = PLACES[np.minimum(codes, len(PLACES) - 1)]
    unknown = np.flatnonzero(places == len(LETTERS))
    if len(unknown):
        raise ValueError(f"character {shown(text[unknown[0]])} is none of LEAF's {len(LETTERS)}")
    return places


def _filled(users: List[Rows], shape: Shape) -> np.ndarray:
    """The rows of all users, one after the other, as float32 (N, *shape); the list is emptied."""
    images = np.empty((sum(len(user.y) for user in users), *shape), np.float32)
    users.reverse()
    end = 0
    while users:
        rows = users.pop().x
        images[end : end + len(rows)] = rows.reshape(len(rows), *shape)
        end += len(rows)
    return images


def _bags(users: List[Rows], places: Mapping[str, int]) -> np.ndarray:
    """The count of each word in each text, float32 (N, 1, 1, words); the list is emptied."""
    bags = np.zeros((sum(len(user.y) for user in users), 1, 1, len(places)), np.float32)
    texts = (text for user in users for text in user.x)
    for bag, text in zip(bags.reshape(len(bags), -1), texts):
        for word in WORD.findall(text):
            if word in places:
                bag[places[word]] += 1
    users.clear()
    return bags
