"""Other cells: the positions of their BSs and UEs."""

import functools
import math

import numpy as np


def poisson(draws: np.random.Generator, per_km2: float, count: int) -> np.ndarray:
    """The nearest points of a Poisson process in the plane, nearest to the origin first, shape (2, count).

    The areas of the discs up to these points form a Poisson process in one dimension.

    Args:
        draws: a generator.
        per_km2: density per square kilometre, above 0.
        count: number of points.
    """
    areas_m2 = np.cumsum(-np.log1p(-draws.random(count))) / (per_km2 * 1e-6)
    angle = 2 * math.pi * draws.random(count)
    return np.sqrt(areas_m2 / math.pi) * np.stack([np.cos(angle), np.sin(angle)])


@functools.lru_cache(maxsize=16)
def hexagons(rings: int, site_distance_m: float) -> np.ndarray:
    """The centres of the hexagons in a number of rings around the origin, shape (2, 3 rings (rings + 1)).

    Args:
        rings: number of rings.
        site_distance_m: distance between neighbours, in m.
    """
    span = np.arange(-rings, rings + 1)
    along, across = (axis.ravel() for axis in np.meshgrid(span, span))
    ring = np.maximum(np.maximum(abs(along), abs(across)), abs(along + across))
    kept = (ring > 0) & (ring <= rings)
    centres = site_distance_m * np.stack([along + across / 2, across * (math.sqrt(3) / 2)])[:, kept]
    centres.setflags(write=False)
    return centres


def in_hexagon(draws: np.random.Generator, count: int, site_distance_m: float) -> np.ndarray:
    """Points drawn uniformly over the hexagon around the origin, shape (2, count)."""
    corner_m = site_distance_m / math.sqrt(3)
    # Three rhombi, each between a corner and the next but one.
    angle = math.pi / 6 + 2 * math.pi / 3 * np.floor(3 * draws.random(count))
    one, other = draws.random((2, count)) * corner_m
    end = angle + 2 * math.pi / 3
    return one * np.stack([np.cos(angle), np.sin(angle)]) + other * np.stack([np.cos(end), np.sin(end)])


def faded(powers: np.ndarray, draws: np.random.Generator, count: int, most: int) -> np.ndarray:
    """The sum of powers under Rayleigh fading, shape (count,).

    The `most` strongest powers fade independently; the others count with their mean.

    Args:
        powers: mean powers, the strongest first, shape (n,).
        draws: a generator.
        count: number of draws.
        most: number of powers that fade.
    """
    gains = -np.log1p(-draws.random((len(powers[:most]), count)))
    return powers[:most] @ gains + powers[most:].sum()
