"""What several looks at the same sessions say together: of each session, and of labels that are one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from autoanalyze.records import Facts, SessionResult

FEWEST, MOST_SHARE = 2, 0.5
"""Sessions, and the share of those looked at again, that a label must lose to another to be its double."""

Redirects = Mapping[str, Mapping[str, str]]
Counts = Mapping[str, Counter[str]]
Attractors = Mapping[str, Collection[str]]
"""Per field, labels that swallow sessions which they do not fit."""
Moves = Mapping[str, Mapping[str, Counter[str]]]


def used(names: Sequence[str], results: Sequence[SessionResult], redirects: Redirects) -> Counts:
    """Per field, the sessions of each label after merging."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in names}
    for result in results:
        for name, label in (result.facts.labels if result.facts else {}).items():
            if label is not None:
                counts[name][redirects.get(name, {}).get(label, label)] += 1
    return counts


def canonical(name: str, label: str | None, redirects: Redirects) -> str | None:
    """What a label of a field became."""
    return label if label is None else redirects.get(name, {}).get(label, label)


def renamed(facts: Facts, redirects: Redirects) -> Facts:
    """Facts under what their labels became."""
    return replace(facts, labels={n: canonical(n, label, redirects) for n, label in facts.labels.items()})


def disputed(said: Sequence[Facts], redirects: Redirects) -> bool:
    """Whether looks gave a session different labels in any field."""
    return any(
        len({canonical(name, facts.labels.get(name), redirects) for facts in said}) > 1
        for name in (said[0].labels if said else ())
    )


def freed(first: Facts, second: Facts, attractors: Attractors, redirects: Redirects, counts: Counts) -> Facts:
    """The first answer to a session as far as it counts: an attractor does not where the second answer, which
    was shown none, is another label in use."""

    def counting(name: str, label: str | None) -> str | None:
        other = canonical(name, second.labels.get(name), redirects)
        swallowing = canonical(name, label, redirects) in attractors.get(name, ())
        return None if swallowing and other is not None and counts[name][other] else label

    return replace(first, labels={name: counting(name, label) for name, label in first.labels.items()})


def moved(said: Iterable[Sequence[Facts]], redirects: Redirects) -> Moves:
    """Per field and label, how many further looks at its sessions gave which label."""
    found: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for first, *others in said:
        for name, label in first.labels.items():
            own = canonical(name, label, redirects)
            for facts in others:
                other = canonical(name, facts.labels.get(name), redirects)
                if own is not None and other is not None:
                    found[name][own][other] += 1
    return found


def doubles(said: Iterable[Sequence[Facts]], redirects: Redirects, counts: Counts) -> Redirects:
    """Per field, labels that most of their sessions lost to one and the same other label: whoever knows both
    takes the other one. The less common of the two becomes the more common."""
    found: dict[str, dict[str, str]] = {name: {} for name in counts}
    for name, by_label in moved(said, redirects).items():
        for label, went in sorted(by_label.items()):
            other, times = max(went.items(), key=lambda item: (item[1], item[0]))
            if (
                other != label
                and times >= FEWEST
                and times > MOST_SHARE * went.total()
                and counts[name][other]
                and counts[name][label]
            ):
                rare, common = sorted((label, other), key=lambda one: (counts[name][one], one))
                found[name].setdefault(rare, common)
    return found


def decided(
    given: Facts,
    said: Sequence[Facts],
    redirects: Redirects,
    counts: Counts,
    same: Redirects,
    left: Redirects | None = None,
) -> Facts:
    """The facts after all looks at a session: in each field the label that most looks gave, of several such
    the most common, then the latest; and of doubles the more common. A label that nobody bore before a
    look counts for nothing there, so that no look brings new ones but where the one before counts for
    nothing either. Labels in `left` are left to the codebook, which moves all their sessions or none, so that
    it can be undone."""
    labels = dict(given.labels)
    for name, label in given.labels.items():
        before = canonical(name, label, redirects)
        if before is None or before in (left or {}).get(name, {}):
            continue
        votes = [canonical(name, facts.labels.get(name), redirects) for facts in said]
        known = [vote for vote in votes if vote is not None and counts[name][vote]]
        if not known:
            new = [vote for vote in votes if vote is not None and vote != before]
            known = [before] if counts[name][before] or not new else new[-1:]
        chosen = max(
            dict.fromkeys(known),
            key=lambda vote: (known.count(vote), counts[name][vote], last(known, vote)),
        )
        chosen = same[name].get(chosen, chosen)
        if chosen != before:
            labels[name] = chosen
    return replace(given, labels=labels)


def last(votes: Sequence[str], vote: str) -> int:
    """Where a vote stands last."""
    return max(place for place, one in enumerate(votes) if one == vote)
