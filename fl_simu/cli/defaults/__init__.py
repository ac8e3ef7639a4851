"""The default experiment: on MNIST, and on digits where there is neither MNIST nor a network; a poisoned one."""

from pathlib import Path

MNIST = Path(__file__).parent / "mnist.toml"
DIGITS = Path(__file__).parent / "digits.toml"
POISONING = Path(__file__).parent / "poisoning.toml"
