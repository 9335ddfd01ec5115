"""PairwiseJudging: embeddings propose, guards object, the judge decides on small questions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from autoanalyze.config import EmbeddingsConfig, ResolutionConfig
from autoanalyze.phases.duplicates.judge import Judge, Took
from autoanalyze.phases.duplicates.ledger import FieldLedger
from autoanalyze.phases.duplicates.opinions import (
    LARGEST_GROUP,
    MOST_OPINIONS,
    Groups,
    Opinions,
    Pair,
    Source,
    grouped,
    pair_of,
)
from autoanalyze.phases.duplicates.similarity import LabelSpace
from autoanalyze.phases.duplicates.spelling import objection
from autoanalyze.phases.vocabulary import LabelUse
from autoanalyze.protocols import Embedder, Question
from autoanalyze.records import LabelField

MOST_CANDIDATES = 10
"""Of one question; more are asked in further questions."""

MOST_WAVES = 12

EXAMPLE_NOTES = 1
"""Notes of sessions that the judge is shown of each label when it is asked again."""


class PairwiseJudging:
    """Judges the labels of one field, also in steps while labels still arrive.

    Questions are asked in waves. The first compares each new label with those most like it. Later ones
    compare the groups that came of it by their canonical labels, so that two groups cost one question
    and not one for each pair of members, and ask again where an answer is doubtful: a second look in
    the opposite order, and a third when the two differ.
    """

    def __init__(
        self,
        judge: Judge,
        embedder: Embedder,
        label_field: LabelField,
        config: ResolutionConfig,
        embeddings: EmbeddingsConfig,
    ) -> None:
        self._judge = judge
        self._space = LabelSpace(embedder, embeddings, label_field)
        self._config = config

    async def settle(self, ledger: FieldLedger, use: LabelUse, step: int) -> Took:
        """Group the labels that no earlier step settled, with each other and with the groups that stand."""
        fresh, spelled = ledger.spellings(ledger.unsettled(use.counts))
        if not fresh:
            ledger.regroup(ledger.groups, spelled, use.counts, step)
            return Took()
        if len(fresh) + len(ledger.groups) <= self._config.shown_together:
            groups, took = await self._look_at_all(fresh, ledger, step)
        else:
            groups, took = await self._ask_in_waves(fresh, ledger, use, step)
        ledger.regroup(groups, spelled, use.counts, step)
        return took

    async def _look_at_all(self, fresh: Sequence[str], ledger: FieldLedger, step: int) -> tuple[Groups, Took]:
        """Few labels are one small group: they are shown together, all looks at once."""
        standing = ledger.groups
        shown = [*standing, *fresh]
        if len(shown) < 2:
            return {**standing, **{label: [label] for label in fresh}}, Took()
        looks = await self._judge.looks(shown, range(MOST_OPINIONS), step)
        opinions, new = ledger.opinions, set(fresh)
        pairs = [pair_of(*two) for two in combinations(shown, 2) if new & set(two)]
        source = Source(self._judge.name, "judge", step)
        for pair in pairs:
            said = [look.get(pair[0], pair[0]) == look.get(pair[1], pair[1]) for look in looks.redirects]
            if any(said) and not self._objected(pair, opinions, source):
                for same in said:
                    opinions.look(pair, same, "same meaning" if same else "not the same", source)
        groups = grouped(fresh, standing, opinions, largest=LARGEST_GROUP)
        return groups, Took(looks.usage, list(looks.errors), len(pairs))

    async def _ask_in_waves(
        self, fresh: Sequence[str], ledger: FieldLedger, use: LabelUse, step: int
    ) -> tuple[Groups, Took]:
        """Questions on pairs that lie near each other, until none is left that would change anything."""
        standing, opinions = ledger.groups, ledger.opinions
        # Labels that stand already are embedded when there is something to compare them with.
        known = (label for members in standing.values() for label in members)
        unseen = [label for label in known if label not in self._space]
        near = await self._space.neighbours(
            [*unseen, *fresh],
            use.notes,
            self._judge.context(step),
            nearest=self._config.first_candidates,
        )
        took, new = Took(near.usage, list(near.warnings)), set(fresh)
        candidates = {pair: alike for pair, alike in near.candidates.items() if new & set(pair)}
        ledger.similarity |= candidates
        # What a step that failed was told already is not asked again.
        wanted = [pair for pair in self._first(candidates) if opinions.verdict(*pair) is None]
        groups = standing
        for _ in range(MOST_WAVES):
            await self._ask(wanted, ledger, use.notes, step, took)
            groups = grouped(fresh, standing, opinions, largest=LARGEST_GROUP)
            wanted = doubts(
                groups,
                standing,
                candidates,
                opinions,
                likely=near.likely,
                nearest=self._config.nearest_groups,
            )
            if not wanted:
                break
        return groups, took

    def _first(self, candidates: Mapping[Pair, float]) -> list[Pair]:
        """Of each label the pairs with those most like it."""
        taken: dict[str, int] = defaultdict(int)
        chosen = []
        for pair in candidates:
            if min(taken[label] for label in pair) < self._config.first_candidates:
                chosen.append(pair)
                for label in pair:
                    taken[label] += 1
        return chosen

    def _objected(self, pair: Pair, opinions: Opinions, source: Source) -> bool:
        """Whether a guard objects to a pair; the objection is remembered."""
        reason = objection(*pair) if self._config.guards else None
        if reason is not None:
            opinions.settle(pair, "different", reason, replace(source, judge="guard"))
        return reason is not None

    async def _ask(
        self,
        wanted: Sequence[Pair],
        ledger: FieldLedger,
        notes: Mapping[str, Sequence[str]],
        step: int,
        took: Took,
    ) -> None:
        """One wave of questions, all at once, on the pairs that no guard objects to."""
        opinions = ledger.opinions
        proposed = {pair: "embeddings" if pair in ledger.similarity else "groups" for pair in wanted}
        sources = {pair: Source(self._judge.name, by, step) for pair, by in proposed.items()}
        by_look: dict[int, list[Pair]] = defaultdict(list)
        for pair in wanted:
            if not self._objected(pair, opinions, sources[pair]):
                by_look[opinions.looks(*pair)].append(pair)
        questions = [
            (look, question)
            for look, same_look in sorted(by_look.items())
            for question in asked(same_look, look)
        ]
        shown = {label: told[:EXAMPLE_NOTES] for label, told in notes.items()}
        answered = await self._judge.ask(questions, shown, step)
        took.usage += answered.usage
        took.errors += answered.errors
        for question, answer in answered.answers:
            for candidate in question.candidates:
                pair = pair_of(question.label, candidate)
                took.pairs += opinions.verdict(*pair) is None
                if answer is None:
                    opinions.settle(pair, "undecided", "no answer could be used", sources[pair])
                else:
                    opinions.look(pair, candidate in answer.same, answer.reason, sources[pair])


def asked(pairs: Sequence[Pair], look: int) -> Iterator[Question]:
    """Questions for pairs: one per label, with what it is compared with. Every other look asks the other
    way round, and in the opposite order."""
    by_label: dict[str, list[str]] = defaultdict(list)
    for first, second in pairs if look % 2 == 0 else reversed(pairs):
        label, candidate = (first, second) if look % 2 == 0 else (second, first)
        by_label[label].append(candidate)
    for label, candidates in by_label.items():
        for start in range(0, len(candidates), MOST_CANDIDATES):
            yield Question(label, tuple(candidates[start : start + MOST_CANDIDATES]))


def doubts(
    groups: Groups,
    standing: Mapping[str, Sequence[str]],
    candidates: Mapping[Pair, float],
    opinions: Opinions,
    *,
    likely: float,
    nearest: int,
) -> list[Pair]:
    """The pairs that are worth another look, each once.

    Doubtful are labels that joined a group on a single look that no other member supports, and groups
    that lie near each other: their canonical labels were never compared, or a single look kept them apart
    although they are `likely` to be the same, or although two other members were held to be. Of each
    group the `nearest` others are looked at, so that questions grow with the groups, not with their square.
    """
    found: dict[Pair, None] = {}
    for canonical, members in groups.items():
        stood = len(standing.get(canonical, (canonical,)))
        for label in members[stood:]:
            if not confirmed(label, canonical, members, opinions):
                found[pair_of(label, canonical)] = None
    links = between(groups, standing, candidates)
    for pair in nearest_groups(links, candidates, nearest):
        if apart_in_doubt(pair, links[pair], candidates.get(pair, -1.0) >= likely, opinions):
            found[pair] = None
    return [pair for pair in found if opinions.open(*pair)]


def confirmed(label: str, canonical: str, members: Iterable[str], opinions: Opinions) -> bool:
    """Whether a label's place in a group needs no other look: there was one, or another member of the
    group speaks for it and none against."""
    if opinions.looks(label, canonical) != 1:
        return opinions.verdict(label, canonical) != "undecided"
    verdicts = [opinions.verdict(label, member) for member in members if member not in (label, canonical)]
    return "same" in verdicts and "different" not in verdicts


def between(
    groups: Groups, standing: Mapping[str, Sequence[str]], candidates: Iterable[Pair]
) -> dict[Pair, list[Pair]]:
    """The candidates between two groups, by the canonical labels of these groups. Groups that both stood
    before were compared then."""
    home = {label: canonical for canonical, members in groups.items() for label in members}
    links: dict[Pair, list[Pair]] = defaultdict(list)
    for pair in candidates:
        one, other = (home[label] for label in pair)
        if one != other and not (one in standing and other in standing):
            links[pair_of(one, other)].append(pair)
    return links


def nearest_groups(
    links: Mapping[Pair, Sequence[Pair]], candidates: Mapping[Pair, float], nearest: int
) -> list[Pair]:
    """Of each group the pairs with its `nearest` others, by the most alike of their members."""
    alike = {pair: max(candidates[link] for link in linked) for pair, linked in links.items()}
    taken: dict[str, int] = defaultdict(int)
    chosen = []
    for pair in sorted(alike, key=lambda pair: (-alike[pair], pair)):
        if min(taken[canonical] for canonical in pair) < nearest:
            chosen.append(pair)
            for canonical in pair:
                taken[canonical] += 1
    return chosen


def apart_in_doubt(canonicals: Pair, links: Iterable[Pair], alike: bool, opinions: Opinions) -> bool:
    """Whether it is doubtful that two groups with candidates between them are apart."""
    if opinions.verdict(*canonicals) != "different":
        return True
    if opinions.looks(*canonicals) != 1:
        return False
    return alike or any(opinions.verdict(*link) == "same" for link in links)
