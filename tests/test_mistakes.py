"""A user's mistake: one line with the field, the value and the allowed values; status 2; no files left."""

import gzip
import importlib.util
import struct
from typing import Callable, NamedTuple, Optional, Tuple

import pytest

from fl_simu.cli.app import main

IDX_FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


class Mistake(NamedTuple):
    """One row.

    Fields:
        id: id of the test.
        arguments: the command line; "{tmp}" is an empty folder, "{file}" a valid experiment.
        words: words that the line must contain.
        prepare: a function that puts the files of the arguments into the empty folder.
        stack: "syft", "no syft", "ray" or "no ray" if it is a mistake only with or without that package.
    """

    id: str
    arguments: Tuple[str, ...]
    words: Tuple[str, ...]
    prepare: Optional[Callable] = None
    stack: str = ""


def sets(id, assignments, *words, **others):
    """A run of the valid experiment with assignments, separated by spaces."""
    arguments = ["run", "{file}", "--out", "{tmp}/out"]
    for assignment in assignments.split():
        arguments += ["--set", assignment]
    return Mistake(id, tuple(arguments), words, **others)


def command(id, line, *words, **others):
    """Any command line, split at spaces."""
    return Mistake(id, tuple(line.split()), words, **others)


def holds(name, content):
    """Writes one file."""

    def prepare(folder):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return prepare


def link(path):
    """Makes a symbolic link to itself."""
    path.symlink_to(path)


def corrupt_mnist(change):
    """Writes four files named as MNIST's, each changed by `change(bytes)`."""

    def prepare(folder):
        (folder / "data" / "mnist").mkdir(parents=True)
        for name in IDX_FILES:
            shape = (60000 if name.startswith("train") else 10000,) + ((28, 28) if "idx3" in name else ())
            header = struct.pack(f">{1 + len(shape)}I", 0x0800 + len(shape), *shape)
            path = folder / "data" / "mnist" / f"{name}-ubyte.gz"
            path.write_bytes(change(gzip.compress(header + bytes(shape[0]))))

    return prepare


def finished_run(folder):
    """Leaves a finished run of the valid experiment in the folder `run`."""
    assert main(["run", str(folder / "small.toml"), "--out", str(folder / "run")]) == 0


CONFIG = [
    sets("unknown key", "round=3", "round", "did you mean 'rounds'?"),
    sets("unknown key in training", "training.epoch=3", "training.epoch", "did you mean 'epochs'?"),
    sets("unknown key in a part", "codec.base_bit=3", "codec.base_bit", "did you mean 'base_bits'?"),
    sets("string for int", "rounds=many", "rounds = 'many'", "integer"),
    sets("float for int", "rounds=2.5", "rounds = 2.5", "integer"),
    sets("bool for int", "rounds=true", "rounds = True", "integer"),
    sets("list for int", "rounds=[1]", "rounds = [1]", "integer"),
    sets("date for int", "seed=2020-01-01", "seed = datetime.date(2020, 1, 1)", "integer"),
    sets("nothing for int", "rounds=", "rounds = ''", "integer"),
    sets("int for bool", "training.keep_optimizer_state=1", "training.keep_optimizer_state = 1", "boolean"),
    sets("string for float", "optimizer.lr=fast", "optimizer.lr = 'fast'", "number"),
    sets("string in a list", 'codec.enhancement_bits=["2"]', "codec.enhancement_bits.0 = '2'", "integer"),
    sets("number for a list", "codec.enhancement_bits=2", "codec.enhancement_bits = 2", "list"),
    sets("list for a part", "codec=[1]", "codec = [1]", "a name, or a table with a name"),
    sets("number for a table", "training=5", "training = 5", "a table"),
    sets("number for a name", "codec.name=5", "codec", "5", "a name, or a table with a name"),
    sets("rounds 0", "rounds=0", "rounds = 0", "greater than or equal to 1"),
    sets("negative seed", "seed=-1", "seed = -1", "greater than or equal to 0"),
    sets("0 UEs", "ues=0", "ues = 0", "greater than or equal to 1"),
    sets("0 threads", "threads=0", "threads = 0", "greater than or equal to 1"),
    sets("too many threads", "threads=100000000", "threads = 100000000", "less than or equal to"),
    sets("batch size 0", "training.batch_size=0", "training.batch_size = 0", "greater than or equal to 1"),
    sets("vast batch", "training.batch_size=99999999999999999999", "training.batch_size", "less than or equal"),
    sets("more UEs a round than UEs", "ues_per_round=5", "ues_per_round = 5", "at most the 4 ues"),
    sets("more UEs than samples", "ues=401", "ues = 401", "1 to 400"),
    sets("bad run name", "name=../x", "name = '../x'", "match pattern"),
    sets("long run name", "name=" + "x" * 300, "name", "at most 100 characters"),
    sets("unknown payload", "payload=gradient", "payload = 'gradient'", "one of update, weights"),
    sets("error feedback of weights", "error_feedback=true", "error_feedback = True", 'say "update"'),
    sets("int for error feedback", "error_feedback=1 payload=update", "error_feedback = 1", "boolean"),
    sets("unknown backend", "backend=torsch", "backend.name = 'torsch'", "did you mean 'torch'?"),
    sets("unknown codec", "codec=afine", "codec.name = 'afine'", "did you mean 'affine'?"),
    sets("unknown channel", "channel=zzz", "channel.name = 'zzz'", "known are cell, constant, "),
    sets("unknown protocol", "protocol=dedline", "protocol.name = 'dedline'", "did you mean 'deadline'?"),
    sets("unknown model", "model=mnist_cmm", "model.name = 'mnist_cmm'", "did you mean 'mnist_cnn'?"),
    sets("unknown data", "data=emnist", "data.name = 'emnist'", "did you mean 'mnist'?"),
    sets(
        "negative Byzantine",
        "aggregation.name=krum aggregation.byzantine=-1",
        "aggregation.byzantine = -1",
        "0 or",
    ),
    sets(
        "Krum of too few",
        "aggregation.name=krum aggregation.byzantine=1",
        "aggregation.name = 'krum'",
        "needs 5 updates, and a round draws 3 UEs",
    ),
    sets(
        "average of none",
        "aggregation.name=multi_krum aggregation.byzantine=0 aggregation.take=0",
        "aggregation.take = 0",
        "at least 1",
    ),
    sets("radius 0", "aggregation.name=norm_bound aggregation.radius=0.0", "aggregation.radius = 0.0", "above 0"),
    sets(
        "infinite radius", "aggregation.name=centred_clipping aggregation.radius=inf", "aggregation.radius = inf"
    ),
    sets(
        "smoothing 0",
        "aggregation.name=geometric_median aggregation.smoothing=0.0",
        "aggregation.smoothing = 0.0",
        "above 0",
    ),
    sets("unknown attack", "attack=boost", "attack.name = 'boost'", "did you mean 'boosting'?"),
    sets(
        "all malicious", "attack.name=boosting attack.malicious=4", "attack.malicious = 4", "fewer than the 4 ues"
    ),
    sets("nobody malicious", "attack.name=sign_flip attack.malicious=0", "attack.malicious = 0", "at least 1"),
    sets("no target", "attack.name=boosting attack.targets=0", "attack.targets = 0", "at least 1"),
    sets("too many targets", "attack.name=boosting attack.targets=101", "attack.targets = 101", "100 test images"),
    sets("boost 0", "attack.name=concatenated attack.boost=0.0", "attack.boost = 0.0", "above 0"),
    sets(
        "unknown tensors",
        "attack.name=boosting attack.boosted=biases",
        "attack.boosted = 'biases'",
        "all, weights",
    ),
    sets(
        "unknown constraint",
        "attack.name=alternating_minimisation attack.constraint=mine",
        "attack.constraint = 'mine'",
        "one of none, own_benign, others_last",
    ),
    sets("unknown estimate", "attack.name=boosting attack.estimate=now", "attack.estimate = 'now'", "one of none"),
    sets("negative rho", "attack.name=boosting attack.rho=-1.0", "attack.rho = -1.0", "at least 0"),
    sets("NaN noise", "attack.name=gaussian_noise attack.deviation=nan", "attack.deviation = nan", "above 0"),
    sets("no copy", "attack.name=data_poisoning attack.copies=0", "attack.copies = 0", "at least 1"),
    sets("most below least", "attack.name=boosting attack.most_steps=4", "attack.most_steps = 4", "least_steps"),
    sets(
        "0 honest steps",
        "attack.name=alternating_minimisation attack.benign_steps=0",
        "attack.benign_steps = 0",
        "at least 1",
    ),
    sets("unknown scale", "data.scale=bytes", "data.scale = 'bytes'", "one of standard, unit"),
    sets("NaN learning rate", "optimizer.lr=nan", "optimizer.lr = nan", "a number above 0"),
    sets("negative learning rate", "optimizer.lr=-0.1", "optimizer.lr = -0.1", "a number above 0"),
    sets("infinite learning rate", "optimizer.lr=inf", "optimizer.lr = inf", "a number above 0"),
    sets("momentum 1", "optimizer.momentum=1.0", "optimizer.momentum = 1.0", "below 1"),
    sets("dropout 1", "model.dropout=1.0", "model.dropout = 1.0", "below 1"),
    sets("empty layer", "model.hidden=[0]", "model.hidden = (0,)", "at least 1"),
    sets("vast layer", "model.hidden=[1000000,1000000]", "model", "mlp", "memory"),
    sets("vaster layer", "model.hidden=[99999999999999999999]", "model.hidden", "at most 1000000"),
    sets("bits 0", "codec.base_bits=0", "codec.base_bits = 0", "1 to 16"),
    sets("bits 17", "codec.base_bits=17", "codec.base_bits = 17", "1 to 16"),
    sets("17 bits in all", "codec.base_bits=15", "codec.enhancement_bits = (2,)", "at most 16 bits"),
    sets("enhancement of 0 bits", "codec.enhancement_bits=[0]", "codec.enhancement_bits", "at least 1"),
    sets(
        "negative rate",
        "channel.name=constant channel.rate_mbps=-1",
        "channel.rate_mbps = -1",
        "1e-06 to 1e+06",
    ),
    sets("a rate below 0", "channel=notes_walk", "delay.name = 'integrated'", "take rate_at_start"),
    sets("a downlink below 0", "downlink=notes_walk", "delay.name = 'integrated'", "take rate_at_start"),
    sets("unknown downlink", "downlink=fre", "downlink.name = 'fre'", "did you mean 'free'?"),
    sets(
        "downlink of rate 0",
        "downlink.name=constant downlink.rate_mbps=0.0",
        "downlink.rate_mbps = 0.0",
        "1e-06 to 1e+06",
    ),
    sets("unknown delay", "delay=integral", "delay.name = 'integral'", "did you mean 'integrated'?"),
    sets("faults that nobody bears", "faults=dropout", "faults.name = 'dropout'", "close_s"),
    sets(
        "faults that an event does not bear",
        "protocol=event_triggered faults=crash",
        "faults.name = 'crash'",
        "deadline_s",
    ),
    sets(
        "negative movement",
        "protocol.name=event_triggered protocol.threshold=-1.0",
        "protocol.threshold = -1.0",
        "a finite number, at least 0",
    ),
    sets(
        "another absence",
        "protocol.name=event_triggered protocol.absent=first",
        "protocol.absent = 'first'",
        "one of last, out",
    ),
    sets(
        "event without time",
        "protocol.name=event_triggered protocol.deadline_s=0.0",
        "protocol.deadline_s = 0.0",
        "a number above 0",
    ),
    sets("negative spread", "channel.std_mbps=-1.0", "channel.std_mbps = -1.0", "0 to 1e+06"),
    sets("no tick", "channel.name=markov channel.tick_s=1e-300", "channel.tick_s = 1e-300", "0.0001 to 1e9"),
    sets(
        "negative deadline",
        "protocol.name=deadline protocol.deadline_s=-1",
        "protocol.deadline_s = -1",
        "a finite number above 0",
    ),
    sets("threshold NaN", "protocol.receive_s=nan", "protocol.receive_s = nan", "a number above 0"),
    sets("model that does not fit", "model=lenet", "model.name = 'lenet'", "(3, 32, 32)", "digits"),
    sets(
        "too few outputs",
        "data=cifar100 model.name=lenet model.outputs=10",
        "model.outputs = 10",
        "at least the 100 classes",
    ),
    sets(
        "more samples than the set has", "data.train_samples=1443", "data.train_samples = 1443", "from 1 to 1442"
    ),
    sets(
        "more samples than there are to deal",
        "partition.samples_per_ue=101",
        "partition.samples_per_ue = 101",
        "at most 100",
    ),
    sets("set without =", "rounds", "--set rounds", "KEY=VALUE"),
    sets("set without a key", "=3", "--set =3", "KEY=VALUE"),
    sets("set too deep", "a.b.c=3", "--set a.b.c=3", "TABLE.KEY=VALUE"),
    sets("set into a number", "rounds.x=3", "--set rounds.x=3", "rounds is no table"),
    sets("ray without ray", "backend=ray", "backend = 'ray'", "-m pip install ", "ray>=2.7", stack="no ray"),
    sets("negative actors", "backend.name=ray backend.actors=-1", "backend.actors = -1", "0 or more"),
    sets("address without port", "backend.name=ray backend.address=here", "backend.address = 'here'", "<port>"),
    sets("address of Ray Client", "backend.name=ray backend.address=ray://a:1", "'ray://a:1'", '"auto"'),
    sets(
        "nobody at the address",
        "backend.name=ray backend.address=127.0.0.1:9",
        "backend.address = '127.0.0.1:9'",
        "no Ray cluster answers there",
        stack="ray",
    ),
    sets(
        "no such port",
        "backend.name=ray backend.address=127.0.0.1:99999",
        "backend.address = '127.0.0.1:99999'",
        "no Ray cluster answers there",
        stack="ray",
    ),
    command(
        "address without ray",
        "run {file} --out {tmp}/out --address auto",
        "backend.address is no known key",
    ),
    command(
        "address for backends without",
        "compare {file} --out {tmp}/out --backends torch --address auto",
        "--address auto",
        "none of torch joins a cluster",
    ),
    sets(
        "batch norm over a last batch of one",
        "model.batch_norm=true training.batch_size=33",
        "training.batch_size = 33",
        "UE 0 has 100 samples",
        "training.drop_last = true",
    ),
    sets(
        "no full batch",
        "training.drop_last=true training.batch_size=101",
        "training.drop_last = True",
        "UE 0 has 100 samples",
        "no batch of 101",
    ),
    sets("stacks without torch 2", "backend=vectorized", "backend = 'vectorized'", "modern stack", stack="syft"),
    sets("stack with dropout", "backend=vectorized model.dropout=0.5", "random numbers", stack="no syft"),
    sets("stack with batch norm", "backend=vectorized model.batch_norm=true", "batch norm", stack="no syft"),
    sets("stack with an LSTM", "backend=vectorized model=row_lstm", "torch.func", "lstm", stack="no syft"),
    sets("no memory for a stack", "backend.name=vectorized backend.memory_mb=0", "memory_mb = 0", "at least 1"),
    sets("half a megabyte", "backend.name=vectorized backend.memory_mb=1.5", "memory_mb = 1.5", "integer"),
    sets("stack on no device", "backend.name=vectorized backend.device=tpu", "backend.device = 'tpu'", '"cpu"'),
    sets("syft with batch norm", "backend=syft model.batch_norm=true", "syft", "BatchNorm1d", stack="syft"),
    sets("syft with an LSTM", "backend=syft model=row_lstm", "syft", "LSTM", stack="syft"),
    sets("syft with Adagrad", "backend=syft optimizer=adagrad", "syft", "optimizer adagrad", stack="syft"),
]

# Numbers at the limits of a type: each argument has a range of meaningful values.
EDGES = [
    sets("seed beyond 64 bits", "seed=9223372036854775808", "seed = 9223372036854775808", "9223372036854775807"),
    sets("rounds of 60 digits", "rounds=1" + "0" * 59, "rounds = 1000", "1000000000"),
    sets("rounds of 401 digits", "rounds=1" + "0" * 400, "rounds = 10000", " ... ", "1000000000"),
    sets("rounds of 4,300 digits", "rounds=" + "9" * 4300, "rounds = a number of over 4,000 digits"),
    sets("vast number of UEs", "ues=2147483648", "ues = 2147483648", "10000000"),
    sets("endless epochs", "training.epochs=2147483648", "training.epochs = 2147483648", "1000000"),
    sets("rate that float32 lacks", "optimizer.lr=1e-300", "optimizer.lr = 1e-300", "a float32 holds"),
    sets("endless training", "compute.seconds=1e300", "compute.seconds = 1e+300", "at most 1e+09"),
    sets("tail beyond floats", "compute.name=pareto compute.shape=0.001", "compute.shape = 0.001", "0.1 to"),
    sets("Dirichlet of 1e308", "partition.name=dirichlet partition.alpha=1.8e308", "partition.alpha", "at most"),
    sets(
        "samples that no machine holds",
        "partition.name=independent partition.samples_per_ue=2147483648",
        "partition.samples_per_ue = 2147483648",
        "at most 250000000",
    ),
    sets(
        "endless copies", "attack.name=data_poisoning attack.copies=2147483648", "attack.copies", "at most 1000000"
    ),
    sets(
        "boost beyond float32", "attack.name=boosting attack.boost=1e300", "attack.boost = 1e+300", "at most 1e+30"
    ),
    sets("radius of a denormal", "aggregation.name=norm_bound aggregation.radius=5e-324", "aggregation.radius"),
    sets("deep value", "codec=" + "[" * 900 + "]" * 900, "--set VALUE", "nested too deep"),
    sets("long key", "x" * 100_000 + "=1", "xxx ... xxx", "is no known key"),
    sets("long name of a part", "codec=" + "x" * 100_000, "codec.name = 'xxx", " ... ", "known are"),
    sets("device of 20 digits", "backend.device=cuda:" + "9" * 20, "backend.device", "cuda:<index>"),
    Mistake("lone surrogate", ("run", "{file}", "--set", "name=\ud800"), ("--set 'name=\\ud800'", "no UTF-8")),
    Mistake("null byte", ("run", "a\0b"), ("'a\\x00b'", "printable")),
    Mistake("newline in a path", ("run", "{file}", "--out", "{tmp}/a\nb"), ("a\\nb", "printable")),
    Mistake("name of 300 letters", ("run", "{file}", "--out", "a" * 300), ("aaa ... aaa", "File name too long")),
    command("link to itself", "run {tmp}/loop", "loop", "symbolic links", prepare=lambda tmp: link(tmp / "loop")),
    command("nothing as FILE", "run /dev/null", "/dev/null holds no key"),
    command("no end of FILE", "run /dev/zero", "/dev/zero is no config", "over 1,048,576 bytes"),
    command(
        "empty file", "compare {tmp}/x.toml --backends torch", "x.toml holds no key", prepare=holds("x.toml", b"")
    ),
    command("channel of an empty file", "channel {tmp}/x.toml", "holds no key", prepare=holds("x.toml", b"# x")),
    command(
        "key of 100,000 parts",
        "run {tmp}/x.toml",
        "over 200 dots",
        prepare=holds("x.toml", b"a." * 10**5 + b"a=1"),
    ),
    command("deep file", "run {tmp}/x.toml", "nested too deep", prepare=holds("x.toml", b"x=" + b"[" * 10**5)),
    command(
        "no end of images", "attack leakage --set data=digits --images 1" + "0" * 24, "--images = 1", "at most"
    ),
    command("no end of seeds", "attack leakage --seeds 1" + "0" * 24, "--seeds = 1", "at most 1,000,000"),
    command("negative manual seed", "attack leakage --manual-seed -1", "--manual-seed = -1", "0 to"),
    command(
        "no end of jobs", "attack leakage --set data=digits --jobs 2147483648", "--jobs = 2147483648", "at most"
    ),
    command("rate that is a word", "attack leakage --set lr=x", "lr = 'x'", "a number"),
    command("no end of draws", "channel {file} --draws 1" + "0" * 24, "--draws 1", "at most 10,000,000"),
]

FILES = [
    command("missing file", "run {tmp}/no.toml", "no.toml", "No such file"),
    command("folder as file", "run {tmp}", "{tmp}", "Is a directory"),
    command("file below a file", "run {file}/x.toml", "x.toml", "Not a directory"),
    command(
        "no TOML",
        "run {tmp}/x.toml",
        "x.toml is no valid TOML",
        "line 1",
        prepare=holds("x.toml", b"rounds = = 3"),
    ),
    command("no text", "run {tmp}/x.toml", "x.toml is no valid TOML", prepare=holds("x.toml", b"\xff\xfe\x00r")),
    command("no file", "run", "FILE is missing", "--resume"),
    command(
        "unknown key in a file",
        "run {tmp}/x.toml",
        "rouns is no known key",
        "did you mean 'rounds'?",
        prepare=holds("x.toml", b"rouns = 3"),
    ),
    command(
        "missing data folder",
        "run {file} --set data=mnist --data-dir {tmp}/no",
        "data_dir = '{tmp}/no'",
        "must be a folder",
    ),
    command(
        "no gzip",
        "run {file} --set data=mnist --data-dir {tmp}/data --out {tmp}/out",
        "ubyte.gz: damaged",
        prepare=corrupt_mnist(lambda data: b"not gzip" + data),
    ),
    command(
        "truncated gzip",
        "run {file} --set data=mnist --data-dir {tmp}/data --out {tmp}/out",
        "ubyte.gz: damaged",
        prepare=corrupt_mnist(lambda data: data[: len(data) // 2]),
    ),
    command(
        "flipped bit in gzip",
        "run {file} --set data=mnist --data-dir {tmp}/data --out {tmp}/out",
        "ubyte.gz: damaged",
        prepare=corrupt_mnist(lambda data: data[:-6] + bytes([data[-6] ^ 1]) + data[-5:]),
    ),
    command(
        "out below a file", "run {file} --out {file}/out", "cannot write", "small.toml/out", "Not a directory"
    ),
    command("out is a file", "run {file} --out {file}", "cannot write", "small.toml", "File exists"),
    command(
        "out is not empty",
        "run {file} --out {tmp}/full",
        "--out {tmp}/full",
        "not empty",
        "--resume {tmp}/full",
        prepare=holds("full/x", b""),
    ),
    command("out with resume", "run --resume {tmp} --out {tmp}/out", "--out {tmp}/out", "--resume"),
    command("resume nothing", "run --resume {tmp}/no", "--resume {tmp}/no", "no run is there"),
    command("resume a file", "run --resume {file}", "--resume {file}", "no run is there"),
    command(
        "resume with another codec",
        "run --resume {tmp}/run --set codec=float32",
        "codec = {{'name': 'float32'}} is not allowed with --resume {tmp}/run",
        "that run has",
        "'affine'",
        prepare=finished_run,
    ),
    command(
        "resume with another seed",
        "run --resume {tmp}/run --seed 4",
        "seed = 4 is not allowed with --resume {tmp}/run",
        "that run has 3",
        prepare=finished_run,
    ),
    command(
        "resume with fewer rounds",
        "run --resume {tmp}/run --rounds 1",
        "rounds = 1 is not allowed",
        "has 2 already",
        prepare=finished_run,
    ),
]

COMMANDS = [
    command("realtime 0", "run {file} --realtime 0", "--realtime 0.0", "at least 1e-6"),
    command("realtime NaN", "run {file} --realtime nan", "--realtime nan", "at least 1e-6"),
    command("realtime a word", "run {file} --realtime fast", "--realtime", "fast", "float"),
    command("rounds a word", "run {file} --rounds many", "--rounds", "many", "integer"),
    command("unknown command", "rum", "rum", "No such command"),
    command("unknown option", "run {file} --round 3", "--round"),
    command("unknown kind", "list codec", "KIND = 'codec'", "did you mean 'codecs'?"),
    command("same backend twice", "compare {file} --backends torch,torch", "backend torch", "twice"),
    command("compare with no backend", "compare {file}", "--backends"),
    command("compare with no table", "compare {file} --backend {{name=torch", "--backend '{{name=torch'"),
    command("compare with a nameless one", "compare {file} --backend {{workers=2}}", "a table with a name"),
    command(
        "compare with an unknown one", "compare {file} --backends torch,jax", "backend.name = 'jax'", "known are"
    ),
    command(
        "compare below a file", "compare {file} --backends torch --out {file}/x", "cannot write", "small.toml/x"
    ),
    command("reproduce nothing", "reproduce", "NAME is missing", "graded_upload"),
    command("reproduce the unknown", "reproduce graded", "NAME = 'graded'", "did you mean 'graded_upload'?"),
    command("reproduce with no process", "reproduce all --jobs 0", "--jobs 0", "at least 1"),
    command("no image to attack", "attack leakage --images 0", "--images = 0", "at least 1"),
    command("no seed", "attack leakage --seeds 0", "--seeds = 0", "at least 1"),
    command("attack with no process", "attack leakage --set data=digits --jobs 0", "--jobs = 0", "at least 1"),
    command("unknown method", "attack leakage --method dgl", "method.name = 'dgl'", "did you mean 'dlg'?"),
    command("no iteration", "attack leakage --iterations 0", "method.iterations = 0", "1 to 1000000"),
    command(
        "attack on an unknown codec",
        "attack leakage --codec afine",
        "codec.name = 'afine'",
        "did you mean 'affine'?",
    ),
    command(
        "attack on 0 bits",
        "attack leakage --codec affine --set codec.base_bits=0",
        "codec.base_bits = 0",
        "1 to 16",
    ),
    command(
        "attack on bits that the codec lacks",
        "attack leakage --set codec.base_bits=2",
        "codec.base_bits is no known key",
    ),
    command("more layers than the codec has", "attack leakage --codec float16 --layers 3", "layers = 3", "1 to 2"),
    command(
        "attack on a key that is none", "attack leakage --set rounds=3", "rounds is no known key", "known are"
    ),
    command("no local step", "attack leakage --local-steps 0", "local_steps = 0", "at least 1"),
    command(
        "two images and one label",
        "attack leakage --method idlg --batch-size 2",
        "batch_size = 2",
        "idlg reads the label",
    ),
    command(
        "more images than there are",
        "attack leakage --set data=digits --images 2000",
        "--images = 2000",
        "digits has 1442",
    ),
    command(
        "model of another shape", "attack leakage --set model=mnist_cnn", "model.name = 'mnist_cnn'", "(3, 32, 32)"
    ),
    command(
        "batch norm over one image",
        "attack leakage --set data=digits --set model=lens_g",
        "batch_size = 1",
        "at least 2, as lens_g has batch norm",
    ),
    command(
        "attack on a vast model",
        "attack leakage --set data=digits --set model.name=mlp --set model.hidden=[1000000,1000000]",
        "model",
        "mlp",
        "cannot be built",
    ),
    command(
        "attack without data",
        "attack leakage --set data=mnist --data-dir {tmp}/no",
        "data_dir = '{tmp}/no'",
        "must be a folder",
    ),
    command(
        "trials of another setting",
        "attack leakage --set data=digits --images 1 --seeds 1 --out {tmp}/out",
        "{tmp}/out holds trials of another setting",
        "method, ",
        prepare=holds("out/setting.json", b'{"method": 1}'),
    ),
    command("fetch an unknown set", "data fetch nmist", "dataset = 'nmist'", "one of mnist"),
    command("fetch nothing", "data fetch", "NAME"),
]

MISTAKES = CONFIG + EDGES + FILES + COMMANDS


def test_each_has_its_own_name():
    assert len({mistake.id for mistake in MISTAKES}) == len(MISTAKES)


def tree(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def require_one_line(said, words):
    assert said.startswith("fl_simu: ")
    assert said.endswith("\n")
    assert len(said.splitlines()) == 1
    assert [word for word in words if word not in said] == []


@pytest.mark.parametrize("mistake", [pytest.param(mistake, id=mistake.id) for mistake in MISTAKES])
def test_one_line_status_2_nothing_left(mistake, small, tmp_path, monkeypatch, capsys):
    *without, package = mistake.stack.split()[-2:] or [""]
    if package and bool(without) == (importlib.util.find_spec(package) is not None):
        pytest.skip(f"{package} is {'here' if without else 'missing'}")
    monkeypatch.chdir(tmp_path)
    if mistake.prepare:
        mistake.prepare(tmp_path)
    before = tree(tmp_path)
    capsys.readouterr()
    places = {"tmp": tmp_path, "file": small}

    status = main([argument.format(**places) for argument in mistake.arguments])

    require_one_line(capsys.readouterr().err, [word.format(**places) for word in mistake.words])
    assert status == 2
    assert tree(tmp_path) == before


def test_so_does_a_process_of_its_own(small, tmp_path, fl_simu_process):
    done = fl_simu_process("run", "small.toml", "--out", "small.toml/out")

    require_one_line(done.stderr, [])
    assert done.returncode == 2
    assert list(tmp_path.iterdir()) == [small]
