"""The laws of secure aggregation. Each takes the codes of some UEs of a cohort, and the lost UEs."""

from typing import List, NamedTuple, Tuple

import numpy as np

from fl_simu.kernel.randomness import stream
from fl_simu.laws.base import SEED, Inputs, Law, expect, same
from fl_simu.privacy.secure import SecureAggregation

ROUND = 3


class Cohort(NamedTuple):
    """UEs that were handed a model together, the bits of a code, the codes of each UE, and the lost uploads."""

    ues: Tuple[int, ...]
    width: int
    codes: np.ndarray
    lost: Tuple[int, ...]


def _sealed(secure: SecureAggregation, cohort: Cohort) -> List[np.ndarray]:
    return [
        secure.seal(codes, cohort.width, SEED, ue, ROUND, cohort.ues)
        for ue, codes in zip(cohort.ues, cohort.codes)
    ]


def a_sum_is_the_sum_or_stays_sealed(secure: SecureAggregation, cohort: Cohort) -> None:
    """The sum of the codes that are not lost, modulo 2^width; sealed if there are fewer UEs than `least`."""
    sent = {ue: one for ue, one in zip(cohort.ues, _sealed(secure, cohort)) if ue not in cohort.lost}
    found = secure.open(sent, cohort.width, SEED, ROUND, cohort.ues) if sent else None
    if len(sent) < max(1, secure.least(len(cohort.ues))):
        same("what is opened of too few", found, None)
        return
    told = f"the sum of {len(sent)} of {len(cohort.ues)} UEs stays sealed; right is that it opens"
    expect(found is not None, told)
    assert found is not None
    kept = [codes for ue, codes in zip(cohort.ues, cohort.codes) if ue not in cohort.lost]
    same("the sum", found.tolist(), (np.sum(kept, axis=0, dtype=np.uint64) % 2**cohort.width).tolist())


def what_is_sent_has_as_many_bits(secure: SecureAggregation, cohort: Cohort) -> None:
    """Codes are below 2^width and keep their number; the given codes are not changed; a second call is equal."""
    before = cohort.codes.copy()
    sent = _sealed(secure, cohort)
    same("the codes afterwards", cohort.codes.tolist(), before.tolist())
    for one, again in zip(sent, _sealed(secure, cohort)):
        same("dtype and shape of what is sent", (one.dtype, one.shape), (before.dtype, before[0].shape))
        expect(int(one.max()) < 2**cohort.width, f"a code of {one.max()} is sent; right are {cohort.width} bits")
        same("what is sent when it is asked again", again.tolist(), one.tolist())


def traffic_is_no_less_than_nothing(secure: SecureAggregation, cohort: Cohort) -> None:
    """A sum needs no more UEs than there are."""
    ues = len(cohort.ues)
    for bits in (secure.uplink_bits(ues), secure.downlink_bits(ues)):
        expect(
            isinstance(bits, int) and bits >= 0, f"the traffic is {bits!r} bits; right is a whole number from 0"
        )
    expect(1 <= secure.least(ues) <= ues, f"a sum needs {secure.least(ues)} UEs; right is 1 to {ues}")


def cohorts(secure: SecureAggregation) -> Inputs:
    """Six UEs, few or all of them lost, with codes of few and of all bits."""
    ues, found = (1, 2, 5, 7, 8, 11), {}
    for width in (3, 20, 32):
        codes = stream(SEED, "laws", width).integers(0, 2**width, (len(ues), 9)).astype(np.uint32)
        for lost in ((), (5,), (1, 11), (1, 2, 5, 7), ues):
            found[f"{width} bits, {len(lost)} lost"] = (Cohort(ues, width, codes, lost),)
    return found


LAWS = tuple(
    Law(law, cohorts)
    for law in (a_sum_is_the_sum_or_stays_sealed, what_is_sent_has_as_many_bits, traffic_is_no_less_than_nothing)
)
