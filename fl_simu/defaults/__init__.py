"""The default experiment: on MNIST, and on scikit-learn's digits where there is neither MNIST nor a network."""

from pathlib import Path

MNIST = Path(__file__).parent / "mnist.toml"
DIGITS = Path(__file__).parent / "digits.toml"
