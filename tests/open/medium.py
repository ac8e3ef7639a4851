"""A medium: one UE sends at a time, in the order of arrival."""

from dataclasses import dataclass

from fl_simu.radio.media.base import Arrival, SharedMedium


@dataclass(frozen=True)
class OneAtATime(SharedMedium):
    """Its state: a time, and the queue at that time, each as (UE, version, remaining Mbit of each layer)."""

    def start(self):
        return 0.0, ()

    def waiting(self, state, link, now_s):
        (since_s, queue), first = state, None
        for ue, version, (load, *others) in queue[:1]:
            first = ue, version, (max(load - link.carried_mbit(ue, version, since_s, now_s), 0.0), *others)
        return (first, *queue[1:]) if first else ()

    def join(self, state, link, upload, now_s):
        loads = tuple(map(link.size.load_mbit, upload.sizes_bits))
        return now_s, (*self.waiting(state, link, now_s), (upload.ue, upload.version, loads))

    def leave(self, state, link, ue, now_s):
        return now_s, tuple(one for one in self.waiting(state, link, now_s) if one[0] != ue)

    def plan(self, state, link, allocator, now_s):
        queue = self.waiting(state, link, now_s)
        first = [Arrival(link.arrival_s(ue, version, now_s, left[0]), ue) for ue, version, left in queue[:1]]
        return (now_s, queue), first[0] if first else None

    def arrived(self, state, link, arrival):
        (ue, version, (_, *left)), *rest = self.waiting(state, link, arrival.time_s)
        return arrival.time_s, ((ue, version, tuple(left)), *rest) if left else tuple(rest)

    def sent_mbit(self, state, link, upload, now_s):
        left = {ue: sum(loads) for ue, _, loads in self.waiting(state, link, now_s)}
        return sum(map(link.size.load_mbit, upload.sizes_bits)) - left[upload.ue]
