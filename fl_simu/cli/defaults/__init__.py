"""The default experiments: on MNIST, on digits if there is neither MNIST nor a network, and with poisoning."""

from pathlib import Path

MNIST = Path(__file__).parent / "mnist.toml"
DIGITS = Path(__file__).parent / "digits.toml"
POISONING = Path(__file__).parent / "poisoning.toml"
