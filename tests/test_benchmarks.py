"""The side-by-side benchmark: its page agrees with its figures, and its frameworks do the same job."""

import json
from dataclasses import replace

import pytest
import torch

from benchmarks.children import ChildFailed
from benchmarks.peers import bare, data, ours, page
from benchmarks.peers.__main__ import main
from benchmarks.peers.extras import Extras
from benchmarks.peers.jobs import JOBS, Job, read, write
from benchmarks.peers.machine import gbytes_of_round, gflop_of_round
from fl_simu.data.datasets import Digits
from fl_simu.kernel.installation import MODERN
from fl_simu.kernel.parameters import largest_difference

TINY = Job("tiny", "logistic regression", "digits", "logistic_regression", (1, 28, 28), 6, 6, 20, 10, 0.05, 1)


def row(key, label, seconds, cores=1, **more):
    # The first round, which takes longest, is never counted.
    told = {"seconds": [99.0, *seconds], "cores": cores, "settings": f"as {key} has it", "loss": 1.5, **more}
    return {"key": key, "label": label, **told}


FIGURES = {
    "date": "2030-01-02",
    "command": "make benchmark",
    "quick": False,
    "minutes": 9.6,
    "versions": {"torch": "2.13.0", "flwr": "1.41.0"},
    "machine": {
        **{"processor": "Abacus", "cores": 2, "memory_gb": 8.0, "system": "Linux", "python": "3.11.7"},
        **{"vector": "AVX2", "sgemm_gflops": 100.0, "sgemm_gflops_all": 190.0, "memory_gbps": 40.0},
    },
    "jobs": [
        {
            "name": "notes",
            "title": "MNIST CNN, 16 clients",
            "about": "Model `mnist_cnn`.",
            "data": "mnist",
            "gflop": 240.0,
            "loss_before": 2.3,
            "rows": [
                row("bare/1", "bare torch loop, 1 thread", [6.0, 4.0, 5.0], difference=0.0),
                row("fl_simu", "fl_simu, backend torch", [2.4, 2.6, 2.5], difference=2e-7),
                row("fl_simu", "fl_simu, backend ray", [2.0, 1.9, 2.1], cores=2),
                row("fl_simu/whole", "fl_simu, backend ray, whole run", [2.5, 2.5, 2.5], cores=2),
                {"key": "flower", "label": "Flower", "failed": "not installed: python is missing"},
                row("fedlab", "FedLab", [3.0, 3.0, 3.6]),
            ],
        },
        {
            "name": "pfl",
            "title": "CIFAR-10 CNN",
            "about": "Model `pfl_cnn`.",
            "data": "cifar10",
            "gflop": 255.0,
            "loss_before": 2.3,
            "rows": [
                row("fl_simu", "fl_simu, backend torch", [3.0]),
                row("pfl/1", "pfl-research, 1 thread", [4.5]),
                row("pfl/n", "pfl-research, 2 threads", [3.9], cores=2),
                row("pfl/processes", "pfl-research, 2 processes", [2.0], cores=2),
            ],
        },
        {"name": "many", "title": "many", "failed": "mnist is not on this machine"},
    ],
    "overhead": {"seconds": [9.0, 0.1, 0.1], "checkpoint_seconds": [9.0, 0.125, 0.125]},
    "startup": [
        {"stack": "modern", "backend": "torch", "seconds": [2.0, 2.5, 4.0]},
        {"stack": "legacy", "backend": "torch", "seconds": [1.0, 1.0, 1.0]},
        {"stack": "modern", "backend": "syft", "seconds": [], "failed": "needs the legacy stack"},
    ],
    "default_run": [
        {
            "stack": "modern",
            "one": {"seconds": 60.0, "sha256": "a"},
            "all": {"seconds": 30.0, "sha256": "a"},
        }
    ],
    "uploads": {"ues": 100, "uploads_a_second": {"normal": [5e4, 4e4, 6e4], "fading": [6.1e4]}},
    "long_run": {"rounds": 300, "driver_mb": [9.0, 9.5, 9.5], "workers_mb": [5.0, 5.0, 7.0]},
    "many_ues": {
        **{"ues": 100_000, "drawn": 100, "samples": 2, "rounds": 2},
        **{"wall_s": 12.34, "peak_mb": 900.0, "data_mb": 627.2},
    },
    "where_time_goes": [
        {
            "name": "notes",
            "title": "MNIST CNN",
            "rounds_s": 10.0,
            "operators_s": {"aten::mm": 2.0, "aten::copy_": 5.0, "Optimizer.step#SGD.step": 6.0},
        }
    ],
    "pointers": [
        # Slower by 4, 2 and 9 ms in the three turns, and by 20, 22 and 18.
        {
            **{"model": "cnn", "batch_size": 4, "whose": "syft 0.2.4"},
            **{"plain": [10.0, 20.0, 11.0], "resident": [14.0, 22.0, 20.0], "fetched": [30.0, 42.0, 29.0]},
        },
        {
            **{"model": "cnn", "batch_size": 4, "whose": "fl_simu.pointers"},
            **{"plain": [8.0, 8.0, 8.0], "resident": [9.0, 9.0, 9.5], "fetched": [9.0, 10.0, 11.0]},
        },
        {"model": "linear", "batch_size": 4, "whose": "syft 0.2.4", "failed": "not installed: python is missing"},
    ],
}


def cells(text, first):
    """The cells of the only row that starts with this text."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_the_page_has_the_ratios_of_its_figures():
    text = page.render(FIGURES)
    # 5 s over the 2 s of the fastest backend, and over the 2.5 s of its whole run.
    what = "`notes`: bare loop, 1 thread / fl_simu"
    assert cells(text, what) == ["2.50", "2.00 against the whole run", "≥ 1.90", "reached"]
    assert cells(text, "`notes`: FedLab / fl_simu") == [
        "1.50",
        "1.20 against the whole run",
        "≥ 1.90",
        "not reached",
    ]
    # The best result over threads and processes.
    what = "`pfl`: pfl-research at its best / fl_simu"
    assert cells(text, what) == ["0.67", "-", "≥ 1.00", "not reached"]
    # 255 GFLOP in 3 s on a core with 100 GFLOP/s.
    what = "`pfl`: fl_simu, percent of the sgemm peak of its cores"
    assert cells(text, what) == ["85", "-", "≥ 80", "reached"]
    # 0.1 s compared with 2.5 s of training, and with 2 s.
    what = "`notes`: coordinator, protocol, codec and records, percent of a round of backend torch"
    assert cells(text, what) == ["3.8", "4.8 of that of the fastest backend", "≤ 3.0", "not reached"]
    assert cells(text, "start-up of backend torch, s, modern stack") == ["2.5", "-", "≤ 3.0", "reached"]
    # 240 GFLOP in 2 s are 120 GFLOP/s of the 200 of two cores.
    assert "| fl_simu, backend ray | 2 | 1.9 to 2.1 | 1.00 | 2 | 120 | 60 | 1.5000 | - |" in text
    assert "| fl_simu, backend torch | 2.5 | 2.4 to 2.6 | 1.25 | 1 | 96 | 96 | 1.5000 | 2.0e-07 |" in text


def test_the_page_has_what_whole_runs_take():
    text = page.render(FIGURES)
    # 60 s over 30 s; the model is the same by its digest.
    assert cells(text, "default run, modern stack: on one core / on all") == ["2.00", "-", "≥ 1.85", "reached"]
    assert "| modern | 60.0 | 30.0 | 2.00 | the same |" in text
    assert cells(text, "default run, legacy stack: on one core / on all")[-1] == "not measured"
    what = "uploads a second of the coordinator alone, orthogonal, {}, 100 clients"
    assert cells(text, what.format("normal")) == ["50,000", "-", "≥ 60,000", "not reached"]
    assert cells(text, what.format("fading")) == ["61,000", "-", "≥ 60,000", "reached"]
    # The driver grows by 0.5 and 0, the workers by 0 and 2.
    what = "memory of driver and workers, MB more a hundred rounds, at most"
    assert cells(text, what) == ["2.00", "-", "≤ 1.00", "not reached"]


def test_the_page_has_what_memory_allows():
    many = {**FIGURES["jobs"][1], "name": "many", "gbytes": 0.6}
    text = page.render({**FIGURES, "jobs": [*FIGURES["jobs"][:2], many]})
    # 600 MB at 40 GB/s, of 3 s.
    assert "a round moves 600 MB" in text and "that is 15 ms, 0 % of what" in text


def test_bytes_are_those_of_the_arrays_that_operators_read_and_write():
    """By hand for one UE: 7,850 parameters, two steps of ten images of 784 numbers."""
    step = 7850 * 4 + 10 * 784 * 2  # The outputs; the gradient from the images, written; SGD.
    gathered = 2 * 10 * 784
    assert gbytes_of_round(replace(JOBS["many"], drawn=1)) == pytest.approx(
        4e-9 * (7850 + 2 * (step + 7850 + gathered) + 7850), rel=1e-12
    )


def test_a_part_can_be_measured_anew(monkeypatch, tmp_path):
    (tmp_path / "benchmarks.json").write_text(json.dumps({**FIGURES, "failed": {"long_run": "killed"}}))
    monkeypatch.setattr(Extras, "long_run", lambda extras: {**FIGURES["long_run"], "workers_mb": [5.0, 5.0, 5.0]})
    monkeypatch.setattr("benchmarks.peers.__main__.answer_of_module", lambda module: FIGURES["machine"])
    main(["--jobs", "long_run", "--into", str(tmp_path / "benchmarks.json")])
    text = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert cells(text, "memory of driver and workers, MB more a hundred rounds, at most")[0] == "0.50"
    assert 'Written by `make benchmark` on 2030-01-02. `make benchmark ARGS="--jobs long_run --into' in text
    assert cells(text, "`notes`: FedLab / fl_simu")[0] == "1.50" and "## Not run" not in text


def test_the_page_has_what_pointers_cost():
    text = page.render(FIGURES)
    what = "overhead of a step on pointers, {}: ours / real syft's, the worst of four models and batches"
    # 1 ms of 4, and 2 ms of 20.
    kept, sent = "the model stays at its worker", "it is sent and fetched each step"
    assert cells(text, what.format(kept)) == ["0.25", "-", "≤ 0.25", "reached"]
    assert cells(text, what.format(sent)) == ["0.10", "-", "≤ 0.25", "reached"]
    assert "| cnn, 4 | syft 0.2.4 | 11.00 | 20.00 | 4.00 | 30.00 | 20.00 |" in text
    ours = "| cnn, 4 | fl_simu.pointers | 8.00 | 9.00 | 1.00 (0.25 of syft's) | 10.00 | 2.00 (0.10 of syft's) |"
    assert ours in text
    assert cells(text, "linear, 4")[1] == "not installed: python is missing"


def test_the_page_tells_where_the_time_goes():
    """Times of operators, not of the ranges around them."""
    line = "| notes | `copy_` 50, `mm` 20 | 30 |"
    assert line in page.render(FIGURES)


def test_the_page_says_what_did_not_run():
    text = page.render(FIGURES)
    assert cells(text, "Flower")[0] == "not run, see below"
    assert "- Flower: not installed: python is missing" in text
    assert "Not run: mnist is not on this machine" in text
    assert cells(text, "`many`: Flower / fl_simu's whole run") == ["-", "-", "≥ 60.00", "not measured"]
    assert cells(text, "start-up of backend syft, s, legacy stack")[-1] == "not measured"
    assert cells(text, "modern | syft")[-1] == "needs the legacy stack"
    assert "## Not run" not in text


def test_what_fails_beside_the_jobs_leaves_the_rest(monkeypatch, tmp_path):
    def fails(extras):
        raise ChildFailed("MemoryError")

    monkeypatch.setattr(Extras, "overhead", fails)
    monkeypatch.setattr(Extras, "startup", lambda extras: FIGURES["startup"])
    peaks = {"sgemm_gflops": 100.0, "sgemm_gflops_all": 190.0, "memory_gbps": 40.0}
    monkeypatch.setattr("benchmarks.peers.__main__.answer_of_module", lambda module: peaks)
    main(["--jobs", "overhead", "startup", "--out", str(tmp_path)])
    text = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert "\n## Not run\n\n- overhead: MemoryError\n" in text
    assert cells(text, "modern | torch")[1] == "2.5"


def test_the_page_of_a_part_of_the_figures():
    few = {
        key: value
        for key, value in FIGURES.items()
        if not isinstance(value, (list, dict)) or key in ("machine", "versions")
    }
    text = page.render({**few, "jobs": FIGURES["jobs"][1:2], "command": 'make benchmark ARGS="--jobs pfl"'})
    assert "## Start-up" not in text and "`notes`: MNIST" not in text
    assert cells(text, "`notes`: FedLab / fl_simu")[0] == "-"


@pytest.fixture(scope="module")
def digits():
    return Digits(train_samples=600, test_samples=1).load()


@pytest.mark.parametrize("drawn", [6, 3])
@pytest.mark.parametrize("whole", [False, True])
def test_fl_simu_does_the_job_of_the_bare_loop(drawn, whole, digits):
    job = replace(TINY, drawn=drawn)
    arrays = data.deal(job, digits, rounds=3)
    floor = bare.run(job, arrays, 3)
    mine = ours.run(job, arrays, 3, {"name": "torch", "exact": True}, whole)
    assert largest_difference(floor.params, arrays.initial) > 1e-2
    # Only the mean differs: in float32 and in float64.
    assert largest_difference(mine.params, floor.params) < 1e-6
    assert len(mine.seconds) == len(floor.seconds) == 3


def test_images_are_dealt_once_or_else_with_replacement(digits):
    once = data.deal(TINY, digits, rounds=1)
    assert len(set(once.rows.flatten().tolist())) == 120 == len(once.labels)
    assert "120 of the 600 training images" in once.source
    again = data.deal(replace(TINY, samples=200), digits, rounds=1)
    assert again.rows.shape == (6, 200) and len(again.labels) < 600
    assert "1,200 drawn with replacement from the 600" in again.source


def test_a_jobs_file_holds_the_job(digits, tmp_path):
    arrays = data.deal(TINY, digits, rounds=2)
    write(tmp_path / "job.npz", TINY, arrays)
    job, there = read(tmp_path / "job.npz")
    assert job == TINY and there.source == arrays.source
    assert list(there.initial) == list(arrays.initial) and largest_difference(there.initial, arrays.initial) == 0
    for name in ("images", "labels", "rows", "drawn", "orders"):
        assert torch.equal(getattr(there, name), getattr(arrays, name))


@pytest.mark.skipif(not MODERN, reason="torch 1.4 counts no operations")
@pytest.mark.parametrize("name", JOBS)
def test_operations_are_those_that_torch_counts(name):
    from torch.utils.flop_counter import FlopCounterMode

    job = replace(JOBS[name], drawn=1, samples=2)
    module = job.module()
    with FlopCounterMode(display=False) as counter:
        job.loss(module(torch.rand(2, *job.shape)), torch.zeros(2, dtype=torch.int64)).backward()
    assert gflop_of_round(job) == pytest.approx(1e-9 * counter.get_total_flops(), rel=1e-9)


def test_the_page_is_made_anew_from_its_figures(tmp_path):
    (tmp_path / "figures.json").write_text(json.dumps(FIGURES))
    main(["--render", str(tmp_path / "figures.json"), "--out", str(tmp_path)])
    assert (tmp_path / "benchmarks.md").read_text(encoding="utf-8") == page.render(FIGURES)
