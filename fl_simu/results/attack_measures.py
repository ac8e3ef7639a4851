"""Single numbers from the attack measures in a record."""

from statistics import mean
from typing import Any, Mapping, Optional

from fl_simu.results.values import count, items, number

Measures = Mapping[str, Any]


def require_measures(value: Any) -> None:
    """Raise TypeError or KeyError unless the value has the form of measures in docs/run-folder.md."""
    number(value["spread"])
    for distance in items(value["distances"]):
        number(distance)
    if {"wanted", "predicted", "confidence"} & set(value):
        columns = [items(value[name]) for name in ("wanted", "predicted", "confidence")]
        if not columns[0] or len({len(column) for column in columns}) > 1:
            raise TypeError("not an entry a target")
        for wanted, predicted, chance in zip(*columns):
            count(wanted), count(predicted), number(chance)


def is_targeted(measures: Measures) -> bool:
    """Whether the attack wants certain images to get a wrong class."""
    return "wanted" in measures


def hit(measures: Measures) -> float:
    """The share of targets that the model assigns to the wrong class that the attack wants.

    >>> hit({"wanted": [3, 5], "predicted": [3, 1]})
    0.5
    """
    return mean(float(one == other) for one, other in zip(measures["wanted"], measures["predicted"]))


def confidence(measures: Measures) -> float:
    """The mean probability of these classes; 0 if the model gives no number."""
    return mean(chance or 0.0 for chance in measures["confidence"])


def far(measures: Measures) -> Optional[float]:
    """The mean distance of the malicious updates from the benign mean; None if there are none."""
    distances = [one for one in measures["distances"] if one is not None]
    return mean(distances) if distances else None


def ratio(measures: Measures) -> Optional[float]:
    """That distance divided by the spread of the benign updates.

    >>> ratio({"distances": [6.0, 2.0], "spread": 2.0})
    2.0
    """
    distance, spread = far(measures), measures["spread"]
    return distance / spread if distance is not None and spread else None


def in_words(measures: Measures) -> str:
    """A phrase for a line of progress.

    >>> in_words({"wanted": [3], "predicted": [1], "confidence": [0.25], "distances": [6.0], "spread": 2.0})
    'target 1 (wanted 3, confidence 0.250), malicious 6.00 from the benign mean (benign 2.00)'
    """
    words = []
    if is_targeted(measures):
        wanted, predicted, sure = measures["wanted"], measures["predicted"], confidence(measures)
        words.append(
            f"target {predicted[0]} (wanted {wanted[0]}, confidence {sure:.3f})"
            if len(wanted) == 1
            else f"targets hit {hit(measures):.0%} of {len(wanted)} (mean confidence {sure:.3f})"
        )
    distance = far(measures)
    if distance is not None:
        words.append(f"malicious {distance:.2f} from the benign mean (benign {measures['spread']:.2f})")
    return ", ".join(words)
