"""Malicious UEs: their training data, their uploads, and measurements of them."""

import math
from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

import torch

from fl_simu.attacks.poisoning.base import Attack, Knowledge, Targets, mean_of, others_update, update_of
from fl_simu.kernel.parameters import Params, distance
from fl_simu.ue.training import LocalTraining, Shard, Task


@dataclass(frozen=True)
class AttackMemory:
    """What a malicious UE keeps from the last round for which it was selected.

    Args:
        round: version of the model that it was handed.
        drawn: number of UEs that were handed it.
        params: this model.
        update: the update that it then sent; floating-point tensors only.
    """

    round: int
    drawn: int
    params: Params
    update: Params


class Malicious:
    """The last UEs of a run, which are malicious. No other part of the loop knows this.

    A malicious UE does everything except benign training in plain torch, so the result is the same on every
    backend.

    Args:
        attack: their attack.
        training: the work of a benign UE in a round.
        ues: number of UEs.
        classes: number of classes.
        targets: the images to misclassify.
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
        """The data that a UE trains on instead of its own.

        Raises:
            BadField: these data give no batches.
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
        """The model that a malicious UE sends, and its new memory if the attack compares rounds.

        Args:
            task: its task.
            drawn: number of UEs of its broadcast.
            others: the trained models of the benign UEs among them.
            benign: function that returns the model that it would send if it were benign.
            last: its memory.
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
            # If no UE is benign, the benign result of this UE is all that can be known.
            (others or [benign()]) if self.attack.omniscient else (),
            _others_last(last, task.key.round, handed),
        )
        poisoned = self.attack.poison(knowledge)
        if not self.attack.remembers:
            return poisoned, None
        return poisoned, AttackMemory(task.key.round, drawn, handed, update_of(poisoned, handed))

    def measures(self, params: Params, sent: Mapping[int, Params]) -> Mapping[str, Any]:
        """The effect of a global model on the targets, and the distances of the malicious updates behind it.

        Args:
            params: the global model.
            sent: the models, as far as they are known, of the UEs whose uploads were accepted or given up for it.

        Returns:
            For a targeted attack `wanted`, `predicted` and `confidence`: for each target the wanted wrong class,
            the predicted class, and the probability of the wrong class. `distances`: for each malicious UE in
            `sent`, the L2 distance of its model before the codec from the mean of the benign models. `spread`: the
            root mean square of this distance over the benign UEs. If only one of the two kinds is present, no
            distances, and None.
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
    """The others' mean update in the previous round, if this UE and another one were selected then."""
    if last is None or last.round != round - 1 or last.drawn < 2:
        return None
    return others_update(last.params, now, last.update, last.drawn)
