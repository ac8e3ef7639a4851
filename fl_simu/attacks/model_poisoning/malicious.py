"""Malicious UEs in the loop: a backend of which some UEs send what an attack makes of their models."""

import functools
import math
from dataclasses import dataclass
from typing import Any, Dict, Iterable, Mapping, Optional, Sequence

import torch

from fl_simu.attacks.model_poisoning.base import Attack, Knowledge, Targets, mean_of, others_update, update_of
from fl_simu.backends.base import Backend, OptimizerState
from fl_simu.kernel.parameters import Params, distance, params_of, require_alike
from fl_simu.ue.training import Key, Shard

PREFIX = "attack/"


@dataclass(frozen=True)
class Memory:
    """What a malicious UE keeps of the last round that it was drawn for.

    Args:
        round: version of the model that it was handed.
        drawn: number of UEs that were.
        params: that model, where the attack looks back; else empty.
        update: what it then sent, as an update; likewise.
    """

    round: int
    drawn: int
    params: Params
    update: Params


class Malicious(Backend):
    """Any backend, whose last UEs are malicious. Nobody else in the loop knows.

    All that a malicious UE does beside a benign one's training, it does in plain torch, so that the result is the
    same on every backend. When a broadcast reaches a malicious UE, all UEs of it train at once, and their models
    are held here until they are fetched.

    Args:
        inner: how the UEs train.
        attack: what the malicious UEs do.
        ues: number of UEs.
        classes: number of classes.
        targets: what shall go wrong.
    """

    def __init__(self, inner: Backend, attack: Attack, ues: int, classes: int, targets: Targets) -> None:
        super().__init__(inner.training)
        self.inner = inner
        self.attack = attack
        self.targets = targets
        self._classes = classes
        self._malicious = frozenset(range(ues - attack.malicious, ues))
        self._module = inner.training.trainee()
        self._shards: Dict[int, Shard] = {}
        self._handed: Dict[int, Params] = {}
        self._models: Dict[int, Params] = {}
        self._memories: Dict[int, Memory] = {}
        # What was sent in each upload that is not settled yet, as far as it is known here.
        self._sent: Dict[int, Params] = {}

    def place(self, ue: int, shard: Shard) -> None:
        if ue in self._malicious:
            self._shards[ue] = shard
            shard = self.attack.own_data(shard, self.targets, self._classes)
            self.training.check({ue: len(shard.indices)})
        self.inner.place(ue, shard)

    def send(self, ues: Iterable[int], params: Params) -> None:
        receivers = tuple(ues)
        for ue in receivers:
            self._models.pop(ue, None)
            self._sent.pop(ue, None)
        self._handed.update({ue: params for ue in receivers if ue in self._malicious})
        self.inner.send(receivers, params)

    def train(self, keys: Sequence[Key]) -> None:
        self.inner.train(keys)
        hostile = [key for key in keys if key.ue in self._malicious]
        if not hostile:
            return
        benign = [key.ue for key in keys if key.ue not in self._malicious]
        self._models.update({ue: self.inner.get(ue) for ue in benign})
        others = [self._models[ue] for ue in benign]
        for key in hostile:
            self._models[key.ue] = self._poison(key, others, len(keys))
        # Also what comes too late to be fetched belongs to the round's picture of the attack.
        self._sent.update({key.ue: self._models[key.ue] for key in keys})

    def _poison(self, key: Key, others: Sequence[Params], drawn: int) -> Params:
        handed, last = self._handed.pop(key.ue), self._memories.get(key.ue)
        benign = functools.lru_cache(maxsize=None)(lambda: self.inner.get(key.ue))
        knowledge = Knowledge(
            key,
            handed,
            self._shards[key.ue],
            self._classes,
            self.training,
            self._module,
            self.targets,
            drawn,
            benign,
            # Where nobody is benign, what they would have sent is all there is to know.
            (others or [benign()]) if self.attack.omniscient else (),
            _others_last(last, key.round, handed),
        )
        poisoned = self.attack.poison(knowledge)
        keeps = self.attack.remembers
        update = update_of(poisoned, handed) if keeps else {}
        self._memories[key.ue] = Memory(key.round, drawn, handed if keeps else {}, update)
        return poisoned

    def measures(self, params: Params, settled: Iterable[int]) -> Mapping[str, Any]:
        """What a global model does to the targets, and how far the malicious updates behind it were.

        Args:
            params: the global model.
            settled: the UEs whose uploads were taken or given up for it; what they sent is then let go of.

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
        sent = {ue: self._sent.pop(ue) for ue in sorted(settled) if ue in self._sent}
        hostile, benign = ([sent[ue] for ue in sent if (ue in self._malicious) == kind] for kind in (True, False))
        if not (hostile and benign):
            return {**told, "distances": [], "spread": None}
        middle = mean_of(benign)
        spread = math.sqrt(sum(distance(middle, one) ** 2 for one in benign) / len(benign))
        return {**told, "distances": [distance(middle, one) for one in hostile], "spread": spread}

    def get(self, ue: int) -> Params:
        params = self._sent[ue] = self._models.pop(ue) if ue in self._models else self.inner.get(ue)
        return params

    def peek(self, ue: int) -> Params:
        return self._models[ue] if ue in self._models else self.inner.peek(ue)

    def put_back(self, ue: int, params: Params) -> None:
        self._models[ue] = self._sent[ue] = params

    def give_up(self, ue: int) -> None:
        self._models.pop(ue, None)
        self.inner.give_up(ue)

    def kept(self, ue: int) -> Optional[Params]:
        """What a malicious UE sends, and the models that it knew, depend on the others of its broadcast."""
        return self._models[ue] if ue in self._models else self.inner.kept(ue)

    def together(self, ue: int) -> Sequence[int]:
        return self.inner.together(ue)

    def train_again(self, keys: Sequence[Key], params: Params) -> None:
        self.inner.train_again(keys, params)

    def check_memory(self, ue: int, optimizer: OptimizerState) -> None:
        own = {name[len(PREFIX) :]: tensor for name, tensor in optimizer.items() if name.startswith(PREFIX)}
        others = {name: tensor for name, tensor in optimizer.items() if not name.startswith(PREFIX)}
        numbers, model, what = own.pop("numbers", None), params_of(self._module), f"the attack's memory of UE {ue}"
        wanted = {"sent/": model} if any(name.startswith("sent/") for name in own) else {}
        if numbers is not None and self.attack.remembers:
            wanted.update({"params/": model, "update/": update_of(model, model)})
        fits = numbers is None or (ue in self._malicious and numbers.shape == (2,))
        if not fits or any(name.split("/")[0] + "/" not in wanted for name in own):
            raise ValueError(f"{what} is none")
        for word, like in wanted.items():
            require_alike(_below(word, own), like, what)
        if others:
            self.inner.check_memory(ue, others)

    def remembers(self) -> bool:
        return self.inner.remembers()

    def optimizer_state(self, ue: int) -> OptimizerState:
        state, memory = dict(self.inner.optimizer_state(ue)), self._memories.get(ue)
        if memory:
            state[PREFIX + "numbers"] = torch.tensor([memory.round, memory.drawn], dtype=torch.float64)
            state.update({f"{PREFIX}params/{name}": tensor for name, tensor in memory.params.items()})
            state.update({f"{PREFIX}update/{name}": tensor for name, tensor in memory.update.items()})
        if ue in self._sent and ue not in self._models:
            state.update({f"{PREFIX}sent/{name}": tensor for name, tensor in self._sent[ue].items()})
        return state

    def restore(self, ue: int, optimizer: OptimizerState) -> None:
        own = {name[len(PREFIX) :]: tensor for name, tensor in optimizer.items() if name.startswith(PREFIX)}
        params, update, sent = (_below(word, own) for word in ("params/", "update/", "sent/"))
        if "numbers" in own:
            round, drawn = own["numbers"].tolist()
            self._memories[ue] = Memory(int(round), int(drawn), params, update)
        if sent:
            self._sent[ue] = sent
        others = {name: tensor for name, tensor in optimizer.items() if not name.startswith(PREFIX)}
        if others:
            self.inner.restore(ue, others)

    def close(self) -> None:
        for held in (self._shards, self._handed, self._models, self._memories, self._sent):
            held.clear()
        self.inner.close()


def _others_last(last: Optional[Memory], round: int, now: Params) -> Optional[Params]:
    """The others' mean update of the round before, if it was drawn then and somebody else was."""
    if last is None or not last.params or last.round != round - 1 or last.drawn < 2:
        return None
    return others_update(last.params, now, last.update, last.drawn)


def _below(word: str, state: OptimizerState) -> Params:
    return {name[len(word) :]: tensor for name, tensor in state.items() if name.startswith(word)}
