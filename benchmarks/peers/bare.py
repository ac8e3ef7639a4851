"""The floor: federated averaging in plain torch, in one process, without a framework."""

import torch

from benchmarks.peers.jobs import Arrays, Job, Outcome
from benchmarks.timing import timed
from fl_simu.kernel.parameters import params_of


def run(job: Job, arrays: Arrays, rounds: int, threads: int = 1) -> Outcome:
    """Train the clients in turn with one module, and average the results."""
    torch.set_num_threads(threads)
    module = job.module().train()
    tensors = module.state_dict(keep_vars=True)
    model = {name: tensor.clone() for name, tensor in arrays.initial.items()}

    def one_round(round: int) -> None:
        ues = arrays.ues(round)
        total = {name: torch.zeros_like(tensor) for name, tensor in model.items()}
        for ue in ues:
            with torch.no_grad():
                for name, tensor in tensors.items():
                    tensor.copy_(model[name])
            optimizer = torch.optim.SGD(module.parameters(), lr=job.lr)
            for images, labels in arrays.batches(ue, round, job.batch_size):
                optimizer.zero_grad()
                job.loss(module(images), labels).backward()
                optimizer.step()
            with torch.no_grad():
                for name, tensor in tensors.items():
                    total[name].add_(tensor)
        for name, tensor in total.items():
            model[name] = tensor / len(ues)

    seconds = timed(rounds, one_round)
    module.load_state_dict(model)
    settings = "a loop over clients and batches, torch.optim.SGD, mean of the models"
    return Outcome(seconds, params_of(module), threads, settings, {})
