"""Child process: rounds in which no UE trains; prints the seconds of each round.

The remaining time is the BS's own work: clock, protocol, encoding, decoding, averaging, record and checkpoint.
"""

import json
from tempfile import TemporaryDirectory

from idle import StandingStill
from laps import Laps
from many_ues import random_images

import fl_simu as fl
from fl_simu.kernel.machine import keep_freed_memory

ROUNDS = 11


def main() -> None:
    experiment = fl.Experiment(
        rounds=ROUNDS,
        ues=16,
        backend=StandingStill(),
        data=random_images(160),
        payload="update",
        codec=fl.codecs.Affine(2, (2,)),
        protocol="base_then_enhancement",
    )
    keep_freed_memory()
    watch = Laps()
    with TemporaryDirectory() as folder:
        fl.run(experiment, folder, [watch])
    # The first round includes the start-up.
    print(json.dumps({"seconds": watch.seconds[1:]}))


if __name__ == "__main__":
    main()
