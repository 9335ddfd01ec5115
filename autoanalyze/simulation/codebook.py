"""How the simulated model writes a codebook, and groups names into themes.

It knows what lies above and below what, as its names do (see `levels`), but not which level is counted:
of names of one line those stay that most sessions stand on. It errs as often as it does as a judge: a name
that should go stays (`judge_missed`), and one that should stay goes (`judge_false_merge`), half the time to
one that looks alike, half the time as unfit. What a line in a prompt does to a model is not simulated: it
labels as if names stood there bare. That is an assumption.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from autoanalyze.llm.codebook import MOST_THEMES
from autoanalyze.serving.chance import draws, fingerprint
from autoanalyze.serving.requests import NamesRequest
from autoanalyze.simulation.judging import Judging
from autoanalyze.simulation.levels import AND, OTHER, plain
from autoanalyze.simulation.truth import PlantedTruth

Line = tuple[str, ...]
"""A concept behind all that lie above it, the broadest first."""


class Coding:
    """Puts names on one level; `judging` says how often it errs, and about what."""

    def __init__(self, truth: PlantedTruth, judging: Judging) -> None:
        self._truth = truth
        self._judging = judging

    def codebook(self, request: NamesRequest, seed: int) -> str:
        """Which names stay, which are narrower than which, and which are unfit."""
        field, counts = request.field, request.counts
        content = fingerprint(["codebook", seed, list(counts.items())])
        meant = {label: self._truth.meaning(field, label) or label for label in counts}
        homes = self._homes(field, meant, counts)
        staying = [label for label, home in homes.items() if home == label]
        for label, home in list(homes.items()):
            what = ("stays" if home == label else "goes", field, [label], [meant[label]], content)
            if self._judging.errs(*what, len(counts)):
                homes[label] = self._mistaken(field, label, meant, staying) if home == label else label
        numbers = {label: number for number, label in enumerate(counts, start=1)}
        rows: dict[str, list[object]] = {"names": [], "narrower": [], "unfit": []}
        for label, home in homes.items():
            if home is None:
                rows["unfit"].append(numbers[label])
            elif home != label:
                rows["narrower"].append({"n": numbers[label], "of": numbers[home]})
            else:
                rows["names"].append({"n": numbers[label], "line": self._line_on(field, meant[label])})
        return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))

    def themes(self, request: NamesRequest, seed: int) -> str:
        """Names by the broadest concept above them; beyond the most themes there may be, in the last one."""
        field = request.field
        content = fingerprint(["themes", seed, list(request.counts.items())])
        numbers: dict[str, list[int]] = defaultdict(list)
        for number, label in enumerate(request.counts, start=1):
            concept = self._truth.meaning(field, label) or label
            if self._judging.errs("stays", field, [label], ["theme", concept], content, len(request.counts)):
                concept = self._truth.neighbours.get(field, {}).get(concept, concept)
            numbers[self._line(field, concept)[0]].append(number)
        ranked = sorted(numbers.items(), key=lambda item: -len(item[1]))
        themes = [{"name": plain(name), "names": own} for name, own in ranked[: MOST_THEMES - 1]]
        rest = sorted(number for _, own in ranked[MOST_THEMES - 1 :] for number in own)
        themes += [{"name": OTHER, "names": rest}] if rest else []
        return json.dumps({"themes": themes}, ensure_ascii=False, separators=(",", ":"))

    def _homes(
        self, field: str, meant: Mapping[str, str], counts: Mapping[str, int]
    ) -> dict[str, str | None]:
        """Where each name belongs: itself if it stays, one that it is narrower than, or nowhere."""
        lines = {c: self._line(field, c) for c in meant.values() if not self._unfit(field, c)}
        standing: dict[str, Counter[int]] = defaultdict(Counter)
        first: dict[str, str] = {}
        for label in sorted(counts, key=lambda label: -counts[label]):
            first.setdefault(meant[label], label)
            if meant[label] in lines:
                line = lines[meant[label]]
                standing[line[0]][len(line)] += counts[label]
        # Of two levels with as many sessions the narrower one: it says more.
        level = {top: max(depths, key=lambda d: (depths[d], d)) for top, depths in standing.items()}
        homes: dict[str, str | None] = {}
        for label, concept in meant.items():
            line = lines.get(concept, ())
            settled = level[line[0]] if line else 1
            above = first.get(line[settled - 1], label) if len(line) >= settled else None
            homes[label] = label if len(line) == settled else above
        return homes

    def _line(self, field: str, concept: str) -> Line:
        """A concept behind those above it."""
        line = [concept]
        while (above := self._truth.above(field, line[0])) is not None and above not in line:
            line.insert(0, above)
        return tuple(line)

    def _unfit(self, field: str, concept: str) -> bool:
        """Whether a concept is no single matter, and was not planted."""
        return (concept == OTHER or AND in concept) and concept not in self._truth.concepts.get(field, ())

    def _mistaken(
        self, field: str, label: str, meant: Mapping[str, str], staying: Sequence[str]
    ) -> str | None:
        """Where a name goes that should have stayed: to one that looks alike, or nowhere."""
        if draws("unfit", field, label).random() < 0.5:
            return None
        one = meant[label]
        alike = (o for o in staying if meant[o] != one and self._judging.alike(field, one, meant[o]))
        return next(alike, label)

    def _line_on(self, field: str, concept: str) -> str:
        """What belongs under a concept, and what does not."""
        other = self._truth.neighbours.get(field, {}).get(concept)
        return f"what is about {plain(concept)}" + (f"; not {plain(other)}" if other else "")
