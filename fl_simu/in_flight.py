"""Uploads under way: from the moment a UE is handed the model until the BS has taken its upload or given it up."""

import math
from dataclasses import dataclass, field, replace
from typing import Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

from fl_simu.kernel.messages import Aggregate, Taken, Update
from fl_simu.kernel.parameters import Params, Structure, all_finite, distance, largest_spread, structure_of
from fl_simu.results.records import UeOutcome
from fl_simu.uplink.bits import BitRule, Memory, Outlook
from fl_simu.uplink.link import Link, Upload


@dataclass
class InFlight:
    """The uploads under way, at most one a UE.

    Args:
        link: the uplink of every UE.
        rule: how a UE chooses its bits.
        downlink: the link of the global model to every UE; None where it is there at once.
        threshold: how far a UE's model must have moved since its last accepted upload for it to send; None
            where it always sends.
        repeats: whether the BS keeps what it last accepted of each UE.
        error_feedback: whether a UE adds to its update what the codec lost of its last accepted upload.
        uploads: what each UE is sending, or will when it has trained.
        downloads: the copies of the global model before these uploads, where the downlink is not free.
        references: the global models that these UEs started from, by version.
        layers: what the BS has received of each upload.
        trained: the models behind `layers`, where a threshold or error feedback needs them.
        refusals: why nothing will be taken of an upload, where that is known before it is settled.
        sent: the model behind each UE's last accepted upload, where a threshold needs it.
        accepted: that upload as the BS decoded it then, where the BS repeats.
        errors: what the codec lost of it, a model a UE, with error feedback.
        memories: what each UE remembers of its uploads.
        losses: of the global model after the first round and after the last one.
        structure: of the global model that was handed out last.
    """

    link: Link
    rule: BitRule
    downlink: Optional[Link] = None
    threshold: Optional[float] = None
    repeats: bool = False
    error_feedback: bool = False
    uploads: Dict[int, Upload] = field(default_factory=dict)
    downloads: Dict[int, Upload] = field(default_factory=dict)
    references: Dict[int, Params] = field(default_factory=dict)
    layers: Dict[int, Tuple[bytes, ...]] = field(default_factory=dict)
    trained: Dict[int, Params] = field(default_factory=dict)
    refusals: Dict[int, str] = field(default_factory=dict)
    sent: Dict[int, Params] = field(default_factory=dict)
    accepted: Dict[int, Update] = field(default_factory=dict)
    errors: Dict[int, Params] = field(default_factory=dict)
    memories: Dict[int, Memory] = field(default_factory=dict)
    losses: Tuple[float, ...] = ()
    structure: Structure = ()

    def begin(
        self, ue: int, version: int, now_s: float, compute_s: float, works: bool, reference: Params
    ) -> Upload:
        """The BS hands a UE the global model `reference`: the download, `compute_s` of training, then the upload.

        An upload begins never (at infinity) where the download never arrives, and where the UE does not work. The
        BS does not know who fails, and sends the copy all the same.
        """
        if self.references.get(version) is not reference:
            self.references[version] = reference
            self.structure = structure_of(reference)
        structure = self.structure
        if self.downlink:
            self.downloads[ue] = self.downlink.transmit(ue, version, now_s, structure)
        start_s = now_s + self._download_s(ue) + compute_s if works else math.inf
        outlook = Outlook(
            self.memories.get(ue, Memory()),
            self.losses,
            lambda bits: self.link.load_mbit(structure, bits),
            lambda bits: self.link.transmit(ue, version, start_s, structure, bits).delays_s[-1],
        )
        upload = self.link.transmit(ue, version, start_s, structure, self.rule.choose(outlook))
        self.uploads[ue] = replace(upload, compute_s=compute_s)
        return self.uploads[ue]

    def expects(self, ue: int, version: int) -> bool:
        """Whether that upload is still under way, neither given up nor refused."""
        upload = self.uploads.get(ue)
        return upload is not None and upload.version == version and ue not in self.refusals

    def skips(self, ue: int, trained: Callable[[], Params]) -> bool:
        """Whether a UE that has trained moved too little to send; nothing comes of its upload then."""
        if self.threshold is None or ue not in self.sent:
            return False
        # What is not finite has no distance: it is sent, and refused.
        if not distance(trained(), self.sent[ue]) <= self.threshold:
            return False
        upload, never = self.uploads[ue], (math.inf,) * len(self.uploads[ue].arrivals_s)
        self.uploads[ue] = replace(upload, start_s=math.inf, arrivals_s=never)
        self.refusals[ue] = "not moved"
        return True

    def receive(self, ue: int, params: Params) -> bool:
        """Take in a UE's model, encoded; False if the BS refuses it because it is no model like its own, or
        because what would be sent of it is not finite."""
        upload = self.uploads[ue]
        reference = self.references[upload.version]
        if structure_of(params) != structure_of(reference):
            self.refusals[ue] = "wrong shape"
            return False
        content = self.link.content(params, reference, self.errors.get(ue))
        if not all_finite(content):
            self.refusals[ue] = "not finite"
            return False
        self.layers[ue] = self.link.encode(upload, content)
        if self.threshold is not None or self.error_feedback:
            self.trained[ue] = {name: tensor.clone() for name, tensor in params.items()}
        if self.rule.remembers:
            spread = largest_spread(params, reference)
            self.memories[ue] = replace(self.memories.get(ue, Memory()), spread=spread)
        return True

    def updates(self, action: Aggregate, samples: Mapping[int, int]) -> Iterator[Update]:
        """What is aggregated, decoded one at a time, in the order of the UEs."""
        choices = {choice.ue: choice for choice in action.taken}
        for ue in sorted({*choices, *action.repeated}):
            update = self.take(choices[ue], samples[ue]) if ue in choices else self.accepted[ue]
            if update:
                yield update

    def take(self, choice: Taken, samples: int) -> Optional[Update]:
        """The update that the taken layers of an upload tell; both sides remember it where they need to.

        None if it is refused because what it decodes to is not finite.
        """
        ue, upload, layers = choice.ue, self.uploads[choice.ue], self.layers[choice.ue][: choice.layers]
        reference = self.references[upload.version]
        params = self.link.decode(upload, layers, reference)
        if not all_finite(params):
            self.refusals[ue] = "not finite"
            return None
        update = Update(ue, upload.version, samples, params, choice.weight)
        if self.threshold is not None:
            self.sent[ue] = self.trained[ue]
        if self.repeats:
            self.accepted[ue] = update
        if self.error_feedback:
            self.errors[ue] = self.link.lost(upload, layers, self.trained[ue], reference, self.errors.get(ue))
        return update

    def outcome(self, ue: int, layers: int, now_s: float) -> UeOutcome:
        """What became of an upload that is settled now; `layers` is how many of its layers were taken."""
        upload = self.uploads[ue]
        layers = 0 if ue in self.refusals else layers
        accepted = "full" if layers == len(upload.sizes_bits) else "base" if layers else "none"
        reason = "" if layers else self._reason(upload)
        bits = self.link.sent_bits(upload, now_s)
        return UeOutcome(ue, upload.compute_s, upload.delays_s, bits, accepted, reason, self._download_s(ue))

    def downlink_bits(self, ues: Iterable[int], now_s: float) -> int:
        """What the BS has put on the air by now to hand these UEs the model."""
        return sum(self.downlink.sent_bits(self.downloads[ue], now_s) for ue in ues) if self.downlink else 0

    def _download_s(self, ue: int) -> float:
        return self.downloads[ue].delays_s[-1] if self.downlink else 0.0

    def _reason(self, upload: Upload) -> str:
        if upload.ue in self.refusals:
            return self.refusals[upload.ue]
        if upload.start_s == math.inf:
            return "dropped out" if self._download_s(upload.ue) < math.inf else "not reached"
        return "late"

    def not_fetched(self) -> List[int]:
        """UEs whose trained model the BS has not fetched and still may."""
        return not_fetched(self.uploads, self.layers, self.refusals)

    def settle(self, ues: Iterable[int], now_s: float) -> None:
        """Let go of uploads, and of global models that no other upload started from."""
        for ue in ues:
            upload = self.uploads.pop(ue)
            for held in (self.downloads, self.layers, self.refusals, self.trained):
                held.pop(ue, None)
            spent_s = min(now_s, upload.arrivals_s[-1]) - upload.start_s
            if spent_s > 0 and self.rule.remembers:
                rate_mbps = self.link.size.load_mbit(self.link.sent_bits(upload, now_s)) / spent_s
                self.memories[ue] = self.memories.get(ue, Memory()).after(rate_mbps)
        versions = {upload.version for upload in self.uploads.values()}
        self.references = {version: self.references[version] for version in versions}


def not_fetched(uploads: Mapping[int, Upload], received: Iterable[int], refusals: Mapping[int, str]) -> List[int]:
    """UEs of these uploads whose trained model the BS has not fetched and still may."""
    done = {*received, *refusals}
    return [ue for ue, upload in uploads.items() if ue not in done and upload.start_s < math.inf]
