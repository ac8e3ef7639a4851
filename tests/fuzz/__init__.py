"""Random input to the whole program: `make fuzz` runs `python -m tests.fuzz`. Not part of the suite."""
