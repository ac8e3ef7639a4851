"""The notes' example on MNIST: syft's federated loader, compared with plain torch."""

import math

import pytest
import torch

from fl_simu.data.datasets import Digits
from fl_simu.kernel.installation import syft_installed
from fl_simu.kernel.parameters import sha256
from fl_simu.pointers import install
from fl_simu.studies import script

pytestmark = pytest.mark.xdist_group("mnist_sequential")

DATA = Digits(700, 50)
EPOCHS = 2


def both_ways(pipe):
    """Plain torch before syft hooks it, then the experiment, and the workers that its loader visits."""
    torch.set_num_threads(1)
    if not syft_installed():
        install()
    module, data, lines = script.load("mnist_sequential"), DATA.load(), []
    _, plain = module.learn_without_syft(data, EPOCHS, module.SEED)
    epochs, params = module.learn(data, EPOCHS, lines.append)

    import syft

    workers = [syft.VirtualWorker(syft.hook, id=name) for name in ("first", "second")]
    halves = syft.BaseDataset(data.train.images, data.train.labels).federate(workers)
    loader = syft.FederatedDataLoader(halves, batch_size=64, shuffle=True)
    visited = [images.location.id for images, _ in loader]
    told = {"plain": sha256(plain), "syft": sha256(params), "visited": visited}
    pipe.send({**told, "last": vars(epochs[-1]), "lines": lines})


@pytest.fixture(scope="module")
def found(forked):
    here, there = forked.Pipe(duplex=False)
    process = forked.Process(target=both_ways, args=(there,))
    process.start()
    there.close()
    found = here.recv()
    process.join()
    return found


def test_it_is_plain_sgd_over_one_half_after_the_other_bit_for_bit(found):
    assert found["syft"] == found["plain"]
    # 350 images each in batches of 64: six batches, the last one smaller.
    assert found["visited"] == ["first"] * 6 + ["second"] * 6


def test_the_length_of_the_loader_counts_neither_the_images_nor_the_batches(found):
    # ceil(700 / 64) = 11, for twelve batches.
    assert found["last"]["progress"] == "640/704"
    assert found["last"]["percent"] == "90.909091"
    assert len([line for line in found["lines"] if line.startswith("Train Epoch:2[")]) == 2


@pytest.mark.skipif(not syft_installed(), reason="fl_simu.pointers remembers none")
def test_syft_remembers_hundreds_of_ids_for_each_batch(found):
    assert found["last"]["ids"] > 200 * 12 * EPOCHS


def test_the_notes_own_numbers_agree_with_themselves():
    module = script.load("mnist_sequential")
    last = module.Epoch(0.9855, 0.0435, "59520/60032", "99.147122", 0.008309, ids=1, peak_memory_mb=1.0)
    verdicts = [one.verdict for one in module.comparisons(last, quick=False)]
    assert verdicts == ["agrees"] * 5 + ["not given in the notes"] * 2
    assert {one.notes for one in module.comparisons(last, quick=True)} == {None}
    # The notes' progress line, from their sizes: batch 930 of ceil(60000 / 64).
    batches = math.ceil(60000 / 64)
    assert (930 * 64, batches * 64, f"{100 * 930 / batches:.6f}") == (59520, 60032, "99.147122")
