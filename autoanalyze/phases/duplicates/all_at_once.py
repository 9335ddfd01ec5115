"""AllAtOnce: the judge is shown all labels of a field, as the design has it; no embeddings, no guards."""

from __future__ import annotations

from collections.abc import Sequence

from autoanalyze.config import ResolutionConfig
from autoanalyze.phases.duplicates.judge import Judge, Took
from autoanalyze.phases.duplicates.ledger import FieldLedger
from autoanalyze.phases.duplicates.looks import Look, Looks, grouping, looks_for, opinions_on, said
from autoanalyze.phases.duplicates.opinions import Source, pair_of
from autoanalyze.phases.vocabulary import LabelUse
from autoanalyze.records import Usage

LABELS_PER_CALL = 150

FEW_LABELS = 50
"""Up to so many labels all looks are asked side by side."""


class AllAtOnce:
    """Judges the labels of one field by looking at all of them, several times in different orders.

    One look errs now and then, and merging two real things is the worst of errors; an odd number of
    looks lets the majority decide.
    """

    def __init__(self, judge: Judge, config: ResolutionConfig) -> None:
        self._judge = judge
        self._config = config

    async def settle(self, ledger: FieldLedger, use: LabelUse, step: int) -> Took:
        """Redirect the labels that no earlier step settled to each other and to the canonical ones.

        Labels that do not fit into one call come in chunks; each further chunk, like each further step,
        is shown together with the canonical labels so far, so that a pair is not missed for lying in
        two chunks. Two labels that stand already were judged apart and stay so: asking again and again
        would merge them one day, since every look errs now and then.
        """
        took, size = Took(), LABELS_PER_CALL
        redirects: dict[str, str] = {}
        disputed: dict[str, str] = {}
        placed: list[str] = []
        fresh, canonicals = ledger.unsettled(use.counts), ledger.canonicals
        for start in range(0, len(fresh), size):
            chunk = fresh[start : start + size]
            shown = [*canonicals, *chunk]
            looks = await self._opinions(shown, step) if len(shown) > 1 else Looks(({},), Usage(), ())
            took.usage += looks.usage
            took.errors += looks.errors
            took.pairs += len(chunk) * len(canonicals) + len(chunk) * (len(chunk) - 1) // 2
            # Labels on which nobody could be understood are judged in a later step, if there is one.
            judged = [label for label in chunk if opinions_on(label, looks.looks)]
            shown = [*canonicals, *judged]
            needed = len(looks.looks) // 2 + 1
            proposed = agreed(shown, looks.looks, needed=1, standing=canonicals)
            merged = agreed(shown, looks.looks, needed=needed, standing=canonicals)
            disputed |= {
                alias: name
                for alias, name in proposed.items()
                if merged.get(alias) != name and not enough(alias, name, looks.looks, needed)
            }
            redirects |= merged
            placed += judged
            canonicals += [label for label in judged if label not in redirects]
        # Settled only now: a failure in between leaves all of it to a later step.
        ledger.redirect(placed, redirects, use.counts, self._judge.name, step)
        source = Source(self._judge.name, "judge", step)
        for pair in disputed.items():
            ledger.opinions.look(pair_of(*pair), True, "", source)
            reason = "too few looks held them to be the same"
            ledger.opinions.settle(pair_of(*pair), "different", reason, source)
        return took

    async def _opinions(self, labels: Sequence[str], step: int) -> Looks:
        """Several looks. Many labels cost more than a wait: of them, the rest is asked only when the first
        looks, as many as a majority needs, do not say the same."""
        opinions = self._config.opinions
        if len(labels) <= FEW_LABELS:
            return await self._judge.looks(labels, range(opinions), step)
        majority = opinions // 2 + 1
        looks = await self._judge.looks(labels, range(majority), step)
        if len({grouping(labels, look) for look in looks.looks}) > 1 or looks.errors:
            looks += await self._judge.looks(labels, range(majority, opinions), step)
        return looks


def agreed(
    labels: Sequence[str],
    opinions: Sequence[Look],
    needed: int,
    standing: Sequence[str] = (),
) -> dict[str, str]:
    """Redirects on which at least `needed` opinions agree.

    Labels are taken in the given order; each joins the first canonical with which enough
    opinions put it in one group, and becomes a canonical itself if there is none. So an
    alias always agrees with its canonical, never only with a neighbour of it. Labels in `standing`
    are canonicals already and stay so.
    """
    redirects: dict[str, str] = {}
    canonicals = list(standing)
    for label in labels[len(canonicals) :]:
        for canonical in canonicals:
            if enough(label, canonical, opinions, needed):
                redirects[label] = canonical
                break
        else:
            canonicals.append(label)
    return redirects


def enough(label: str, other: str, opinions: Sequence[Look], needed: int) -> bool:
    """Whether two labels are put in one group by `needed` opinions, or by as large a share of those that
    say anything of the two."""
    heard = sum(said(opinion, label, other) is not None for opinion in opinions)
    votes = looks_for(label, other, opinions)
    return votes > 0 and votes * len(opinions) >= needed * heard
