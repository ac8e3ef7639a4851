"""Uploads under way: from the moment a UE is handed the model until the BS has taken its upload or given it up."""

import math
from dataclasses import dataclass, field, replace
from typing import Dict, Iterable, List, Optional, Tuple

from fl_simu.kernel.messages import Taken, Update
from fl_simu.kernel.parameters import Params, all_finite, largest_spread, structure_of
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
        downloads: the copies of the global model before these uploads, where the downlink is not free.
        uploads: what each UE is sending, or will when it has trained.
        references: the global models that these UEs started from, by version.
        layers: what the BS has received of each upload; None for one that it refused.
        memories: what each UE remembers of its uploads.
        losses: of the global model after the first round and after the last one.
    """

    link: Link
    rule: BitRule
    downlink: Optional[Link] = None
    downloads: Dict[int, Upload] = field(default_factory=dict)
    uploads: Dict[int, Upload] = field(default_factory=dict)
    references: Dict[int, Params] = field(default_factory=dict)
    layers: Dict[int, Optional[Tuple[bytes, ...]]] = field(default_factory=dict)
    memories: Dict[int, Memory] = field(default_factory=dict)
    losses: Tuple[float, ...] = ()

    def begin(
        self, ue: int, version: int, now_s: float, compute_s: float, works: bool, reference: Params
    ) -> Upload:
        """The BS hands a UE the global model `reference`: the download, `compute_s` of training, then the upload.

        An upload begins never (at infinity) where the download never arrives, and where the UE does not work. The
        BS does not know who fails, and sends the copy all the same.
        """
        self.references[version] = reference
        structure = structure_of(reference)
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
        return upload is not None and upload.version == version and self.layers.get(ue, ()) is not None

    def receive(self, ue: int, params: Params) -> bool:
        """Take in a UE's model, encoded; False if the BS refuses it because it is not finite."""
        if not all_finite(params):
            self.layers[ue] = None
            return False
        upload = self.uploads[ue]
        reference = self.references[upload.version]
        self.layers[ue] = self.link.encode(upload, params, reference)
        if self.rule.remembers:
            spread = largest_spread(params, reference)
            self.memories[ue] = replace(self.memories.get(ue, Memory()), spread=spread)
        return True

    def decode(self, choice: Taken, samples: int) -> Update:
        """The update that the taken layers of an upload tell."""
        upload, layers = self.uploads[choice.ue], self.layers[choice.ue]
        assert layers is not None, "a protocol takes no refused upload"
        params = self.link.decode(upload, layers[: choice.layers], self.references[upload.version])
        return Update(choice.ue, upload.version, samples, params, choice.weight)

    def outcome(self, ue: int, layers: int, now_s: float) -> UeOutcome:
        """What became of an upload that is settled now; `layers` is how many of its layers were taken."""
        upload = self.uploads[ue]
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
        if upload.start_s == math.inf:
            return "dropped out" if self._download_s(upload.ue) < math.inf else "not reached"
        return "not finite" if self.layers.get(upload.ue, ()) is None else "late"

    def not_fetched(self) -> List[int]:
        """UEs whose trained model the BS has not fetched and still may."""
        return [ue for ue, upload in self.uploads.items() if ue not in self.layers and upload.start_s < math.inf]

    def settle(self, ues: Iterable[int], now_s: float) -> None:
        """Let go of uploads, and of global models that no other upload started from."""
        for ue in ues:
            upload = self.uploads.pop(ue)
            self.downloads.pop(ue, None)
            self.layers.pop(ue, None)
            spent_s = min(now_s, upload.arrivals_s[-1]) - upload.start_s
            if spent_s > 0 and self.rule.remembers:
                rate_mbps = self.link.size.load_mbit(self.link.sent_bits(upload, now_s)) / spent_s
                self.memories[ue] = self.memories.get(ue, Memory()).after(rate_mbps)
        versions = {upload.version for upload in self.uploads.values()}
        self.references = {version: self.references[version] for version in versions}
