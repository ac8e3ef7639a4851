"""Child process: uploads per second of the coordinator alone, as in `test_uplink_events.py`; prints JSON."""

import json
import sys
import time
from functools import partial

from test_uplink_events import CHANNELS, UPLOADS, fresh

from fl_simu.kernel.machine import prepare
from fl_simu.models import MODELS
from fl_simu.ue.training import initial_params


def main() -> None:
    ues, repeats = 100, int(sys.argv[1])
    prepare(1)
    model = initial_params(partial(MODELS["mnist_cnn"]().build, (1, 28, 28), 10), seed=1)
    told = {}
    for channel in CHANNELS:
        told[channel] = []
        # The first run on each channel is a warm-up.
        for _ in range(1 + repeats):
            coordinator = fresh(model, "wait_for_all", channel, ues)
            began = time.process_time()
            coordinator.run()
            told[channel].append(UPLOADS / (time.process_time() - began))
    print(json.dumps({"ues": ues, "uploads_a_second": {channel: one[1:] for channel, one in told.items()}}))


if __name__ == "__main__":
    main()
