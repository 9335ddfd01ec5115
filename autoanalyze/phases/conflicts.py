"""ConflictResolution: labels that mean the same become one, and every session is rewritten."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from autoanalyze.config import ResolutionConfig, RetryConfig
from autoanalyze.errors import (
    EndpointGoneError,
    RequestRefusedError,
    RequestTooLongError,
    TransientEndpointError,
)
from autoanalyze.phases.streams import derived_seed
from autoanalyze.phases.together import together
from autoanalyze.records import (
    CallContext,
    Facts,
    Judgement,
    LabelField,
    LabelSchema,
    Model,
    Resolution,
    Usage,
)

__all__ = ["ConflictResolution", "ResolutionResult", "checked_redirects"]


@dataclass(frozen=True, slots=True)
class ResolutionResult:
    """What was merged. `conflicts_found` counts the groups that at least one opinion proposed,
    `resolved` those that were merged; `errors` says what could not be used, and why."""

    resolutions: tuple[Resolution, ...]
    conflicts_found: int
    resolved: int
    usage: Usage
    errors: tuple[str, ...] = ()

    @property
    def canonical_mappings(self) -> int:
        """Aliases that were redirected."""
        return len(self.resolutions)

    def redirects(self) -> dict[str, dict[str, str]]:
        """Per field, alias to canonical."""
        redirects: dict[str, dict[str, str]] = {}
        for resolution in self.resolutions:
            redirects.setdefault(resolution.field, {})[resolution.alias] = resolution.canonical
        return redirects


@dataclass(frozen=True, slots=True)
class Opinions:
    """What several looks at the same labels said: each look as checked redirects."""

    redirects: tuple[Mapping[str, str], ...]
    usage: Usage
    errors: tuple[str, ...]


class ConflictResolution:
    """Phase 3. `on_field` is told when a field is done, for progress displays."""

    def __init__(
        self,
        model: Model,
        schema: LabelSchema,
        config: ResolutionConfig,
        *,
        retry: RetryConfig,
        seed: int,
        judge: str,
        on_field: Callable[[str], None] = lambda _name: None,
    ) -> None:
        self._model = model
        self._schema = schema
        self._config = config
        self._retry = retry
        self._seed = seed
        self._judge = judge
        self._on_field = on_field

    async def resolve_conflicts(self, counts: Mapping[str, Mapping[str, int]]) -> ResolutionResult:
        """Merge the labels of each field. `counts`: per field, sessions per label, in order of arrival."""
        parts = await together(
            self._resolve_field(label_field, counts.get(label_field.name, {}))
            for label_field in self._schema.fields
        )
        return ResolutionResult(
            tuple(resolution for part in parts for resolution in part.resolutions),
            sum(part.conflicts_found for part in parts),
            sum(part.resolved for part in parts),
            sum((part.usage for part in parts), Usage()),
            tuple(error for part in parts for error in part.errors),
        )

    async def _resolve_field(self, label_field: LabelField, counts: Mapping[str, int]) -> ResolutionResult:
        """Merge the labels of one field.

        Labels that do not fit into one call come in chunks; each further chunk is shown
        together with the canonical labels so far, so that a pair is not missed for lying
        in two chunks.
        """
        # The most used first (then the earliest): what stands first in a group becomes canonical.
        labels = sorted(counts, key=lambda label: -counts[label])
        size = self._config.labels_per_call
        redirects: dict[str, str] = {}
        standing: list[str] = []
        found, usage, errors = 0, Usage(), []
        for start in range(0, len(labels) if self._config.mode != "none" else 0, size):
            shown = [*standing, *labels[start : start + size]]
            opinions = await self.identify_potential_conflicts(label_field, shown)
            usage += opinions.usage
            errors += [f"{label_field.name}: {error}" for error in opinions.errors]
            found += len(set(agreed(shown, opinions.redirects, needed=1).values()))
            redirects |= agreed(shown, opinions.redirects, needed=len(opinions.redirects) // 2 + 1)
            standing = [label for label in shown if label not in redirects]
        resolutions = tuple(
            Resolution(label_field.name, alias, followed(alias, redirects), self._judge, "same meaning")
            for alias in labels
            if alias in redirects
        )
        self._on_field(label_field.name)
        resolved = len({resolution.canonical for resolution in resolutions})
        return ResolutionResult(resolutions, found, resolved, usage, tuple(errors))

    async def identify_potential_conflicts(self, label_field: LabelField, labels: Sequence[str]) -> Opinions:
        """Ask the judge which of `labels` mean the same: several times, in different orders.

        One look errs now and then, and merging two real things is the worst of errors; an
        odd number of looks lets the majority decide.
        """
        if len(labels) < 2:
            return Opinions((), Usage(), ())
        orders = [shuffled(labels, self._seed, look) for look in range(self._config.opinions)]
        judgements = await together(self._judged(label_field, order) for order in orders)
        checked = [
            checked_redirects(labels, judgement.groups) for judgement in judgements if judgement.error is None
        ]
        return Opinions(
            tuple(redirects for redirects, _ in checked),
            sum((judgement.usage for judgement in judgements), Usage()),
            (
                *(problem for _, problems in checked for problem in problems),
                *(judgement.error for judgement in judgements if judgement.error is not None),
            ),
        )

    def apply_resolutions(self, facts: Facts, redirects: Mapping[str, Mapping[str, str]]) -> Facts:
        """The facts under their canonical labels."""
        labels = {
            name: label if label is None else redirects.get(name, {}).get(label, label)
            for name, label in facts.labels.items()
        }
        return replace(facts, labels=labels)

    async def _judged(self, label_field: LabelField, labels: Sequence[str]) -> Judgement:
        """A judgement, asked for again if it could not be read; without groups if it never can be."""
        usage, error = Usage(), "never asked"
        for attempt in range(self._retry.attempts + 1):
            seed = derived_seed(self._seed, attempt)
            context = CallContext("resolution", stream=0, attempt=attempt, seed=seed)
            try:
                judgement = await self._model.judge_duplicates(label_field, labels, context)
            except TransientEndpointError as problem:
                raise EndpointGoneError(
                    f"the judge of duplicates could not be reached, in spite of all retries: {problem}; "
                    "resume the run when the endpoint is back"
                ) from None
            except (RequestTooLongError, RequestRefusedError) as problem:
                return Judgement((), usage, 0.0, f"left unmerged: {problem}")
            usage += judgement.usage
            if judgement.error is None:
                return replace(judgement, usage=usage)
            error = judgement.error
        return Judgement((), usage, 0.0, f"left unmerged: {error}")


def shuffled(labels: Sequence[str], seed: int, look: int) -> list[str]:
    """The order in which a look is shown the labels: as they are at first, then otherwise."""
    order = list(labels)
    if look:
        random.Random(f"opinion {seed} {look}").shuffle(order)
    return order


def agreed(labels: Sequence[str], opinions: Sequence[Mapping[str, str]], needed: int) -> dict[str, str]:
    """Redirects on which at least `needed` opinions agree.

    Labels are taken in the given order; each joins the first canonical with which enough
    opinions put it in one group, and becomes a canonical itself if there is none. So an
    alias always agrees with its canonical, never only with a neighbour of it.
    """
    redirects: dict[str, str] = {}
    canonicals: list[str] = []
    for label in labels:
        for canonical in canonicals:
            if sum(o.get(label, label) == o.get(canonical, canonical) for o in opinions) >= needed:
                redirects[label] = canonical
                break
        else:
            canonicals.append(label)
    return redirects


def checked_redirects(
    labels: Sequence[str], groups: Sequence[Sequence[str]]
) -> tuple[dict[str, str], list[str]]:
    """What of a judge's answer can be carried out, and why the rest cannot.

    `groups` are canonical-first. Only labels that were shown count; an alias that stands
    in two groups is redirected by neither, since nobody knows which is right; redirects in
    a circle are dropped; chains are followed to their end, so that every canonical in the
    result is redirected nowhere.
    """
    shown = set(labels)
    problems: list[str] = []
    proposed: dict[str, str] = {}
    disputed: set[str] = set()
    for canonical, *aliases in groups:
        for alias in dict.fromkeys(aliases):
            if alias == canonical:
                continue
            if canonical not in shown or alias not in shown:
                problems.append(f"{alias!r} -> {canonical!r} names a label that nobody gave")
            elif proposed.setdefault(alias, canonical) != canonical:
                disputed.add(alias)
    for alias in sorted(disputed):
        problems.append(f"{alias!r} stands in two groups")
        del proposed[alias]
    circular = {alias for alias in proposed if in_circle(alias, proposed)}
    problems += [f"{alias!r} redirects in a circle" for alias in sorted(circular)]
    kept = {alias: target for alias, target in proposed.items() if alias not in circular}
    return {alias: followed(alias, kept) for alias in kept}, problems


def in_circle(label: str, redirects: Mapping[str, str]) -> bool:
    """Whether following the redirects of `label` comes back to it."""
    visited: set[str] = set()
    target = redirects.get(label)
    while target is not None and target != label and target not in visited:
        visited.add(target)
        target = redirects.get(target)
    return target == label


def followed(label: str, redirects: Mapping[str, str]) -> str:
    """Where a label ends up. `redirects` must hold no circle."""
    while label in redirects:
        label = redirects[label]
    return label
