"""Blocks hold every label, are no larger than asked for, and bring together what has to meet."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.phases.duplicates.blocks import FARTHEST, meetings, parts

counts = st.integers(1, 200)
sizes = st.integers(2, 60)


@given(counts, sizes)
def test_parts_keep_the_order_and_are_about_equally_large(count: int, size: int) -> None:
    """As few as there can be, and none much smaller than another."""
    labels = [f"L{n}" for n in range(count)]
    found = parts(labels, size)
    assert [label for part in found for label in part] == labels
    assert len(found) == -(-count // size)
    sizes_found = {len(part) for part in found}
    assert max(sizes_found) <= size
    assert max(sizes_found) - min(sizes_found) <= 1


@given(counts, sizes, st.data())
def test_new_labels_meet_all_others(count: int, size: int, data: st.DataObject) -> None:
    """Up to as many as all meet, each pair with a new label is in some block, and no block is too large or
    without a new label."""
    labels = [f"L{n}" for n in range(min(count, FARTHEST * (size // 2)))]
    new = set(data.draw(st.lists(st.sampled_from(labels), min_size=1, unique=True)))
    found = meetings(labels, new, size)
    met = {frozenset(two) for block in found for two in combinations(block, 2)}
    assert all(frozenset(two) in met for two in combinations(labels, 2) if new & set(two))
    assert all(len(block) <= size and len(set(block)) == len(block) for block in found)
    assert len(labels) <= size or all(new & set(block) for block in found)


def test_blocks_grow_with_the_labels_not_with_their_square() -> None:
    """Where labels are many, those that lie far apart in their order do not meet."""
    few, many = ([f"L{n}" for n in range(count)] for count in (1_000, 4_000))
    assert len(meetings(many, many, 20)) < 5 * len(meetings(few, few, 20))
