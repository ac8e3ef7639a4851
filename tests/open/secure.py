"""Secure aggregation with one secret: the UE with the lowest number cancels the masks of the others."""

from dataclasses import dataclass

import numpy as np

from fl_simu.kernel.randomness import briefly
from fl_simu.privacy.secure import SecureAggregation


@dataclass(frozen=True)
class OneMask(SecureAggregation):
    """The sum can be opened only if all UEs send.

    Args:
        secret_bits: size of the secret, which the BS distributes.
    """

    secret_bits: int = 128

    def uplink_bits(self, ues):
        return 0

    def downlink_bits(self, ues):
        return self.secret_bits

    def least(self, ues):
        return ues

    def seal(self, codes, width, seed, ue, round, cohort):
        mask = briefly(seed, "one mask", 0, round).integers(0, 2**width, len(codes)).astype(np.uint32)
        sign = np.uint32(1 if ue != cohort[0] else -(len(cohort) - 1) % 2**32)
        return (codes + mask * sign) & np.uint32(2**width - 1)

    def open(self, sealed, width, seed, round, cohort):
        if len(sealed) < len(cohort):
            return None
        return sum(sealed.values(), np.uint32(0)) & np.uint32(2**width - 1)
