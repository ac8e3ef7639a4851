"""Uploads in flight: from the moment a UE gets the model until the BS takes the upload or gives it up."""

import math
from dataclasses import replace
from typing import Callable, Collection, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, cast

from fl_simu.kernel.errors import BadField
from fl_simu.kernel.messages import Aggregate, Due, LayerArrived, Taken, Update
from fl_simu.kernel.parameters import (
    Params,
    Structure,
    all_finite,
    difference,
    distance,
    largest_spread,
    structure_of,
    total,
)
from fl_simu.loop.batteries import Batteries
from fl_simu.loop.downloads import Downloads
from fl_simu.loop.outcomes import Outcomes
from fl_simu.loop.setting import Setting
from fl_simu.loop.state import Flight, RunState
from fl_simu.parts import KINDS
from fl_simu.privacy.secure import Sums
from fl_simu.radio.bits import Memory, Outlook
from fl_simu.radio.codecs.base import raw_length
from fl_simu.radio.link import Training, Upload
from fl_simu.radio.media.base import Air, Arrival, SharedMedium
from fl_simu.ue.algorithms.base import Groups, Message, flat, grouped
from fl_simu.ue.training import NOTHING, Key
from fl_simu.ue.transforms.base import Context
from fl_simu.ue.work import Work

# The most memory for uploads that are decoded before they are taken.
EARLY_BYTES = 2**28


class Flights:
    """Handles the uploads in flight, at most one per UE. The memory is kept in the state."""

    def __init__(self, setting: Setting, state: RunState) -> None:
        self.setting = setting
        self.state = state
        self.shared = setting.medium if isinstance(setting.medium, SharedMedium) else None
        self.sums = Sums(setting.secure, setting.link) if setting.secure.active else None
        # The last global model sent, its structure, and the structure of an upload.
        self._known: Tuple[Optional[Params], Tuple[Structure, Structure]] = (None, ((), ()))
        # The structure of the data that are sent along with the model.
        self._beside: Structure = structure_of(flat(setting.algorithm.message(state.model)))
        self.downloads = Downloads(setting, state)
        self.outcomes = Outcomes(setting, state)
        self.batteries = Batteries(setting, state)
        # For this aggregation: the messages taken along with the models, and the UEs whose uploads were taken.
        self.messages: List[Message] = []
        self.taken: List[int] = []
        # The decoded content of complete uploads that were decoded on arrival.
        self._early: Dict[int, Params] = {}
        # The medium's numbers for this aggregation.
        self.heard: Dict[str, float] = {}

    def begin(
        self,
        ue: int,
        version: int,
        now_s: float,
        start: Params,
        download: Optional[Upload] = None,
        weight: float = 1.0,
        works: bool = True,
    ) -> Upload:
        """Begin a UE's round: the download, if the downlink is not free, then training, then the upload.

        The upload begins at infinity, i.e. never, if the download never arrives or the UE does not work. The BS
        does not know which UEs fail, and sends them the copy all the same.
        """
        setting = self.setting
        structure = self._structures(start)[1]
        waited_s = download.delays_s[-1] if download else 0.0
        work, compute_s = self._work(ue, version, waited_s)
        start_s = math.inf
        if works and self.batteries.powered(ue, now_s):
            start_s = now_s + waited_s + compute_s
        known, link = self.state.ues.get(ue), setting.link
        outlook = Outlook(
            known.uploads if known else Memory(),
            self.state.losses,
            lambda bits: link.load_mbit(structure, bits),
            lambda bits: link.transmit(ue, version, start_s, structure, bits).delays_s[-1],
        )
        bits = setting.bits.choose(outlook)
        sent = (ue, version, start_s, structure, bits, compute_s)
        upload = self.shared.pending(link, *sent) if self.shared else link.transmit(*sent)
        cohort, shared = self.state.begun - 1, self.state.station.shared or None
        self.state.flights[ue] = Flight(
            upload, start, cohort, work, download, shared, handed_s=now_s, weight=weight
        )
        return upload

    def _work(self, ue: int, version: int, waited_s: float) -> Tuple[Work, float]:
        """A UE's local work, and how long it takes."""
        setting, full = self.setting, self.setting.full[ue]
        time_s = self.compute_s(ue, version)
        if not full.steps:
            return full, time_s
        steps = setting.work.steps(setting.seed, ue, version, full, time_s / full.steps, waited_s)
        if steps == full.steps:
            return full, time_s
        part = steps / full.steps
        return Work(full.samples, full.epochs * part, steps), time_s * part

    def compute_s(self, ue: int, version: int) -> float:
        """How long a UE trains if it makes all its steps."""
        setting = self.setting
        return setting.compute.time_s(setting.seed, ue, version, setting.full[ue]) * setting.models

    def rate_mbps(self, ue: int, version: int, now_s: float) -> float:
        """The current rate of a UE.

        Raises:
            BadField: a selection asks for a rate that does not exist, because uploads are sent as amplitudes or
                the medium has its own links.
        """
        if self.setting.medium.analog:
            raise self._asks("it asks for rates, and the medium has none")
        if self.shared and self.shared.own_links:
            raise self._asks("it asks for the channel's rates, and the medium has its own")
        return self.setting.link.rate_mbps(ue, version, now_s)

    def _asks(self, allowed: str) -> BadField:
        name = KINDS["selection"].name_of(self.setting.selection, nameless=True)
        return BadField("selection.name", name, allowed)

    def upload_s(self, ue: int, version: int, now_s: float) -> float:
        """How long the upload of a UE would take at its current rate."""
        rate_mbps = self.rate_mbps(ue, version, now_s)
        load_mbit = self.setting.link.load_mbit(self._structures(self.state.model)[1], 0)
        return load_mbit / rate_mbps if rate_mbps else math.inf

    def _structures(self, start: Params) -> Tuple[Structure, Structure]:
        """The structures of a global model and of an upload after training on it."""
        if self._known[0] is not start:
            model = structure_of(start)
            self._known = start, (model, model + self._beside)
        return self._known[1]

    def expects(self, ue: int, version: int) -> bool:
        """Whether that upload is still in flight, neither given up nor refused."""
        flight = self.state.flights.get(ue)
        return flight is not None and flight.upload.version == version and not flight.refusal

    def loses(self, event: LayerArrived) -> bool:
        """Whether the layer that would have arrived now is lost, or follows a lost one."""
        return event.layer >= self.state.flights[event.ue].upload.lost >= 0

    def skips(self, ue: int, trained: Callable[[], Params], now_s: float) -> bool:
        """Whether a UE that has trained does not send; if so, its upload is cancelled."""
        flight = self.state.flights[ue]
        reason = self._silence(flight, trained, now_s)
        if not reason:
            return False
        never = (math.inf,) * len(flight.upload.arrivals_s)
        flight.upload = flight.upload._replace(start_s=math.inf, arrivals_s=never)
        flight.refusal = reason
        self._leave(ue, now_s)
        return True

    def _silence(self, flight: Flight, trained: Callable[[], Params], now_s: float) -> str:
        """The reason why a UE does not send; empty if it sends."""
        setting, state = self.setting, self.state
        known = state.ues.get(flight.upload.ue) if setting.chain.transforms else None
        remembered = known.transforms if known else ()
        if remembered and setting.chain.silent(self._context(flight, trained()), remembered):
            return "not moved"
        return self.shared.silence(state.medium, setting.link, flight.upload, now_s) if self.shared else ""

    def send(self, ue: int, now_s: float) -> None:
        """A UE begins to send on the shared medium."""
        assert self.shared is not None
        state, link, flight = self.state, self.setting.link, self.state.flights[ue]
        upload = flight.upload
        state.medium = self.shared.join(state.medium, link, upload, now_s)
        state.replan = True
        flight.transmits_w = self.shared.transmits_w(state.medium, link, upload)
        lost = self.shared.lost(state.medium, link, upload)
        if lost != upload.lost:
            flight.upload = upload._replace(lost=lost)

    def handed(self, uploads: Mapping[int, Upload], now_s: float) -> None:
        """Announce a cohort to the shared medium."""
        if self.shared:
            state, setting = self.state, self.setting
            told = {ue: upload._replace(training=self._training(ue)) for ue, upload in uploads.items()}
            state.medium = self.shared.handed(state.medium, setting.link, setting.allocator, told, now_s)

    def _training(self, ue: int) -> Training:
        setting, work = self.setting, self.state.flights[ue].work
        passes = work.samples * work.epochs * setting.models
        processor = setting.compute.processor(setting.seed, ue)
        return Training(work.samples, passes, *(processor or ()))

    def _leave(self, ue: int, now_s: float) -> None:
        """A UE stops sending, or never begins."""
        state = self.state
        if self.shared:
            left = self.shared.leave(state.medium, self.setting.link, ue, now_s)
            if left is not state.medium:
                state.medium, state.replan = left, True

    def plan(self, now_s: float) -> Optional[Due]:
        """Reallocate the medium; return the next arrival, if there is one."""
        assert self.shared is not None
        state = self.state
        state.medium, arrival = self.shared.plan(state.medium, self.setting.link, self.setting.allocator, now_s)
        state.plan, state.replan = state.plan + 1, False
        if arrival is None or arrival.time_s == math.inf:
            return None
        return Due(arrival.time_s, state.plan, arrival.ue)

    def arrive(self, due: Due) -> Optional[LayerArrived]:
        """The planned arrival, unless the medium was reallocated since."""
        if self.shared is None or due.plan != self.state.plan or self.state.replan:
            return None
        flight = self.state.flights[due.ue]
        arrivals = flight.upload.arrivals_s
        layer = arrivals.index(math.inf)
        arrival = Arrival(due.time_s, due.ue)
        if self.setting.meters:
            medium, link = self.state.medium, self.setting.link
            flight.airtime_s = self.shared.airtime_s(medium, link, flight.upload, due.time_s)
        start_s = self.shared.began_s(self.state.medium, flight.upload, due.time_s)
        self.state.medium = self.shared.arrived(self.state.medium, self.setting.link, arrival)
        self.state.replan = True
        arrivals = (*arrivals[:layer], due.time_s, *arrivals[layer + 1 :])
        flight.upload = flight.upload._replace(start_s=start_s, arrivals_s=arrivals)
        return LayerArrived(due.time_s, due.ue, flight.upload.version, layer, len(arrivals))

    def receive(self, ue: int, params: Params, message: Groups = NOTHING) -> bool:
        """Encode and store the content of an upload: the UE's model, and the message with it. False if the BS
        refuses it because the model has another structure, or because the content is not finite."""
        flight, setting = self.state.flights[ue], self.setting
        if setting.measures:
            flight.sent = params
        if structure_of(params) != self._structures(flight.start)[0]:
            flight.refusal = "wrong shape"
            return False
        content = self._content(flight, params)
        if message:
            content = {**content, **flat(message)}
        if not all_finite(content):
            flight.refusal = "not finite"
            return False
        flight.layers = setting.link.encode(flight.upload, content)
        if self.sums:
            elements = sum(spec.elements for spec in self._structures(flight.start)[1])
            encoded = cast(Sequence[bytes], flight.layers)
            flight.layers = self.sums.sealed(encoded, elements, flight.upload, self.state.sealing)
        if setting.bits.remembers:
            memory = self.state.memory(ue)
            memory.uploads = replace(memory.uploads, spread=largest_spread(params, flight.start))
        return True

    def _content(self, flight: Flight, params: Params) -> Params:
        """The content that a UE encodes, after the transforms: its model, or its update."""
        chain, link = self.setting.chain, self.setting.link
        if not chain.transforms:
            return link.content(params, flight.start)
        known = self.state.ues.get(flight.upload.ue)
        update = difference(params, flight.start)
        flight.content, flight.memories = chain.apply(
            update, self._context(flight, params), known.transforms if known else ()
        )
        if link.payload == "update":
            return flight.content
        # An unchanged update is not added again, because that would round.
        return params if flight.content is update else total(flight.content, flight.start)

    def _context(self, flight: Flight, trained: Params) -> Context:
        ue, version = flight.upload.ue, flight.upload.version
        return Context(Key(self.setting.seed, ue, version), flight.start, trained, self.setting.samples[ue])

    def updates(self, action: Aggregate) -> Iterator[Update]:
        """The updates to aggregate, decoded one at a time, in the order of the UEs."""
        self.messages, self.taken = [], []
        setting, state = self.setting, self.state
        self.heard = dict.fromkeys(setting.medium.columns, 0.0)
        choices = {choice.ue: choice for choice in action.taken}
        if self.sums:
            yield from self._sum(self.sums, sorted(choices))
            return
        taken = [choices.get(ue, Taken(ue, 0)) for ue in sorted({*choices, *action.repeated})]
        air = Air(setting.link, state.version, state.model, setting.aggregation.weight_of, self.heard)
        for update in setting.medium.listen(taken, self._decoded, air):
            if update:
                yield update

    def _decoded(self, choice: Taken) -> Optional[Update]:
        update = self.take(choice) if choice.layers else self._again(choice.ue)
        if update:
            self.taken.append(update.ue)
        return update

    def _sum(self, sums: Sums, ues: List[int]) -> Iterator[Update]:
        """The mean of sealed uploads, as one update with the number of the first UE."""
        flights = {ue: self.state.flights[ue] for ue in ues}
        if not flights:
            return
        first = flights[ues[0]]
        version, structure = first.upload.version, self._structures(first.start)[1]
        sent = {ue: cast(bytes, flight.layers[0]) for ue, flight in flights.items()}
        told = sums.mean(sent, structure, version, self.state.sealing)
        if told is None:
            for flight in flights.values():
                flight.refusal = "sealed"
            return
        self.taken = ues
        for ue, flight in flights.items():
            if self.setting.chain.transforms:
                own = self.setting.link.encode(flight.upload, flight.content or {})
                self._settled(ue, flight, self.setting.link.told(flight.upload, own, structure))
        samples, steps = (
            sum(getattr(one.work, name) for one in flights.values()) for name in ("samples", "steps")
        )
        yield Update(ues[0], version, samples, self.setting.link.model(told, first.start), 1.0, steps)

    def _settled(self, ue: int, flight: Flight, decoded: Params) -> None:
        """Tell a UE's transforms what the BS has taken."""
        memories = self.setting.chain.settled(flight.memories, flight.content or {}, decoded)
        self.state.memory(ue).transforms = memories

    def _again(self, ue: int) -> Optional[Update]:
        known = self.state.ues.get(ue)
        return known.accepted if known else None

    def decode_early(self, ue: int) -> None:
        """Decode an upload whose last layer has arrived, while other UEs train in other processes; only as many
        at a time as fit into `EARLY_BYTES`."""
        flight = self.state.flights[ue]
        structure = self._structures(flight.start)[1]
        size = raw_length(structure)
        if self.sums or self.setting.link.exact or (len(self._early) + 1) * size > EARLY_BYTES:
            return
        self._early[ue] = self.setting.link.told(flight.upload, flight.layers, structure)

    def _told(self, flight: Flight, layers: int, structure: Structure) -> Params:
        """The content decoded from the first layers of an upload."""
        if layers == len(flight.layers) and flight.upload.ue in self._early:
            return self._early[flight.upload.ue]
        return self.setting.link.told(flight.upload, flight.layers[:layers], structure)

    def take(self, choice: Taken) -> Optional[Update]:
        """The update decoded from the taken layers of an upload; both sides store what they need of it.

        None if it is refused because the decoded numbers are not finite.
        """
        ue, flight, setting = choice.ue, self.state.flights[choice.ue], self.setting
        _, structure = self._structures(flight.start)
        told = self._told(flight, choice.layers, structure)
        beside: Params = {}
        if self._beside:
            told = dict(told)
            beside = {spec.name: told.pop(spec.name) for spec in self._beside}
        params = setting.link.model(told, flight.start)
        # Content that arrives unchanged was already checked on arrival.
        if not (setting.link.intact or (all_finite(params) and all_finite(beside))):
            flight.refusal = "not finite"
            return None
        if beside:
            self.messages.append(Message(ue, setting.samples[ue], grouped(beside)))
        weight, work = choice.weight * flight.weight, flight.work
        update = Update(ue, flight.upload.version, work.samples, params, weight, work.steps)
        if setting.protocol.repeats():
            # Copies, because a trained model may share one tensor with the models of other UEs.
            kept = {name: tensor.clone() for name, tensor in params.items()}
            self.state.memory(ue).accepted = replace(update, params=kept)
        if setting.chain.transforms:
            decoded = told if setting.link.payload == "update" else difference(told, flight.start)
            self._settled(ue, flight, decoded)
        return update

    def norm(self, ue: int, layers: int) -> float:
        """Euclidean norm of the update in these layers, which are decoded again."""
        flight, link = self.state.flights[ue], self.setting.link
        told = self._told(flight, layers, self._structures(flight.start)[1])
        model = {name: told[name] for name in flight.start}
        return distance(link.model(model, flight.start), flight.start)

    def settle(self, ues: Collection[int], now_s: float) -> None:
        """Remove settled uploads; one that is still on the air is cut off."""
        setting, state = self.setting, self.state
        settled = {(state.flights[ue].cohort, ue) for ue in ues}
        for ue in ues:
            upload = state.flights[ue].upload
            spent_s = min(now_s, upload.arrivals_s[-1]) - upload.start_s
            if spent_s > 0 and setting.bits.remembers:
                rate_mbps = setting.link.size.load_mbit(self.outcomes.sent_bits(upload, now_s)) / spent_s
                memory = state.memory(ue)
                memory.uploads = memory.uploads.after(rate_mbps)
            if now_s < upload.arrivals_s[-1]:
                self._leave(ue, now_s)
            del state.flights[ue]
            self._early.pop(ue, None)
        self.downloads.settle(settled, now_s)
