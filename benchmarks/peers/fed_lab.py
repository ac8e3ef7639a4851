"""FedLab's serial simulation: SyncServerHandler and SGDSerialClientTrainer in one process.

Reference: Zeng et al. 2021, "FedLab: A Flexible Federated Learning Framework".
"""

import logging
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from benchmarks.peers.jobs import Arrays, Job, Outcome
from benchmarks.timing import timed
from fl_simu.kernel.parameters import params_of

STAND_IN = Path(__file__).resolve().parent / "stand_in"


class Batches:
    """The interface through which the trainer gets a client's batches."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays, self.round = arrays, 0

    def get_dataloader(self, ue: int, batch_size: int) -> Any:
        """The batches of a client."""
        return self.arrays.batches(ue, self.round, batch_size)


def run(job: Job, arrays: Arrays, rounds: int) -> Outcome:
    """Run the steps of FedLab's StandalonePipeline, without its evaluation."""
    # At the end: an installed torchvision comes first.
    sys.path.append(str(STAND_IN))
    from fedlab.contrib.algorithm.basic_client import SGDSerialClientTrainer
    from fedlab.contrib.algorithm.basic_server import SyncServerHandler

    logging.getLogger().setLevel(logging.WARNING)
    torch.set_num_threads(1)
    module = job.module()
    module.load_state_dict(arrays.initial)
    # FedLab uses the integer part of ratio times clients.
    ratio = 1.0 if job.drawn == job.ues else (job.drawn + 0.5) / job.ues
    handler = SyncServerHandler(module, global_round=rounds, sample_ratio=ratio)
    handler.num_clients = job.ues
    trainer = SGDSerialClientTrainer(job.module(), num_clients=job.ues)
    batches = Batches(arrays)
    trainer.setup_dataset(batches)
    trainer.setup_optim(epochs=1, batch_size=job.batch_size, lr=job.lr)

    def one_round(round: int) -> None:
        batches.round = round
        trainer.local_process(handler.downlink_package, arrays.ues(round))
        for pack in trainer.uplink_package:
            handler.load(pack)

    seconds = timed(rounds, one_round)
    settings = "SGDSerialClientTrainer, SyncServerHandler, 1 thread; its cross entropy in the place of the NLL"
    return Outcome(seconds, params_of(handler.model), 1, settings, {"fedlab": import_module("fedlab").__version__})
