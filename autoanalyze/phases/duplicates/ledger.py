"""FieldLedger: what is settled about the labels of one field, by whom and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from autoanalyze.phases.duplicates.opinions import Groups, Opinions, Pair, Source, Verdict, pair_of
from autoanalyze.phases.duplicates.spelling import normal_form
from autoanalyze.records import VocabularySnapshot


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What was decided on two labels of one field. `merged` tells that `alias` is redirected to `canonical`,
    because both mean the same or because it is `narrower`; two labels that mean the same stay unmerged when
    both are aliases of a third."""

    field: str
    alias: str
    canonical: str
    verdict: Verdict
    merged: bool
    proposed_by: str
    """What brought the two together: `normal form`, `embeddings`, `groups` (likeness of other labels of
    their groups), `judge` (who saw all labels), `codebook`, `earlier run`, or after the run `review` and
    `rename`."""
    judge: str
    """Who decided: a model, `normal form`, `guard`, `similarity`, `earlier run` or `review`."""
    reason: str
    chosen: str = ""
    """Why the canonical label is the canonical one."""
    similarity: float | None = None
    opinions: int = 0
    """How often the judge was asked about the two."""
    round: int = 0
    """The merge on the way in which it was decided; 0 is the one at the end."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What is settled before a run begins, per field: labels that the user fixed, the canonical labels of
    an earlier run, what its ledger says, and what its codebook says of names."""

    fixed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ledger: tuple[LedgerEntry, ...] = ()
    lines: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    themes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Per field, the theme of each name."""

    def vocabulary(self) -> VocabularySnapshot:
        """The labels that are known from the beginning: fixed ones first."""
        names = dict.fromkeys((*self.fixed, *self.labels))
        lines = tuple((name, *said) for name, own in self.lines.items() for said in own.items())
        return VocabularySnapshot(lines=lines).extended(
            {name: (*self.fixed.get(name, ()), *self.labels.get(name, ())) for name in names}
        )


EARLIER_RUN, NORMAL_FORM, LABELLER = "earlier run", "normal form", "second look"


@dataclass(frozen=True, slots=True)
class Why:
    """What speaks for a merge; the fields are those of a ledger entry."""

    proposed_by: str
    judge: str
    reason: str
    similarity: float | None = None
    opinions: int = 0


class FieldLedger:
    """Groups of labels that are one, and the verdicts behind them.

    Fixed labels come first, then those of an earlier run, then those that this run settled: what comes
    first is canonical, and a canonical label that stands is never merged away.
    """

    def __init__(self, field_name: str, carried: Carried) -> None:
        self._field = field_name
        self._fixed = carried.fixed.get(field_name, ())
        self._carried = carried.labels.get(field_name, ())
        self._merged: dict[str, LedgerEntry] = {}
        self.similarity: dict[Pair, float] = {}
        self.opinions = Opinions()
        self.groups: Groups = {label: [label] for label in (*self._fixed, *self._carried)}
        for entry in carried.ledger:
            if entry.field == field_name:
                self._carry_on(entry)

    @property
    def canonicals(self) -> list[str]:
        """The labels that stand, most important first."""
        return list(self.groups)

    def unsettled(self, counts: Mapping[str, int]) -> list[str]:
        """The labels that are in no group yet, most used first, then earliest: the order in which they
        become canonical."""
        settled = {label for members in self.groups.values() for label in members}
        return sorted((label for label in counts if label not in settled), key=lambda label: -counts[label])

    def spellings(self, fresh: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """Which of `fresh` labels are another spelling of a label before them or of one that is settled.

        Returns the others, and for each spelling the label that it spells.
        """
        settled = (label for members in self.groups.values() for label in members)
        known: dict[tuple[str, ...], str] = {}
        for label in settled:
            known.setdefault(normal_form(label), label)
        spelled = {}
        for label in fresh:
            first = known.setdefault(normal_form(label), label)
            if first != label:
                spelled[label] = first
        return [label for label in fresh if label not in spelled], spelled

    def redirect(
        self,
        fresh: Sequence[str],
        redirects: Mapping[str, str],
        counts: Mapping[str, int],
        by: str,
        step: int,
    ) -> None:
        """Settle `fresh` labels as a judge of all labels at once redirects them."""
        for label in fresh:
            canonical = redirects.get(label)
            if canonical is None:
                self.groups[label] = [label]
        for label in fresh:
            if label in redirects:
                self._merge(label, redirects[label], counts, step, Why("judge", by, "same meaning"))
                self.groups[redirects[label]].append(label)

    def regroup(
        self, groups: Groups, spelled: Mapping[str, str], counts: Mapping[str, int], step: int
    ) -> None:
        """Settle what verdicts on pairs made of the labels, and spellings with the labels that they spell;
        a spelling of a label that is not settled is not either."""
        self.groups = {canonical: list(members) for canonical, members in groups.items()}
        for canonical, members in groups.items():
            for label in members:
                if label != canonical and label not in self._merged:
                    pair = pair_of(label, canonical)
                    known = self.opinions.known(*pair)
                    why = Why(
                        known.proposed_by,
                        known.source.judge,
                        known.reason,
                        self.similarity.get(pair),
                        len(known.looks),
                    )
                    self._merge(label, canonical, counts, step, why)
        home = {label: canonical for canonical, members in self.groups.items() for label in members}
        for label, first in spelled.items():
            if first not in home:
                continue
            canonical, words = home[first], f"spells {first!r}"
            self._merge(label, canonical, counts, step, Why(NORMAL_FORM, NORMAL_FORM, words))
            self.groups[canonical].append(label)

    def judged(self) -> dict[str, str]:
        """The labels that a judge of this run merged, with their canonical ones."""
        return {
            alias: entry.canonical
            for alias, entry in self._merged.items()
            if entry.judge != NORMAL_FORM and entry.proposed_by != EARLIER_RUN
        }

    def part(self, alias: str, reason: str, step: int) -> None:
        """Let a merged label stand for itself again, since `reason`; its other spellings go with it."""
        entry, spelled = self._merged.pop(alias), normal_form(alias)
        canonical = entry.canonical
        along = [x for x in self.groups[canonical] if x != canonical and normal_form(x) == spelled]
        self.groups[canonical] = [x for x in self.groups[canonical] if x not in along]
        self.groups[alias] = [alias, *(x for x in along if x != alias)]
        for other in self.groups[alias][1:]:
            self._merged[other] = replace(self._merged[other], canonical=alias)
        source = Source(LABELLER, entry.proposed_by, step)
        self.opinions.settle(pair_of(alias, canonical), "different", reason, source)

    @property
    def conflicts(self) -> int:
        """Groups that were merged, and pairs kept apart although some look held them to be the same."""
        merged = len({entry.canonical for entry in self._merged.values()})
        return merged + sum(self._disputed(pair) for pair in self.opinions.pairs())

    def entries(self) -> tuple[LedgerEntry, ...]:
        """The whole ledger: merges in the order in which they were made, then the other verdicts."""
        order = {label: position for position, label in enumerate(self._in_order())}
        apart = []
        for pair in self.opinions.pairs():
            canonical, alias = sorted(pair, key=lambda label: order.get(label, len(order)))
            if alias in self._merged and self._merged[alias].canonical == canonical:
                continue
            known = self.opinions.known(*pair)
            apart.append(
                LedgerEntry(
                    self._field,
                    alias,
                    canonical,
                    known.verdict,
                    merged=False,
                    proposed_by=known.proposed_by,
                    judge=known.source.judge,
                    reason=known.reason,
                    similarity=self.similarity.get(pair),
                    opinions=len(known.looks),
                    round=known.source.step,
                )
            )
        return (*self._merged.values(), *apart)

    def _carry_on(self, entry: LedgerEntry) -> None:
        """Take over what an earlier run settled. What is fixed now is not merged away any more."""
        if entry.merged and entry.alias not in self.groups:
            self.groups.setdefault(entry.canonical, [entry.canonical]).append(entry.alias)
            self._merged[entry.alias] = replace(entry, proposed_by=EARLIER_RUN, round=0)
        elif not entry.merged:
            pair = pair_of(entry.alias, entry.canonical)
            self.opinions.settle(pair, entry.verdict, entry.reason, Source(entry.judge, EARLIER_RUN))

    def _merge(self, alias: str, canonical: str, counts: Mapping[str, int], step: int, why: Why) -> None:
        self._merged[alias] = LedgerEntry(
            self._field,
            alias,
            canonical,
            "same",
            merged=True,
            chosen=self._chosen(alias, canonical, counts),
            round=step,
            **asdict(why),
        )

    def _chosen(self, alias: str, canonical: str, counts: Mapping[str, int]) -> str:
        """Why of two labels the canonical one is canonical."""
        if canonical in self._fixed:
            return "fixed by the user"
        if canonical in self._carried:
            return "known from the earlier run"
        more, fewer = counts.get(canonical, 0), counts.get(alias, 0)
        if more > fewer:
            return f"more sessions: {more} against {fewer}"
        return "earlier, with as many sessions" if more == fewer else "canonical since an earlier merge"

    def _in_order(self) -> list[str]:
        """All labels, most important first: canonical ones, then aliases in the order of their merges."""
        return [*self.groups, *self._merged]

    def _disputed(self, pair: Pair) -> bool:
        ends = {self._merged[label].canonical if label in self._merged else label for label in pair}
        return any(self.opinions.known(*pair).looks) and len(ends) > 1
