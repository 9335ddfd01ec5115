"""PairwiseJudging: the judge looks at blocks of labels or answers small questions, and guards object."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from autoanalyze.config import EmbeddingsConfig, ResolutionConfig
from autoanalyze.llm.calls import together
from autoanalyze.phases.duplicates.blocks import meetings, parts
from autoanalyze.phases.duplicates.doubts import doubts, torn
from autoanalyze.phases.duplicates.judge import FURTHER_LOOKS, Judge, Took
from autoanalyze.phases.duplicates.ledger import FieldLedger
from autoanalyze.phases.duplicates.looks import Look, opinions_on, said
from autoanalyze.phases.duplicates.opinions import (
    LARGEST_GROUP,
    MOST_IN_DOUBT,
    MOST_OPINIONS,
    Groups,
    Opinions,
    Pair,
    Source,
    grouped,
    pair_of,
)
from autoanalyze.phases.duplicates.similarity import LabelSpace
from autoanalyze.phases.duplicates.spelling import Objection, objection_to
from autoanalyze.phases.vocabulary import LabelUse
from autoanalyze.protocols import Embedder, Question
from autoanalyze.records import LabelField

MOST_CANDIDATES = 10
"""Of one question; more are asked in further questions."""

MOST_WAVES = 12

EXAMPLE_NOTES = 1
"""Notes of sessions that the judge is shown of each label when it is asked again."""

LOOKS_IN_DOUBT = 2
"""Looks at few labels that are asked side by side as long as the ones before leave a doubt."""

OVERRULING = 3
"""Looks with a reason that are needed to overrule a guard, and none against."""


class PairwiseJudging:
    """Judges the labels of one field, also in steps while labels still arrive.

    The judge is shown all labels together, if they are few, else blocks of them: first of labels that are
    alike, with several looks, then of what is left of these, so that any two meet. That finds what shares
    no word and lies nowhere near. Questions on pairs confirm what a single look found, and tell whether a
    group follows its canonical label into another.

    Where no labels are to be shown together, questions on pairs are asked in waves. The first compares each
    new label with those most like it. Later ones compare the groups that came of it by their canonical
    labels, so that two groups cost one question and not one for each pair of members, and ask again where an
    answer is doubtful: a second look in the opposite order, and further ones as long as the looks differ too
    much for a judge who errs as often as this one.
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
        self._open_to_looks: dict[Pair, Objection] = {}
        self._doubted: set[Pair] = set()

    async def settle(self, ledger: FieldLedger, use: LabelUse, step: int) -> Took:
        """Group the labels that no earlier step settled, with each other and with the groups that stand."""
        fresh, spelled = ledger.spellings(ledger.unsettled(use.counts))
        if not fresh:
            ledger.regroup(ledger.groups, spelled, use.counts, step)
            return Took()
        opinions = ledger.opinions
        opinions.find_lost()
        groups: Groups | None = None
        took = Took()
        if self._config.shown_together > 1:
            groups = await self._look_in_blocks(fresh, ledger, use, step, took)
        if groups is None:
            # Also labels that could not be judged together: small questions are easier to answer.
            took.errors.clear()
            groups = await self._ask_in_waves(fresh, ledger, use, step, took)
        if await self._overruled(ledger, use.notes, step, took):
            grown = {label for members in groups.values() for label in members}
            placed = [label for label in fresh if label in grown]
            groups = grouped(placed, ledger.groups, opinions, largest=LARGEST_GROUP)
        ledger.regroup(groups, spelled, use.counts, step)
        return took

    async def _look_in_blocks(
        self, fresh: Sequence[str], ledger: FieldLedger, use: LabelUse, step: int, took: Took
    ) -> Groups | None:
        """Labels are shown together, in blocks if they are many. Labels on which no look says anything are
        left for a later step; no groups at all where no look at a block could be used."""
        size, new = self._config.shown_together, set(fresh)
        standing = ledger.groups
        shown = [*standing, *fresh]
        if len(shown) <= size:
            return await self._look(fresh, ledger, [shown], step, took, set())
        await self._place(shown, use.notes, step, took)
        met: set[Pair] = set()
        alike = [block for block in parts(self._space.arranged(shown), size) if new & set(block)]
        groups = await self._look(fresh, ledger, alike, step, took, met)
        if groups is None:
            return None
        left = self._space.arranged([*groups])
        # What is alike was looked at: one look is enough to find the few that are left.
        await self._look(fresh, ledger, meetings(left, new, size), step, took, met, first=1)
        heard = {label for members in groups.values() for label in members}
        return await self._until_clear([x for x in fresh if x in heard], ledger, use, step, took)

    async def _look(
        self,
        fresh: Sequence[str],
        ledger: FieldLedger,
        blocks: Sequence[Sequence[str]],
        step: int,
        took: Took,
        met: set[Pair],
        *,
        first: int = MOST_OPINIONS,
    ) -> Groups | None:
        """Looks at blocks of labels, `first` side by side, and where these are several further ones as long
        as they leave a doubt. Counts for the pairs that did not meet before, which `met` then holds."""
        opinions, standing, new = ledger.opinions, ledger.groups, set(fresh)
        source = Source(self._judge.name, "judge", step)
        pairs: list[list[Pair]] = []
        for block in blocks:
            of_block = (pair_of(*two) for two in combinations(block, 2) if new & set(two))
            pairs.append([pair for pair in of_block if pair not in met])
            met.update(pairs[-1])
        took.pairs += sum(map(len, pairs))
        before = Counter(opinions.apart)
        heard: list[list[Look]] = [[] for _ in blocks]
        apart: list[Counter[int]] = [Counter() for _ in blocks]
        asking = {number: range(first) for number, block in enumerate(blocks) if len(block) > 1}
        groups = grouped(fresh, standing, opinions, largest=LARGEST_GROUP)
        while asking:
            answers = await together(self._judge.looks(blocks[n], looks, step) for n, looks in asking.items())
            for number, looks in zip(asking, answers, strict=True):
                took.usage += looks.usage
                took.errors += looks.errors
                apart[number] = self._hear(pairs[number], heard[number], looks.looks, opinions, source)
                heard[number] += looks.looks
            if first > 1 and not all(heard[number] for number in asking):
                return None
            opinions.apart = sum(apart, before)
            opinions.weigh()
            silent = {
                label
                for block, looks in zip(blocks, heard, strict=True)
                for label in block
                if looks and not opinions_on(label, looks)
            }
            placed = [label for label in fresh if label not in silent]
            groups = grouped(placed, standing, opinions, largest=LARGEST_GROUP)
            doubtful = set(torn(groups, placed, opinions)) if first > 1 else set()
            heard_now, asking = zip(asking, answers, strict=True), {}
            for number, looks in heard_now:
                more = min(LOOKS_IN_DOUBT, MOST_IN_DOUBT - len(heard[number]))
                if more > 0 and looks.looks and doubtful.intersection(pairs[number]):
                    start = FURTHER_LOOKS + len(heard[number])
                    asking[number] = range(start, start + more)
        return groups

    def _hear(
        self,
        pairs: Sequence[Pair],
        before: Sequence[Look],
        looks: Sequence[Look],
        opinions: Opinions,
        source: Source,
    ) -> Counter[int]:
        """Remember what `looks` said of pairs that any look held to be the same, and what those `before` said
        of a pair that is new among them. Returns how many pairs all held apart, by the number of looks."""
        apart: Counter[int] = Counter()
        for pair in pairs:
            earlier, votes = ([said(look, *pair) for look in some] for some in (before, looks))
            if not any(earlier) and any(votes):
                earlier, votes = [], [*earlier, *votes]
                if self._objected(pair, opinions, source):
                    self._doubted |= {pair} if all(votes) else set()
                    continue
            if any(earlier) or any(votes):
                for same in votes:
                    if same is not None and opinions.open(*pair):
                        opinions.look(pair, same, "same meaning" if same else "not the same", source)
            else:
                apart[sum(vote is not None for vote in (*earlier, *votes))] += 1
        del apart[0]
        return apart

    async def _ask_in_waves(
        self, fresh: Sequence[str], ledger: FieldLedger, use: LabelUse, step: int, took: Took
    ) -> Groups:
        """Questions on pairs that lie near each other, until none is left that would change anything."""
        opinions, new = ledger.opinions, set(fresh)
        known = [label for members in ledger.groups.values() for label in members]
        unseen = [label for label in known if label not in self._space]
        await self._place([*known, *fresh], use.notes, step, took)
        near = self._space.neighbours([*unseen, *fresh])
        candidates = {pair: alike for pair, alike in near.items() if new & set(pair)}
        ledger.similarity |= candidates
        # What a step that failed was told already is not asked again.
        wanted = [
            pair for pair in self._first(candidates) if not opinions.looks(*pair) and opinions.open(*pair)
        ]
        await self._ask(wanted, ledger, use.notes, step, took)
        return await self._until_clear(fresh, ledger, use, step, took, candidates)

    async def _until_clear(
        self,
        fresh: Sequence[str],
        ledger: FieldLedger,
        use: LabelUse,
        step: int,
        took: Took,
        candidates: Collection[Pair] | None = None,
    ) -> Groups:
        """Waves of questions on what is in doubt, among candidates or, where there are none, between groups
        of which some look held two members to be the same."""
        standing, opinions = ledger.groups, ledger.opinions
        for _ in range(MOST_WAVES):
            opinions.weigh()
            groups = grouped(fresh, standing, opinions, largest=LARGEST_GROUP)
            linked = opinions.held_same(fresh) if candidates is None else candidates
            wanted = doubts(groups, standing, linked, opinions, nearest=self._config.nearest_groups)
            if not wanted:
                break
            await self._ask(wanted, ledger, use.notes, step, took)
        # On what nobody could answer, a later step is asked.
        unjudged = set(opinions.unanswered(fresh))
        placed = [label for label in fresh if label not in unjudged]
        return grouped(placed, standing, opinions, largest=LARGEST_GROUP)

    async def _place(
        self, labels: Sequence[str], notes: Mapping[str, Sequence[str]], step: int, took: Took
    ) -> None:
        """See to it that labels have their places in space."""
        placing = await self._space.add(labels, notes, self._judge.context(step))
        took.usage += placing.usage
        took.errors += placing.errors

    def _first(self, candidates: Iterable[Pair]) -> list[Pair]:
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
        found = objection_to(*pair) if self._config.guards else None
        if found is None:
            return False
        opinions.settle(pair, "different", found.reason, replace(source, judge="guard"))
        if not found.certain:
            self._open_to_looks[pair] = found
        return True

    async def _overruled(
        self, ledger: FieldLedger, notes: Mapping[str, Sequence[str]], step: int, took: Took
    ) -> bool:
        """Whether any guard was overruled: words alone can err where all looks hold two labels to be the
        same, or another label to mean the same as both. Then several looks with reasons decide, once for
        a pair."""
        opinions = ledger.opinions
        asking = [
            (first, second)
            for first, second in sorted(self._open_to_looks)
            if (first, second) in self._doubted or opinions.same_as(first) & opinions.same_as(second)
        ]
        questions = [(look, q) for look in range(1, OVERRULING + 1) for q in asked(asking, look)]
        answered = await self._judge.ask(questions, examples(notes), step)
        took.usage += answered.usage
        took.errors += answered.errors
        reasons: dict[Pair, list[str]] = defaultdict(list)
        for question, answer in answered.answers:
            for candidate in answer.same if answer is not None and answer.reason else ():
                reasons[pair_of(question.label, candidate)].append(answer.reason if answer else "")
        overruled = [pair for pair in asking if len(reasons[pair]) == OVERRULING]
        for pair in asking:
            guard = self._open_to_looks.pop(pair)
            if pair in overruled:
                words = f"{reasons[pair][-1]} (overrules the guard: {guard.reason})"
                source = Source(self._judge.name, opinions.known(*pair).proposed_by, step)
                opinions.settle(pair, "same", words, source)
        return bool(overruled)

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
        answered = await self._judge.ask(questions, examples(notes), step)
        took.usage += answered.usage
        took.errors += answered.errors
        for question, answer in answered.answers:
            for candidate in question.candidates:
                pair = pair_of(question.label, candidate)
                took.pairs += opinions.verdict(*pair) is None
                if answer is None:
                    opinions.lose(pair, "no answer could be used", sources[pair])
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


def examples(notes: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """The notes that are shown of each label."""
    return {label: told[:EXAMPLE_NOTES] for label, told in notes.items()}
