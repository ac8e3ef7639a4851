"""Malicious UEs: what they train on, what they send, what is measured of it."""

import math
from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

import torch

from fl_simu.attacks.poisoning.base import Attack, Knowledge, Targets, mean_of, others_update, update_of
from fl_simu.kernel.parameters import Params, distance
from fl_simu.ue.training import LocalTraining, Shard, Task


@dataclass(frozen=True)
class AttackMemory:
    """What a malicious UE keeps of the last round that it was drawn for.

    Args:
        round: version of the model that it was handed.
        drawn: number of UEs that were.
        params: that model.
        update: what it then sent, as an update; floating-point tensors only.
    """

    round: int
    drawn: int
    params: Params
    update: Params


class Malicious:
    """The last UEs of a run, which are malicious. Nobody else in the loop knows.

    All that a malicious UE does beside a benign one's training, it does in plain torch, so that the result is the
    same on every backend.

    Args:
        attack: what they do.
        training: what a benign UE does in a round.
        ues: number of UEs.
        classes: number of classes.
        targets: what shall go wrong.
    """

    def __init__(self, attack: Attack, training: LocalTraining, ues: int, classes: int, targets: Targets) -> None:
        self.attack = attack
        self.targets = targets
        self.ues = frozenset(range(ues - attack.malicious, ues))
        self._training = training
        self._classes = classes
        self._module = training.trainee()
        self._shards: Dict[int, Shard] = {}

    def own_data(self, ue: int, shard: Shard) -> Shard:
        """The data that a UE trains on in place of its own.

        Raises:
            BadField: they make no batches.
        """
        if ue not in self.ues:
            return shard
        self._shards[ue] = shard
        shard = self.attack.own_data(shard, self.targets, self._classes)
        self._training.check({ue: len(shard.indices)})
        return shard

    def poison(
        self,
        task: Task,
        drawn: int,
        others: Sequence[Params],
        benign: Callable[[], Params],
        last: Optional[AttackMemory],
    ) -> Tuple[Params, Optional[AttackMemory]]:
        """The model that a malicious UE sends, and what it remembers then, where the attack looks back.

        Args:
            task: what it was to do.
            drawn: number of UEs of its broadcast.
            others: what the benign ones of them have trained.
            benign: makes the model that it would send if it were benign.
            last: what it remembers.
        """
        ue, handed = task.key.ue, task.start
        knowledge = Knowledge(
            task.key,
            handed,
            self._shards[ue],
            self._classes,
            self._training,
            self._module,
            self.targets,
            drawn,
            benign,
            # Where nobody is benign, what they would have sent is all there is to know.
            (others or [benign()]) if self.attack.omniscient else (),
            _others_last(last, task.key.round, handed),
        )
        poisoned = self.attack.poison(knowledge)
        if not self.attack.remembers:
            return poisoned, None
        return poisoned, AttackMemory(task.key.round, drawn, handed, update_of(poisoned, handed))

    def measures(self, params: Params, sent: Mapping[int, Params]) -> Mapping[str, Any]:
        """What a global model does to the targets, and how far the malicious updates behind it were.

        Args:
            params: the global model.
            sent: the models, as far as they are known, of the UEs whose uploads were taken or given up for it.

        Returns:
            For a targeted attack `wanted`, `predicted` and `confidence`: of each target the wrong class that it
            shall get, the class that it gets, the probability of the wrong class. `distances`: of each malicious
            UE among them, the L2 distance of its model, as sent before the codec, from the mean of the benign
            ones among them. `spread`: the root mean square of that distance of the benign ones. Where only one
            of the two kinds is there, no distances, and None.
        """
        told: Dict[str, Any] = {}
        if len(self.targets.wanted):
            self._module.load_state_dict(params)
            self._module.eval()
            with torch.no_grad():
                chances = self._module(self.targets.images).softmax(dim=1)
            told = {
                "wanted": self.targets.wanted.tolist(),
                "predicted": chances.argmax(dim=1).tolist(),
                "confidence": chances.gather(1, self.targets.wanted.view(-1, 1)).view(-1).tolist(),
            }
        hostile, benign = ([sent[ue] for ue in sorted(sent) if (ue in self.ues) == kind] for kind in (True, False))
        if not (hostile and benign):
            return {**told, "distances": [], "spread": None}
        middle = mean_of(benign)
        spread = math.sqrt(sum(distance(middle, one) ** 2 for one in benign) / len(benign))
        return {**told, "distances": [distance(middle, one) for one in hostile], "spread": spread}


def _others_last(last: Optional[AttackMemory], round: int, now: Params) -> Optional[Params]:
    """The others' mean update of the round before, if it was drawn then and somebody else was."""
    if last is None or last.round != round - 1 or last.drawn < 2:
        return None
    return others_update(last.params, now, last.update, last.drawn)
