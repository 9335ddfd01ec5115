"""Codebook: names on one level. What is narrower is linked to what it belongs to, what is unfit is withdrawn.

It is written once as many sessions are labelled as fixed discovery takes, anew at each merge on the way, and
at the end over all names. The last one stands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace

from autoanalyze.config import RetryConfig
from autoanalyze.errors import EndpointGoneError
from autoanalyze.llm.calls import together
from autoanalyze.llm.codebook import FEWEST_NAMES
from autoanalyze.phases.duplicates.judge import Judge
from autoanalyze.phases.duplicates.ledger import Carried, LedgerEntry
from autoanalyze.phases.vocabulary import LabelUse
from autoanalyze.phases.votes import Moves, Redirects
from autoanalyze.protocols import FieldCodebook, Model
from autoanalyze.records import LabelSchema

CODEBOOK = "codebook"
"""Who proposed a link, in the ledger."""

RARE_SHARE = 0.02
"""On the way, a narrower name with less of the sessions of its field than this is hidden from prompts; an
assumption, with which the pilot was run."""


class Codebook:
    """The codebooks of all open fields, as last written; before that, what an earlier run left.

    Labels that a user fixed stay whatever the model says of them.
    """

    def __init__(
        self, model: Model, schema: LabelSchema, carried: Carried, *, retry: RetryConfig, seed: int
    ) -> None:
        self._judges = {
            each.name: Judge(model, each, retry=retry, seed=seed) for each in schema.fields if not each.labels
        }
        self._fixed, self._themes = carried.fixed, carried.themes
        self._step = 0
        self.fields = {name: FieldCodebook(dict(carried.lines.get(name, {}))) for name in self._judges}
        self.errors: list[str] = []
        self.hidden: dict[str, list[str]] = {}
        """Per field, the names that prompts do not show on the way: unfit ones, and narrower ones that are
        rare. A common one may be called narrower by mistake."""
        self._links: dict[tuple[str, str, str], str] = {}

    async def write(self, use: Mapping[str, LabelUse], merged: Redirects, step: int) -> None:
        """Write it anew, over all names that stand after merging. A field whose answer cannot be used keeps
        what it has. Raises EndpointGoneError."""
        self._step = step

        async def written(name: str, judge: Judge) -> None:
            counts = sessions_of(use[name].counts, merged.get(name, {}))
            if len(counts) < 2:
                return
            answer = await judge.codebook(counts, step)
            if answer.error is not None:
                self.errors.append(answer.error)
                return
            found, fixed = answer.codebook, self._fixed.get(name, ())
            narrower = {one: other for one, other in found.narrower.items() if one not in fixed}
            unfit = tuple(one for one in found.unfit if one not in fixed)
            self.fields[name] = replace(found, narrower=narrower, unfit=unfit)
            rare = RARE_SHARE * sum(counts.values())
            self.hidden[name] = [*unfit, *(one for one in narrower if counts[one] < rare)]

        await together(written(name, judge) for name, judge in self._judges.items())

    def link(self, moves: Moves) -> None:
        """Link the narrower names of which most sessions went, when they were looked at again with both
        names in sight, to the one that they are said to belong to. The others stay."""
        for name, book in self.fields.items():
            for alias, canonical in book.narrower.items():
                went = moves.get(name, {}).get(alias, Counter())
                if 2 * went[canonical] > went.total():
                    reason = f"a special case: {went[canonical]} of {went.total()} sessions went there"
                    self._links[name, alias, canonical] = reason

    async def themes(self, counts: Mapping[str, Counter[str]]) -> dict[str, Mapping[str, str]]:
        """Per field with at least ten names in use, the theme of each; `counts` are their sessions. Names
        keep the themes of an earlier run, and only those without one are asked about."""
        found: dict[str, Mapping[str, str]] = {}

        async def grouped(name: str, judge: Judge) -> None:
            known = self._themes.get(name, {})
            found[name] = {label: known[label] for label in counts[name] if label in known}
            asked = {label: n for label, n in counts[name].most_common() if label not in known}
            if not asked:
                return
            try:
                answer = await judge.themes(asked, tuple(dict.fromkeys(known.values())))
            except EndpointGoneError as gone:  # labels are worth more than what stands above them
                self.errors.append(f"{name}: no themes: {gone}")
                return
            if answer.error is None:
                found[name] = {**found[name], **answer.themes}
            else:
                self.errors.append(answer.error)

        wanted = {name: judge for name, judge in self._judges.items() if len(counts[name]) >= FEWEST_NAMES}
        await together(grouped(name, judge) for name, judge in wanted.items())
        return {name: found[name] for name in self._judges if found.get(name)}

    def entries(self, merged: Collection[tuple[str, str]]) -> tuple[LedgerEntry, ...]:
        """The links as the ledger has them, but for names (field, name) that were merged since."""
        return tuple(
            LedgerEntry(
                name,
                alias,
                canonical,
                "narrower",
                merged=True,
                proposed_by=CODEBOOK,
                judge=self._judges[name].name,
                reason=reason,
                chosen="on the level of most sessions",
                round=self._step,
            )
            for (name, alias, canonical), reason in self._links.items()
            if not {(name, alias), (name, canonical)} & set(merged)
        )

    def lines(self) -> tuple[tuple[str, str, str], ...]:
        """What is said of the names that stay: field, name, line."""
        return tuple(
            (name, label, line)
            for name, book in self.fields.items()
            for label, line in book.lines.items()
            if line
        )


def sessions_of(counts: Mapping[str, int], merged: Mapping[str, str]) -> dict[str, int]:
    """The sessions of each name that stands after merging, the most common first, then the earliest."""
    total: Counter[str] = Counter()
    for label, sessions in counts.items():
        total[merged.get(label, label)] += sessions
    return dict(total.most_common())
