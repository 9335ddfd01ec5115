"""ConflictResolution: labels that mean the same become one, and every session is rewritten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from autoanalyze.config import ResolutionConfig, RetryConfig
from autoanalyze.errors import (
    EndpointGoneError,
    RequestRefusedError,
    RequestTooLongError,
    TransientEndpointError,
)
from autoanalyze.phases.redirects import agreed, checked_redirects, grouping, shuffled
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

__all__ = ["ConflictResolution", "ResolutionResult"]


FEW_LABELS = 50
"""Up to so many labels all looks are asked side by side."""


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


class JudgedLabels:
    """What is settled for one field: canonical labels in the order in which they were settled, redirects."""

    def __init__(self) -> None:
        self.standing: list[str] = []
        self.redirects: dict[str, str] = {}

    def unjudged(self, counts: Mapping[str, int]) -> list[str]:
        """The labels that are not settled yet, most used first, then earliest."""
        settled = {*self.standing, *self.redirects}
        # What stands first in a group becomes canonical.
        return sorted((label for label in counts if label not in settled), key=lambda label: -counts[label])


class ConflictResolution:
    """Phase 3, also in steps while labels still arrive: each label is judged once, against all that stand.

    `on_field` is told when a field is done, for progress displays.
    """

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
        self._judged_labels = {name: JudgedLabels() for name in schema.names}
        self._total = ResolutionResult((), 0, 0, Usage())

    def redirects(self) -> dict[str, dict[str, str]]:
        """Per field, alias to canonical, as far as it is known by now."""
        return self._total.redirects()

    async def resolve_conflicts(
        self, counts: Mapping[str, Mapping[str, int]], *, step: int = 0
    ) -> ResolutionResult:
        """Merge the labels of each field that no earlier step settled; returns all steps together.

        `counts`: per field, sessions per label, in order of arrival. `step` numbers merges made on the
        way; 0 is the one at the end.
        """
        fields = self._schema.fields
        parts = await asyncio.gather(
            *(self._resolve_field(field, counts.get(field.name, {}), step) for field in fields),
            return_exceptions=True,
        )
        # What one field found is kept when another failed: its labels will not be judged again.
        self._total = combined([self._total, *(part for part in parts if isinstance(part, ResolutionResult))])
        for part in parts:
            if isinstance(part, BaseException):
                raise part
        return self._total

    async def _resolve_field(
        self, label_field: LabelField, counts: Mapping[str, int], step: int
    ) -> ResolutionResult:
        """Merge the labels of one field.

        Labels that do not fit into one call come in chunks; each further chunk, like each further step,
        is shown together with the canonical labels so far, so that a pair is not missed for lying in
        two chunks. Two labels that stand already were judged apart and stay so: asking again and again
        would merge them one day, since every look errs now and then.
        """
        known = self._judged_labels[label_field.name]
        labels = known.unjudged(counts)
        # Settled for good only at the end: a failure in between leaves all of it to a later step.
        standing, redirects = list(known.standing), dict(known.redirects)
        size = self._config.labels_per_call
        found, usage, errors = 0, Usage(), []
        for start in range(0, len(labels) if self._config.mode != "none" else 0, size):
            fresh = labels[start : start + size]
            shown = [*standing, *fresh]
            opinions = await self.identify_potential_conflicts(label_field, shown, step)
            usage += opinions.usage
            errors += [f"{label_field.name}: {error}" for error in opinions.errors]
            if len(shown) > 1 and not opinions.redirects:
                continue  # nobody could be understood: the labels are judged in a later step, if there is one
            found += len(set(agreed(shown, opinions.redirects, needed=1, standing=standing).values()))
            needed = len(opinions.redirects) // 2 + 1
            merged = agreed(shown, opinions.redirects, needed=needed, standing=standing)
            redirects |= merged
            standing += [label for label in fresh if label not in merged]
        known.standing, known.redirects = standing, redirects
        resolutions = tuple(
            Resolution(label_field.name, alias, redirects[alias], self._judge, "same meaning", step)
            for alias in labels
            if alias in redirects
        )
        self._on_field(label_field.name)
        resolved = len({resolution.canonical for resolution in resolutions})
        return ResolutionResult(resolutions, found, resolved, usage, tuple(errors))

    async def identify_potential_conflicts(
        self, label_field: LabelField, labels: Sequence[str], step: int = 0
    ) -> Opinions:
        """Ask the judge which of `labels` mean the same: several times, in different orders.

        One look errs now and then, and merging two real things is the worst of errors; an odd number
        of looks lets the majority decide. Many labels cost more than a wait: of them, the rest is asked
        only when the first looks, as many as a majority needs, do not say the same.
        """
        if len(labels) < 2:
            return Opinions((), Usage(), ())
        if len(labels) <= FEW_LABELS:
            return await self._looks(label_field, labels, range(self._config.opinions), step)
        majority = self._config.opinions // 2 + 1
        opinions = await self._looks(label_field, labels, range(majority), step)
        if len({grouping(labels, look) for look in opinions.redirects}) > 1 or opinions.errors:
            rest = await self._looks(label_field, labels, range(majority, self._config.opinions), step)
            opinions = Opinions(
                opinions.redirects + rest.redirects,
                opinions.usage + rest.usage,
                opinions.errors + rest.errors,
            )
        return opinions

    async def _looks(
        self, label_field: LabelField, labels: Sequence[str], looks: Sequence[int], step: int
    ) -> Opinions:
        """What some looks at the labels say, side by side."""
        orders = [shuffled(labels, self._seed, look) for look in looks]
        judgements = await together(self._judged(label_field, order, step) for order in orders)
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

    async def _judged(self, label_field: LabelField, labels: Sequence[str], step: int) -> Judgement:
        """A judgement, asked for again if it could not be read; without groups if it never can be."""
        usage, error = Usage(), "never asked"
        for attempt in range(self._retry.attempts + 1):
            seed = derived_seed(self._seed, attempt)
            context = CallContext("resolution", round=step, stream=0, attempt=attempt, seed=seed)
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


def combined(parts: Sequence[ResolutionResult]) -> ResolutionResult:
    """Several results as one."""
    return ResolutionResult(
        tuple(resolution for part in parts for resolution in part.resolutions),
        sum(part.conflicts_found for part in parts),
        sum(part.resolved for part in parts),
        sum((part.usage for part in parts), Usage()),
        tuple(error for part in parts for error in part.errors),
    )
