"""Inputs by number: (seed, number) alone determines each one, a command line and the files in its folder."""

import random
from dataclasses import fields
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Tuple, get_type_hints

from fl_simu.experiment import CHAINS, DEFAULTS, PARTS, Training
from fl_simu.parts import KINDS
from tests.fuzz import edges, files

# Settings that keep a valid run small, in TOML.
SMALL: Dict[str, Any] = {
    **{"rounds": "1", "ues": "4", "seed": "3"},
    "training": {"batch_size": "16"},
    "data": {"name": '"digits"', "train_samples": "60", "test_samples": "20"},
    "model": {"name": '"mlp"', "hidden": "[8]"},
    "channel": {"name": '"constant"'},
}
# Ray starts processes, which the fuzzer does not test.
LEFT_OUT = {"backend": ("ray",), "data": ("mnist", "fashion_mnist", "cifar10", "cifar100")}


class Input(NamedTuple):
    """A test input: the arguments of a command line, run in a folder that `prepare` has filled."""

    kind: str
    arguments: Tuple[str, ...]
    prepare: Callable[[Path], None]


def make(seed: int, number: int) -> Input:
    """The input of a number; the same for the same seed and number."""
    rng = random.Random(f"{seed}/{number}")
    kinds = (*(configs,) * 4, command_lines, data_files, json_files, run_folders, run_folders, traces)
    return rng.choice(kinds)(rng)


def configs(rng: random.Random) -> Input:
    """A run of a small experiment with random parts, some of their arguments at a limit."""
    values = {key: dict(value) if isinstance(value, dict) else value for key, value in SMALL.items()}
    for table in rng.sample(PARTS, rng.choice((0, 1, 1, 1, 2, 3))):
        names = [name for name in KINDS[table].rows if name not in LEFT_OUT.get(table, ())]
        if table != "data":
            values[table] = {"name": edges.quoted(rng.choice(names))}
    changes = [_change(rng, values) for _ in range(rng.choice((0, 1, 1, 1, 1, 2, 3)))]
    text, arguments = [], ["run", "x.toml", "--out", "out"]
    for table, key, value in changes:
        if rng.random() < 0.4 and "\x00" not in value and len(value) < 100_000:
            arguments += ["--set", f"{table}.{key}={value}" if table else f"{key}={value}"]
        elif table and isinstance(values.get(table, {}), dict):
            values.setdefault(table, {})[key] = value
        else:
            values[key or table] = value
    for key, value in sorted(values.items(), key=lambda item: isinstance(item[1], dict)):
        inside = isinstance(value, dict)
        head = f"[[{key}]]" if key in CHAINS else f"[{key}]"
        text += [head, *(f"{k} = {v}" for k, v in value.items())] if inside else [f"{key} = {value}"]
    data = "\n".join(text).encode("utf-8", "surrogatepass")
    if rng.random() < 0.04:
        data = edges.damaged(rng, data)
    if rng.random() < 0.02:
        data = rng.choice(files.TEXTS)
    return Input("config", tuple(arguments), lambda folder: files.write(folder / "x.toml", data))


def _change(rng: random.Random, values: Dict[str, Any]) -> Tuple[str, str, str]:
    """(table or "", key, value) of one change."""
    if rng.random() < 0.2:
        top = dict.fromkeys(("seed", "rounds", "ues", "ues_per_round"), "int")
        top.update(name="str", payload="str", error_feedback="", threads="int")
        key = rng.choice(sorted(top))
        return "", key, edges.literal(rng, top[key])
    if rng.random() < 0.1:
        return "training", rng.choice(sorted(field.name for field in fields(Training))), edges.literal(rng, "int")
    if rng.random() < 0.05:
        return rng.choice(("", *PARTS)), rng.choice(("x", "a" * 3000, '"é"', "name")), edges.literal(rng)
    # The drawn parts come last; they are the less tested ones.
    table = rng.choice([key for key in values if key in PARTS][-3:] * 8 + list(PARTS))
    default = DEFAULTS[table] or rng.choice(sorted(KINDS[table].rows))
    part = values.get(table, {})
    name = part.get("name", edges.quoted(default)).strip('"') if isinstance(part, dict) else default
    cls = KINDS[table].rows.get(name)
    if cls is None or not fields(cls):
        return table, "name", edges.literal(rng, "str")
    field = rng.choice(fields(cls))
    hint = str(get_type_hints(cls)[field.name])
    likely = next((kind for kind in ("int", "float", "str") if kind in hint), "")
    value = edges.literal(rng, likely)
    return table, field.name, f"[{value}]" if "Tuple" in hint and rng.random() < 0.7 else value


def command_lines(rng: random.Random) -> Input:
    """A command with random options; most of them cannot compute for long."""

    def integer() -> str:
        return rng.choice(edges.INTEGERS + edges.LONG_INTEGERS)

    def number() -> str:
        return rng.choice(edges.FLOATS)

    def text() -> str:
        return rng.choice(edges.TEXTS + edges.ARGUMENTS)

    def path() -> str:
        there = ("x.toml", "empty.toml", "loop", "no", ".", "x.toml/y", "a/" * 2000)
        return rng.choice(edges.ARGUMENTS + there)

    def assignment() -> str:
        key = rng.choice(("lr", "codec", "model.hidden", "seed", "method.restarts"))
        return f"{key}={edges.literal(rng)}"

    run = {"--rounds": integer, "--seed": integer, "--set": assignment, "--data-dir": path, "--out": path}
    leak = {
        **{"--images": integer, "--seeds": integer, "--manual-seed": integer, "--method": text, "--codec": text},
        **{"--iterations": integer, "--layers": integer, "--local-steps": integer, "--batch-size": integer},
        **{"--jobs": integer, "--set": assignment, "--data-dir": path, "--out": path},
    }
    channel = {
        **{"--draws": integer, "--ues": integer, "--seconds": number, "--threshold": number},
        **{"--pass-rate": number, "--animate": path, "--set": assignment, "--out": path},
    }
    small_leak = ("attack", "leakage", "--set", "data=digits")
    for option in ("--images", "--seeds", "--iterations", "--jobs"):
        small_leak += (option, "1")
    lines: List[Tuple[Tuple[str, ...], Dict[str, Callable[[], str]]]] = [
        (("run", "x.toml"), {**run, "--realtime": number, "--backend": text, "--address": text}),
        (("run", path()), run),
        (("run", "--resume", path()), run),
        (("compare", "x.toml", "--backends", text()), {"--rounds": integer, "--address": text}),
        (("compare", "x.toml", "--backend", text()), {"--rounds": integer, "--backend": text}),
        (("compare", path(), "--backends", "torch,torch"), run),
        (("channel", "x.toml", "--draws", "50"), channel),
        (("channel", path(), "--draws", "50"), channel),
        ((*small_leak, "--method", text()), leak),
        (small_leak, leak),
        (("attack", "poisoning", path()), {**run, "--attack": text, "--rule": text, "--model": text}),
        (("report", path()), {"--out": path}),
        (("reproduce", text()), {"--jobs": integer, "--out": path}),
        (("list", text()), {}),
        (("data", "list"), {"--data-dir": path}),
        (("data", "fetch", text()), {"--data-dir": path}),
        (("exec", rng.choice(("no.py", "x.toml/y", "loop", "a" * 300))), {}),
        ((text(), text()), {}),
    ]
    words, options = rng.choice(lines)
    arguments = list(words)
    for option in rng.sample(sorted(options), min(len(options), rng.randrange(4))):
        arguments += [option, options[option]()]
    return Input("command line", tuple(arguments), files.put_experiments)


def data_files(rng: random.Random) -> Input:
    """A run on a data set whose files are damaged or hostile."""
    name, put = files.damaged_data(rng)
    changes = (
        f"data.name={name}",
        "data.train_samples=5",
        "data.test_samples=1",
        "model=logistic_regression",
        "ues=2",
    )
    arguments = ["run", "x.toml", "--out", "out", "--data-dir", "data"]
    for change in changes:
        arguments += ["--set", change]

    def prepare(folder: Path) -> None:
        files.put_experiments(folder)
        put(folder / "data")

    return Input("data", tuple(arguments), prepare)


def json_files(rng: random.Random) -> Input:
    """A run with LEAF data or a partition file that is damaged or strange."""
    changes, put = files.damaged_json(rng)
    arguments = ["run", "x.toml", "--out", "out"]
    for change in changes:
        arguments += ["--set", change]

    def prepare(folder: Path) -> None:
        files.put_experiments(folder)
        put(folder)

    return Input("json", tuple(arguments), prepare)


def run_folders(rng: random.Random) -> Input:
    """A damaged run folder, and a command that reads it."""
    prepare = files.damaged_run(rng)
    lines = ("run --resume run", "run --resume run --rounds 3", "report run", "report run whole --out page.html")
    return Input("run folder", tuple(rng.choice(lines).split()), prepare)


def traces(rng: random.Random) -> Input:
    """A run or a channel study over a recording that is damaged or strange."""
    name, data = files.recording(rng)
    line = rng.choice(("run x.toml --out out", "channel x.toml --draws 20 --ues 2 --out out"))
    arguments = (*line.split(), "--set", "channel.name=trace", "--set", f"channel.path={name}")

    def prepare(folder: Path) -> None:
        files.put_experiments(folder)
        files.write(folder / name, data)

    return Input("trace", arguments, prepare)
