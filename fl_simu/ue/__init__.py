"""The work of a user equipment (UE): local training, transforms of its update, compute time, faults."""
