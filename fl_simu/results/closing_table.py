"""The table printed at the end of a run."""

import math
from typing import Any, List, Mapping, Optional, Tuple

from fl_simu.results.records import Summary


def readable_bits(bits: float) -> str:
    """Return a number of bits with a decimal unit and three digits.

    >>> [readable_bits(bits) for bits in (0, 999, 1000, 76_800_000, 999_999, 1.5e12)]
    ['0 bit', '999 bit', '1.00 kbit', '76.8 Mbit', '1.00 Mbit', '1.50 Tbit']
    """
    amount = float(bits)
    for unit in ("bit", "kbit", "Mbit", "Gbit"):
        if amount < (1000 if unit == "bit" else 999.5):
            break
        amount /= 1000
    else:
        unit = "Tbit"
    if unit == "bit":
        return f"{amount:.0f} bit"
    digits = 2 if amount < 9.995 else 1 if amount < 99.95 else 0
    return "{:.{}f} {}".format(amount, digits, unit)


def closing_table(summary: Summary) -> str:
    """Return the table for the end of a run, one line per entry, without a final newline."""
    rows = closing_rows(summary)
    width = max(15, *(2 + len(label) for label, _ in rows))
    return "\n".join(f"{label:<{width}}{value}" for label, value in rows)


def closing_rows(summary: Summary) -> List[Tuple[str, str]]:
    """The entries of that table: label and value."""
    uploads = summary.accepted_full + summary.accepted_base + summary.rejected

    def share(count: int) -> str:
        return f"{count} of {uploads} ({100 * count / uploads:.0f} %)" if uploads else "0"

    accuracy = summary.final_accuracy
    rows = [
        ("rounds", str(summary.rounds)),
        ("test accuracy", "not measured" if math.isnan(accuracy) else f"{100 * accuracy:.2f} %"),
        ("virtual time", f"{summary.virtual_time_s:.2f} s"),
        ("bits sent", readable_bits(summary.uplink_bits)),
        *([("bits received", readable_bits(summary.downlink_bits))] if summary.downlink_bits else []),
        ("accepted full", share(summary.accepted_full)),
        ("accepted base", share(summary.accepted_base)),
        ("rejected", share(summary.rejected)),
    ]
    meters = summary.facts.get("meters", {})
    for name, meter in meters.items():
        rows.append((name, "not measured" if meter["value"] is None else f"{meter['value']:.4g} {meter['unit']}"))
    for target in summary.facts.get("targets", []):
        rows.append((f"to {100 * target['accuracy']:g} %", _reached(target["reached"], meters)))
    return rows


def _reached(found: Optional[Mapping[str, Any]], meters: Mapping[str, Any]) -> str:
    """The cost of reaching a target, in words."""
    if found is None:
        return "not reached"
    axes = (f"{value:.4g} {meters[name]['unit']}" for name, value in found["meters"].items())
    spent = [f"{found['time_s']:.2f} s", readable_bits(found["uplink_bits"]), *axes]
    return f"{', '.join(spent)}, round {found['round']}"
