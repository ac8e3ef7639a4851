"""Random input to the whole program: `python -m tests.fuzz`, which `make fuzz` runs. No part of the suite."""
