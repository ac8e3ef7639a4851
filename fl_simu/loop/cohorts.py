"""The UEs as the BS sees them: they get a model together, and the BS fetches each result as its upload arrives."""

import math
from typing import AbstractSet, Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence

from fl_simu.attacks.poisoning.malicious import Malicious
from fl_simu.backends.base import Backend
from fl_simu.kernel.parameters import Params
from fl_simu.loop.state import Before, RunState
from fl_simu.ue.algorithms.base import GLOBAL, Finished, Groups, LocalAlgorithm
from fl_simu.ue.training import NOTHING, Key, Task, Trained
from fl_simu.ue.work import Work

NO_PARAMS: Params = {}


class Held(NamedTuple):
    """A trained model that a UE holds until the BS fetches it, and the UE's memory afterwards."""

    params: Params
    memory: Params
    attack: Any = None


class Sent(NamedTuple):
    """The content of an upload: the UE's model, and what the local algorithm sends in addition."""

    params: Params
    message: Groups


class Cohorts:
    """Lets the UEs of each broadcast train, and keeps their memories.

    A memory is updated when the model is fetched or given up. Until then the state contains the previous memory,
    so that uploads in flight can be trained again.

    Args:
        backend: trains the UEs.
        seed: of every draw.
        state: of the run.
        algorithm: the local algorithm, which adds to the gradient steps.
        full: each UE's work in a round if it makes all steps.
        local: the initial layers that stay at the UEs; empty if all layers are sent.
        malicious: the UEs that send something other than their trained models; None if there are none.
    """

    def __init__(
        self,
        backend: Backend,
        seed: int,
        state: RunState,
        algorithm: LocalAlgorithm,
        full: Mapping[int, Work],
        local: Params = NO_PARAMS,
        malicious: Optional[Malicious] = None,
    ) -> None:
        self.backend = backend
        self.state = state
        self._seed = seed
        self._algorithm = algorithm
        self._full = full
        self.local = local
        self._malicious = malicious
        # Models that were trained before the BS fetches them, because a malicious UE may know them.
        self._held: Dict[int, Held] = {}

    def of(self, state: RunState) -> "Cohorts":
        """The same UEs with another state, for example that of an edge with some of them."""
        return Cohorts(self.backend, self._seed, state, self._algorithm, self._full, self.local, self._malicious)

    def train(self, ues: Sequence[int], version: int, start: Params) -> None:
        """Give the global model to the UEs of the broadcast that has just begun, and let them train."""
        memories = {ue: self._before(ue, start) for ue in ues}
        if self.backend.stacks or self._hostile(ues):
            self.state.cohorts[self.state.begun - 1] = memories
        self._train(version, start, self.state.station.shared, memories, set(ues))

    def train_again(self) -> None:
        """After a resume, train again the models that the UEs in flight held at the checkpoint."""
        due: Dict[int, List[int]] = {}
        for ue in self.state.not_fetched():
            due.setdefault(self.state.flights[ue].cohort, []).append(ue)
        for number, ues in sorted(due.items()):
            flight = self.state.flights[ues[0]]
            memories = self.state.cohorts.get(number) or {ue: self._before(ue, flight.start) for ue in ues}
            self._train(flight.upload.version, flight.start, flight.shared or {}, memories, set(ues))

    def peek(self, ue: int) -> Params:
        """The model that a UE will send; the UE keeps it."""
        return self._sent(self._held[ue].params if ue in self._held else self.backend.peek(ue))

    def fetch(self, ue: int) -> Sent:
        """Fetch the content of a UE's upload; the UE then no longer holds a model."""
        params, memory, attack = self._held.pop(ue) if ue in self._held else (*self.backend.get(ue), None)
        message = NOTHING
        if self._algorithm.remembers:
            flight = self.state.flights[ue]
            own = self._before(ue, flight.start).algorithm
            lr = self.backend.training.lr(flight.upload.version)
            done = Finished(flight.start, params, flight.work.steps, lr)
            message, own = self._algorithm.finish(done, own, flight.shared or {})
            self.state.memory(ue).algorithm = own
        if self._algorithm.personal:
            self._keep(ue, self.backend.get(self._twin(ue)).params)
        elif self.local:
            self._keep(ue, {name: params[name] for name in self.local})
        if memory:
            self.state.memory(ue).training = memory
        if attack is not None:
            self.state.memory(ue).attack = attack
        return Sent(self._sent(params), message)

    def give_up(self, ue: int) -> Optional[Params]:
        """Give up a UE's model, which will not be fetched; its memory and its own layers are updated all the same.

        Returns:
            The model, if it is known.
        """
        if ue in self._held:
            return self.fetch(ue).params
        algorithm, training = self._algorithm, self.backend.training
        if training.keep_optimizer_state or algorithm.remembers or algorithm.personal or self.local:
            self.fetch(ue)
        else:
            self.backend.give_up(ue)
        return None

    def forget(self) -> None:
        """Delete the memories of broadcasts from which no model is to be fetched any more."""
        if self.state.cohorts:
            due = {self.state.flights[ue].cohort for ue in self.state.not_fetched()}
            self.state.cohorts = {
                number: self.state.cohorts[number] for number in self.state.cohorts if number in due
            }

    def own_models(self, model: Params, among: Optional[Iterable[int]] = None) -> Dict[int, Params]:
        """The models of UEs (all, or `among`) that do not use this global model; with local layers, none does."""
        ues = (
            (self._full if among is None else among)
            if self.local
            else [ue for ue, memory in self.state.ues.items() if memory.own]
        )
        return {ue: {**model, **self._own(ue)} for ue in ues}

    def handed(self, ue: int, model: Params) -> Params:
        """The model that a UE trains when it gets this global model: with its local layers, if it has any."""
        return {**model, **self._own(ue)} if self.local else model

    def _own(self, ue: int) -> Params:
        """The tensors that a UE keeps for itself; before its first training, the initial local layers."""
        known = self.state.ues.get(ue)
        return (known.own if known else NO_PARAMS) or self.local

    def own_at_first(self, model: Params) -> Params:
        """The tensors that a UE keeps for itself when it gets its first model."""
        return model if self._algorithm.personal else self.local

    def _sent(self, params: Params) -> Params:
        """The tensors of a model that a UE sends: all except its local layers."""
        return {name: one for name, one in params.items() if name not in self.local} if self.local else params

    def _keep(self, ue: int, own: Params) -> None:
        # Copies, because a trained model may share one tensor with the models of other UEs.
        self.state.memory(ue).own = {name: tensor.clone() for name, tensor in own.items()}

    def _before(self, ue: int, model: Params) -> Before:
        """The state that determines a UE's training, in addition to the model that it gets."""
        work, known = self.state.flights[ue].work, self.state.ues.get(ue)
        # "All steps" is None and not a number, because a malicious UE may train on other data than it claims.
        steps = None if work.steps == self._full[ue].steps else work.steps
        if known is None and not self._algorithm.remembers:
            return Before(steps, {}, {}, self.own_at_first(model))
        remembered, own = (known.algorithm, known.own) if known else ({}, {})
        if self._algorithm.remembers and not remembered:
            remembered = self._algorithm.start(model)
        return Before(steps, known.training if known else {}, remembered, own or self.own_at_first(model))

    def _twin(self, ue: int) -> int:
        """The backend's number for a UE's own model."""
        return len(self._full) + ue

    def _tasks(
        self, version: int, start: Params, shared: Groups, memories: Mapping[int, Before]
    ) -> Dict[int, Task]:
        """Each UE's task on the global model, followed by the tasks on the UEs' own models."""
        tasks = {}
        for ue, before in memories.items():
            handed = {**start, **before.own} if self.local else start
            key = Key(self._seed, ue, version)
            known, due_s = before.training, self._due_s(ue)
            tasks[ue] = Task(key, handed, known, before.algorithm, shared, before.steps, due_s)
        if self._algorithm.personal:
            beside = {GLOBAL: start}
            for ue, before in memories.items():
                key = Key(self._seed, self._twin(ue), version)
                tasks[key.ue] = Task(key, before.own, {}, {}, beside, before.steps, self._due_s(ue))
        return tasks

    def _due_s(self, ue: int) -> float:
        """When the upload of a UE begins to arrive; if that cannot be foreseen, when it begins to be sent."""
        flight = self.state.flights.get(ue)
        if flight is None:
            return math.inf
        arrival_s = min(flight.upload.arrivals_s, default=math.inf)
        return arrival_s if arrival_s < math.inf else flight.upload.start_s

    def _hostile(self, ues: Sequence[int]) -> List[int]:
        return [ue for ue in ues if ue in self._malicious.ues] if self._malicious else []

    def _train(
        self,
        version: int,
        start: Params,
        shared: Groups,
        memories: Mapping[int, Before],
        due: AbstractSet[int],
    ) -> None:
        """Let UEs train together; those in `due` keep their trained models."""
        tasks = self._tasks(version, start, shared, memories)
        self.backend.train(list(tasks.values()))
        ues, hostile = list(memories), self._hostile(list(memories))
        if hostile:
            # A malicious UE may know the models of the other UEs.
            benign = {ue: self.backend.get(ue) for ue in ues if ue not in hostile}
            self._held.update({ue: Held(*trained) for ue, trained in benign.items() if ue in due})
            others = [trained.params for trained in benign.values()]
            for ue in hostile:
                if ue in due:
                    self._held[ue] = self._poisoned(tasks[ue], len(ues), others)
        for ue in ues:
            if ue not in due:
                if not hostile or ue in hostile:
                    self.backend.give_up(ue)
                if self._algorithm.personal:
                    self.backend.give_up(self._twin(ue))

    def _poisoned(self, task: Task, drawn: int, others: Sequence[Params]) -> Held:
        """The model that a malicious UE sends; its own training runs only if its result is needed."""
        assert self._malicious is not None
        ue, backend = task.key.ue, self.backend
        trained: List[Trained] = []

        def benign() -> Params:
            if not trained:
                trained.append(backend.get(ue))
            return trained[0].params

        known = self.state.ues.get(ue)
        params, attack = self._malicious.poison(task, drawn, others, benign, known.attack if known else None)
        if backend.training.keep_optimizer_state:
            benign()
        elif not trained:
            backend.give_up(ue)
        return Held(params, trained[0].memory if trained else {}, attack)
