"""Mobility: the positions of UEs over time, as lines from point to point. One class per model."""

import csv
import functools
import io
import math
from abc import ABC, abstractmethod
from array import array
from bisect import bisect_right
from dataclasses import dataclass
from typing import Dict, List, NamedTuple, Tuple

import numpy as np

from fl_simu.kernel.errors import BadField, UserError, shown
from fl_simu.kernel.limits import LONGEST_S
from fl_simu.kernel.randomness import briefly, stream
from fl_simu.radio.channels.recordings import text_of

# Steps or legs in a piece of a path, and the number for which a UE is simulated, in a second or two.
PIECE = 256
MOST_STEPS = 10_000_000
# Number of pieces between two stored states.
MARKED = 64
FARTHEST_M = 1e5
COLUMNS = ("ue", "time_s", "x_m", "y_m")


class Path(NamedTuple):
    """A UE's path: straight lines between points in time, each array of shape (n,).

    Args:
        times_s: virtual time in s, ascending.
        x_m, y_m: its position at each of these times in m; the BS is at the origin.
        travelled_m: distance travelled since time 0, in m.
    """

    times_s: np.ndarray
    x_m: np.ndarray
    y_m: np.ndarray
    travelled_m: np.ndarray

    def at(self, times_s: np.ndarray) -> "Path":
        """The path at other times; before its start and after its end the UE stands still."""
        return Path(times_s, *(np.interp(times_s, self.times_s, values) for values in self[1:]))

    def end(self) -> Tuple[float, float, float, float]:
        """The last time, the position then, and the distance travelled."""
        time_s, x_m, y_m, travelled_m = (float(values[-1]) for values in self)
        return time_s, x_m, y_m, travelled_m

    @property
    def distance_m(self) -> np.ndarray:
        """Distance to the BS in m."""
        return np.hypot(self.x_m, self.y_m)


class Mobility(ABC):
    """How UEs move: a frozen dataclass."""

    @abstractmethod
    def along(self, seed: int, ue: int, times_s: np.ndarray) -> Path:
        """The path of a UE at these times.

        Args:
            seed, ue: the key of the path.
            times_s: virtual times in s, ascending, shape (n,).
        """


class State(NamedTuple):
    """The state of a UE between two pieces of its path: time in s, position in m, distance travelled in m; and, if
    they continue, its velocity in m/s and the destination of its leg in m.
    """

    time_s: float
    x_m: float
    y_m: float
    travelled_m: float = 0.0
    velocity_mps: Tuple[float, float] = (0.0, 0.0)
    goal_m: Tuple[float, float] = (0.0, 0.0)


class Followed(Mobility):
    """A path in pieces, each of which starts where the previous one ended.

    Note:
        States between pieces are stored, see `States`, and each piece has its own generator. So a UE is simulated
        once, and a time costs only the pieces between it and the nearest stored state.
    """

    @abstractmethod
    def start(self, seed: int, ue: int) -> State:
        """The state of a UE at time 0."""

    @abstractmethod
    def onward(self, seed: int, ue: int, number: int, state: State) -> Tuple[Path, State]:
        """The next piece of its path and the state after it, given the state before."""

    @abstractmethod
    def too_far(self, time_s: float) -> BadField:
        """The error for a time up to which a UE is not simulated."""

    def along(self, seed: int, ue: int, times_s: np.ndarray) -> Path:
        states = _states(self, seed, ue)
        pieces: List[Path] = []
        number, state = states.before(float(times_s[0]))
        while not pieces or state.time_s < times_s[-1]:
            if number * PIECE >= MOST_STEPS:
                raise self.too_far(float(times_s[-1]))
            piece, after = _piece(self, seed, ue, number, state)
            if after.time_s > times_s[0]:
                if not pieces:
                    states.last = number, state
                pieces.append(piece)
            number, state = number + 1, after
            states.add(number, state)
        found = pieces[0] if len(pieces) == 1 else Path(*map(np.concatenate, zip(*pieces)))
        return found.at(times_s)


class States:
    """The state of a UE before every 64th piece of its path so far, and before the piece that was last requested.

    Args:
        state: the state at time 0.
    """

    def __init__(self, state: State) -> None:
        self.last = 0, state
        self._marks, self._times_s = [state], array("d", [state.time_s])

    def before(self, time_s: float) -> Tuple[int, State]:
        """The number of a piece that begins at or before a time, and the state then: the latest one stored."""
        mark = max(bisect_right(self._times_s, time_s) - 1, 0)
        if mark * MARKED <= self.last[0] and self.last[1].time_s <= time_s:
            return self.last
        return mark * MARKED, self._marks[mark]

    def add(self, number: int, state: State) -> None:
        """Store the state before a piece."""
        if number == len(self._marks) * MARKED:
            self._marks.append(state)
            self._times_s.append(state.time_s)


# Half a kB per UE and 13 bytes per piece: at most 180 MB, after 100,000 steps or legs of each UE.
@functools.lru_cache(maxsize=2**15)
def _states(mobility: Followed, seed: int, ue: int) -> States:
    return States(mobility.start(seed, ue))


# 11 kB per piece: at most 44 MB.
@functools.lru_cache(maxsize=4096)
def _piece(mobility: Followed, seed: int, ue: int, number: int, state: State) -> Tuple[Path, State]:
    """The path of a UE from a state, as `onward`."""
    return mobility.onward(seed, ue, number, state)


def in_disc(draws: np.random.Generator, count: int, radius_m: float, least_m: float = 0.0) -> np.ndarray:
    """Points drawn uniformly over a disc around the origin, or over a ring, shape (2, count)."""
    distance_m = np.sqrt(least_m**2 + (radius_m**2 - least_m**2) * draws.random(count))
    angle = 2 * math.pi * draws.random(count)
    return distance_m * np.stack([np.cos(angle), np.sin(angle)])


@dataclass(frozen=True)
class RandomWaypoint(Followed):
    """Straight legs between points drawn uniformly over the cell, each at a uniformly drawn speed, without a
    pause.

    A path starts in the stationary regime: the leg at time 0 is drawn with probability proportional to its
    duration.

    Args:
        radius_m: radius of the cell, in m.
        min_speed_mps, max_speed_mps: v1 and v2 in m/s, above 0.

    Reference: Navidi, Camp 2004, "Stationary Distributions for the Random Waypoint Mobility Model"; Le Boudec,
    Vojnovic 2005, "Perfect Simulation and Stationarity of a Class of Mobility Models".
    """

    radius_m: float
    min_speed_mps: float
    max_speed_mps: float

    def start(self, seed: int, ue: int) -> State:
        draws = stream(seed, "waypoints before time 0", ue)
        while True:
            # Longer legs take longer, so that a UE is more often on one of them.
            begin, end = in_disc(draws, 2, self.radius_m).T
            length_m = float(np.hypot(*(end - begin)))
            if 2 * self.radius_m * draws.random() < length_m:
                break
        speed_mps = self.min_speed_mps * (self.max_speed_mps / self.min_speed_mps) ** draws.random()
        x_m, y_m = (begin + draws.random() * (end - begin)).tolist()
        velocity = (end - begin) * (speed_mps / length_m)
        return State(0.0, x_m, y_m, 0.0, (float(velocity[0]), float(velocity[1])), (float(end[0]), float(end[1])))

    def onward(self, seed: int, ue: int, number: int, state: State) -> Tuple[Path, State]:
        draws = briefly(seed, "waypoints", ue, number)
        goals = in_disc(draws, PIECE, self.radius_m)
        speeds_mps = self.min_speed_mps + (self.max_speed_mps - self.min_speed_mps) * draws.random(PIECE)
        if number == 0:
            goals[:, 0], speeds_mps[0] = state.goal_m, math.hypot(*state.velocity_mps)
        x_m, y_m = np.concatenate([[[state.x_m], [state.y_m]], goals], axis=1)
        ways_m = np.hypot(np.diff(x_m), np.diff(y_m))
        path = Path(_summed(state.time_s, ways_m / speeds_mps), x_m, y_m, _summed(state.travelled_m, ways_m))
        return path, State(*path.end())

    def too_far(self, time_s: float) -> BadField:
        allowed = f"virtual time has come to {time_s:g} s, and a UE is followed for {MOST_STEPS:,} legs"
        return BadField("max_speed_mps", self.max_speed_mps, f"{allowed}; take slower ones")


@dataclass(frozen=True)
class GaussMarkovWalk(Followed):
    r"""A velocity that drifts around 0, correlated over time; the UE is reflected at the edge of the cell.

    .. math:: v_{n+1} = a v_n + \sigma \sqrt{1 - a^2}\,w_n, \quad w_n \sim N(0, I_2)

    The mean speed is :math:`\sigma \sqrt{\pi / 2}`. A UE starts at its position under `fading`. The process is
    stationary: UEs are spread uniformly over the cell at all times.

    Args:
        radius_m, min_distance_m: of the cell, in m; a UE starts no closer than the latter.
        mean_speed_mps: mean speed in m/s, above 0.
        memory: a, the correlation of consecutive steps.
        step_s: duration of a velocity, in s.

    Reference: Liang, Haas 1999, "Predictive Distance-Based Mobility Management for PCS Networks".
    """

    radius_m: float
    min_distance_m: float
    mean_speed_mps: float
    memory: float
    step_s: float

    def start(self, seed: int, ue: int) -> State:
        # As for `fading`, the first number of a UE's site is its distance.
        near, far = self.min_distance_m**2, self.radius_m**2
        distance_m = math.sqrt(near + (far - near) * briefly(seed, "site", ue).random())
        draws = briefly(seed, "bearing", ue)
        angle, (east, north) = 2 * math.pi * draws.random(), draws.standard_normal(2) * self._deviation()
        place = distance_m * math.cos(angle), distance_m * math.sin(angle)
        return State(0.0, *place, 0.0, (float(east), float(north)))

    def onward(self, seed: int, ue: int, number: int, state: State) -> Tuple[Path, State]:
        noise = briefly(seed, "velocity", ue, number).standard_normal((2, PIECE))
        weights = math.sqrt(1 - self.memory**2) * self.memory ** np.arange(PIECE)
        velocity = np.stack([np.convolve(one, weights)[:PIECE] for one in noise]) * self._deviation()
        velocity += np.outer(state.velocity_mps, self.memory ** np.arange(1, PIECE + 1))
        x_m, y_m, steps, turn = self._reflected(np.array([state.x_m, state.y_m]), velocity * self.step_s)
        times_s = (number * PIECE + steps) * self.step_s
        path = Path(times_s, x_m, y_m, _summed(state.travelled_m, np.hypot(np.diff(x_m), np.diff(y_m))))
        east, north = (turn @ velocity[:, -1]).tolist()
        return path, State(*path.end(), (east, north))

    def _reflected(
        self, place: np.ndarray, moves: np.ndarray
    ) -> Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The path of a UE with these moves [m]. At the edge the UE is reflected, and all later moves are turned.

        Returns:
            Its positions x and y [m], the times at which it is there [steps], and the matrix that turns the last
            moves.
        """
        places, steps, turn = [place[:, None]], [np.zeros(1)], np.eye(2)
        # The start of the remaining moves, and the end of each of them.
        now, ends = 0.0, np.arange(1.0, PIECE + 1)
        while True:
            course = place[:, None] + moves.cumsum(axis=1)
            outside = np.flatnonzero(np.hypot(*course) > self.radius_m)
            inside = int(outside[0]) if len(outside) else len(ends)
            places.append(course[:, :inside])
            steps.append(ends[:inside])
            if not len(outside):
                x_m, y_m = np.concatenate(places, axis=1)
                return x_m, y_m, np.concatenate(steps), turn
            if inside:
                place, now = course[:, inside - 1], float(ends[inside - 1])
            moves, ends = moves[:, inside:], ends[inside:]
            share = self._share_to_edge(place, moves[:, 0])
            edge = place + share * moves[:, 0]
            normal = edge / math.hypot(*edge)
            # Slightly inside, so that rounding does not put it outside again.
            place, now = normal * self.radius_m * (1 - 1e-12), now + share * (float(ends[0]) - now)
            places.append(place[:, None])
            steps.append(np.array([now]))
            mirror = np.eye(2) - 2 * np.outer(normal, normal)
            moves, turn = mirror @ moves, mirror @ turn
            moves[:, 0] *= 1 - share

    def _share_to_edge(self, place: np.ndarray, move: np.ndarray) -> float:
        """The share of a move from inside to outside up to the edge."""
        along, square = float(place @ move), float(move @ move)
        room = max(self.radius_m**2 - float(place @ place), 0.0)
        return (math.sqrt(along**2 + square * room) - along) / square

    def _deviation(self) -> float:
        return self.mean_speed_mps / math.sqrt(math.pi / 2)

    def too_far(self, time_s: float) -> BadField:
        allowed = f"virtual time has come to {time_s:g} s, and a UE is followed for {MOST_STEPS:,} steps"
        return BadField("step_s", self.step_s, f"{allowed}; take longer ones")


@dataclass(frozen=True)
class RecordedPaths(Mobility):
    """Positions from a file, see `positions`.

    Args:
        path: path of the file.
    """

    path: str

    def along(self, seed: int, ue: int, times_s: np.ndarray) -> Path:
        known = positions(self.path)
        if ue not in known:
            allowed = f"it has no positions of UE {ue}, and those of {len(known):,} others"
            raise BadField("path", self.path, allowed)
        return known[ue].at(times_s)


@functools.lru_cache(maxsize=16)
def positions(path: str) -> Dict[int, Path]:
    """The paths of UEs from a CSV with the columns ue, time_s, x_m and y_m, in any order.

    Between two of its lines a UE moves straight, at constant speed; before the first and after the last it stands
    still. The lines of a UE are in order of time; those of several UEs may be mixed. The BS is at (0, 0).

    Raises:
        UserError: the file is invalid; the message, one line, names the file and the invalid line.
    """
    try:
        return _positions(text_of(path))
    except (UserError, csv.Error) as error:
        raise UserError(f"{path} holds no positions: {error}") from None


def _positions(text: str) -> Dict[int, Path]:
    lines = csv.reader(io.StringIO(text, newline=""))
    header = [name.strip() for name in next(lines, [])]
    if sorted(header) != sorted(COLUMNS):
        raise UserError(f"its first line is to be {','.join(COLUMNS)}")
    places = [header.index(name) for name in COLUMNS]
    found: Dict[int, List[Tuple[float, float, float]]] = {}
    for line in lines:
        if not line:
            continue
        try:
            ue, (time_s, x_m, y_m) = int(line[places[0]]), (float(line[place]) for place in places[1:])
        except (ValueError, IndexError):
            told = f"line {lines.line_num} is {shown(','.join(line))}; a UE and three numbers are wanted"
            raise UserError(told) from None
        rows = found.setdefault(ue, [])
        if not (0 <= time_s <= LONGEST_S and (not rows or rows[-1][0] < time_s)):
            later = f"later than {rows[-1][0]:g}" if rows else "0 or more"
            raise UserError(f"line {lines.line_num} has time_s {time_s:g}; wanted are {later}, to {LONGEST_S:g}")
        if not math.hypot(x_m, y_m) <= FARTHEST_M:
            raise UserError(f"line {lines.line_num} has a place that is not within {FARTHEST_M:g} m of the BS")
        rows.append((time_s, x_m, y_m))
    if not found:
        raise UserError("it has no line of a UE")
    return {ue: _course(*np.array(rows).T) for ue, rows in found.items()}


def _course(times_s: np.ndarray, x_m: np.ndarray, y_m: np.ndarray) -> Path:
    return Path(times_s, x_m, y_m, _summed(0.0, np.hypot(np.diff(x_m), np.diff(y_m))))


def _summed(start: float, steps: np.ndarray) -> np.ndarray:
    return np.cumsum(np.concatenate([[start], steps]))
