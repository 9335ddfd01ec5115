"""How often the judge errs, estimated from how far its looks at one pair agree (Dawid and Skene, 1979)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

PRIOR_RATE, PRIOR_LOOKS = 0.02, 50.0
"""What is assumed of a judge before anything is seen: an error in so many looks, which data soon outweigh."""

MOST_MISSED, MOST_INVENTED = 0.45, 0.25
"""Rates of a judge at most. One who misses every other duplicate looks much like one who often takes others
for duplicates; the former is the likelier, since most miss more than they invent."""

ROUNDS, CLOSE = 300, 1e-7
"""Rounds of the estimation at most; it ends when one changes nothing by more than that."""

Counts = Mapping[tuple[int, int], int]
"""How many pairs were held to be the same in so many of so many looks."""


class Rates(NamedTuple):
    """How often the judge misses a duplicate and invents one, per look at a pair, and what pairs there are.

    Pairs are duplicates (`same`), pairs that may be taken for duplicates (`confusable`), or plainly
    different (the rest), which never are; all are shares of pairs, 0 to 1.
    """

    missed: float = PRIOR_RATE
    invented: float = PRIOR_RATE
    same: float = 1 / 3
    confusable: float = 1 / 3

    def weights(self, yes: int, looks: int) -> tuple[float, float, float]:
        """How likely it is that a pair is a duplicate, confusable or plain, and is held to be the same in
        `yes` of so many looks. The order of the looks does not matter."""
        no = looks - yes
        plain = 1 - self.same - self.confusable
        return (
            self.same * (1 - self.missed) ** yes * self.missed**no,
            self.confusable * self.invented**yes * (1 - self.invented) ** no,
            0.0 if yes else plain,
        )

    def chance(self, yes: int, looks: int) -> float:
        """The chance, 0 to 1, that a pair is a duplicate after `yes` of so many looks; .5 where nobody can
        know."""
        same, *others = self.weights(yes, looks)
        everything = same + sum(others)
        return same / everything if everything > 0 else 0.5


def estimated(counts: Counts) -> Rates:
    """The rates that make the counts most likely, given what is assumed of any judge (EM).

    Looks may have been asked for because of what earlier ones said, as long as all pairs are counted, also
    those that nobody held to be the same.
    """
    pairs = sum(counts.values())
    if not pairs:
        return Rates()
    yeses = sum(number for (yes, looks), number in counts.items() if 2 * yes > looks)
    torn = sum(number for (yes, looks), number in counts.items() if 0 < 2 * yes <= looks)
    rates = Rates(same=(yeses + 1) / (pairs + 3), confusable=(torn + 1) / (pairs + 3))
    for _ in range(ROUNDS):
        before, rates = rates, improved(rates, counts, pairs)
        if max(abs(one - other) for one, other in zip(before, rates, strict=True)) < CLOSE:
            break
    return rates


def improved(rates: Rates, counts: Counts, pairs: int) -> Rates:
    """One round of the estimation: what each pair probably is, and the rates that follow from it."""
    same = confusable = misses = inventions = looks_at_same = looks_at_confusable = 0.0
    for (yes, looks), number in counts.items():
        weights = rates.weights(yes, looks)
        everything = sum(weights)
        if not everything:
            continue
        as_same, as_confusable = (number * weight / everything for weight in weights[:2])
        same, confusable = same + as_same, confusable + as_confusable
        misses += as_same * (looks - yes)
        inventions += as_confusable * yes
        looks_at_same += as_same * looks
        looks_at_confusable += as_confusable * looks
    assumed = PRIOR_RATE * PRIOR_LOOKS
    return Rates(
        min((misses + assumed) / (looks_at_same + PRIOR_LOOKS), MOST_MISSED),
        min((inventions + assumed) / (looks_at_confusable + PRIOR_LOOKS), MOST_INVENTED),
        (same + 1) / (pairs + 3),
        (confusable + 1) / (pairs + 3),
    )
