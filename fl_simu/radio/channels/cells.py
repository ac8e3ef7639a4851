"""Other cells: where their stations and UEs are."""

import functools
import math

import numpy as np


def poisson(draws: np.random.Generator, per_km2: float, count: int) -> np.ndarray:
    """The nearest places of a Poisson process over the plane, the nearest to the origin first, shape (2, count).

    The areas up to each of them are the moments of a Poisson process in one dimension.

    Args:
        draws: a generator.
        per_km2: density a square kilometre, above 0.
        count: how many of them.
    """
    areas_m2 = np.cumsum(-np.log1p(-draws.random(count))) / (per_km2 * 1e-6)
    angle = 2 * math.pi * draws.random(count)
    return np.sqrt(areas_m2 / math.pi) * np.stack([np.cos(angle), np.sin(angle)])


@functools.lru_cache(maxsize=16)
def hexagons(rings: int, site_distance_m: float) -> np.ndarray:
    """The centres of the hexagons in so many rings around the origin, shape (2, 3 rings (rings + 1)).

    Args:
        rings: how many.
        site_distance_m: between neighbours, in m.
    """
    span = np.arange(-rings, rings + 1)
    along, across = (axis.ravel() for axis in np.meshgrid(span, span))
    ring = np.maximum(np.maximum(abs(along), abs(across)), abs(along + across))
    kept = (ring > 0) & (ring <= rings)
    centres = site_distance_m * np.stack([along + across / 2, across * (math.sqrt(3) / 2)])[:, kept]
    centres.setflags(write=False)
    return centres


def in_hexagon(draws: np.random.Generator, count: int, site_distance_m: float) -> np.ndarray:
    """Places drawn evenly over the hexagon around the origin, shape (2, count)."""
    corner_m = site_distance_m / math.sqrt(3)
    # Three rhombi, each between a corner and the next but one.
    angle = math.pi / 6 + 2 * math.pi / 3 * np.floor(3 * draws.random(count))
    one, other = draws.random((2, count)) * corner_m
    end = angle + 2 * math.pi / 3
    return one * np.stack([np.cos(angle), np.sin(angle)]) + other * np.stack([np.cos(end), np.sin(end)])


def faded(powers: np.ndarray, draws: np.random.Generator, count: int, most: int) -> np.ndarray:
    """What powers come to together over Rayleigh fading, shape (count,).

    The `most` strongest of them fade, each for itself; of the others the mean counts.

    Args:
        powers: mean powers, the strongest first, shape (n,).
        draws: a generator.
        count: how many times.
        most: how many fade.
    """
    gains = -np.log1p(-draws.random((len(powers[:most]), count)))
    return powers[:most] @ gains + powers[most:].sum()
