"""The same session again: it has grown, it is the same, or it is another one under the same id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from autoanalyze.records import ContainmentType, Conversation, Message

_Name = TypeVar("_Name", str, ContainmentType)


@dataclass(frozen=True, slots=True)
class AddResult:
    """What one `Store.add` did. `messages` counts only what went in now, as the two after it do.

    `extended` sessions were there and now tell more. `conflicts` are sessions that are there with other
    content: nothing of them went in.
    """

    added: int = 0
    extended: int = 0
    already_there: int = 0
    messages: int = 0
    without_messages: int = 0
    with_truth: int = 0
    partial: int = 0
    conflicts: tuple[Conversation, ...] = ()

    def __add__(self, other: AddResult) -> AddResult:
        """Sum of two parts of one import."""
        return AddResult(
            self.added + other.added,
            self.extended + other.extended,
            self.already_there + other.already_there,
            self.messages + other.messages,
            self.without_messages + other.without_messages,
            self.with_truth + other.with_truth,
            self.partial + other.partial,
            self.conflicts + other.conflicts,
        )


def grown(old: Conversation, new: Conversation) -> Conversation | None:
    """What is known of a session after `new` was read of it too; null if the two contradict each other.

    Messages may only be added at the end, or into the gaps of a partial session; what was unknown may
    become known. If nothing is new, `old` itself is returned.
    """
    messages = _messages(old, new)
    user_id = _known(old.user_id, new.user_id, unknown=old.session_id)
    containment = _known(old.containment_type, new.containment_type, unknown="unknown")
    # What only the messages told may be told anew by the channel.
    if (
        old.containment_type == "agent"
        and containment is None
        and any(m.role == "agent" for m in old.messages)
    ):
        containment = new.containment_type
    truth = dict(old.truth)
    if messages is None or user_id is None or containment is None or not _added(truth, new.truth):
        return None
    result = replace(
        old,
        messages=messages,
        user_id=user_id,
        containment_type=containment,
        truth=truth,
        start_time=_earlier(old, new),
        end_time=_later(old, new),
        partial=old.partial and new.partial,
        source=new.source,
    )
    return old if replace(result, source=old.source) == old else result


def settled(conversation: Conversation) -> Conversation:
    """The session with its containment: where the channel does not know it, a human agent's message does."""
    if conversation.containment_type == "unknown" and any(m.role == "agent" for m in conversation.messages):
        return replace(conversation, containment_type="agent")
    return conversation


def _messages(old: Conversation, new: Conversation) -> tuple[Message, ...] | None:
    """The longer of two transcripts if it holds the other one, null if neither does."""
    # Stores made before today hold turns without text, and call people of the company bots.
    before = [message for message in old.messages if message.text]
    after = new.messages
    if new.partial and not old.partial and _within(after, before):
        return old.messages
    shared = min(len(before), len(after))
    if all(_same(*pair) for pair in zip(before, after, strict=False)):
        if old.made_id and len(before) != len(after):
            return None
        if len(after) < len(before):
            return old.messages
        same = shared == len(after) and all(b == a for b, a in zip(before, after, strict=False))
        return old.messages if same else tuple(after)
    return tuple(after) if old.partial and not new.partial and _within(before, after) else None


def _same(old: Message, new: Message) -> bool:
    return (
        old.text == new.text
        and (old.role == new.role or (old.role, new.role) == ("bot", "agent"))
        and (old.timestamp == new.timestamp or None in (old.timestamp, new.timestamp))
    )


def _within(few: Sequence[Message], many: Sequence[Message]) -> bool:
    """Whether all of the few stand among the many, in order."""
    rest = iter(many)
    return all(any(_same(message, other) for other in rest) for message in few)


def _known(old: _Name, new: _Name, unknown: _Name) -> _Name | None:
    """What is known of a value from two sources; null if they contradict each other."""
    if new in (unknown, old):
        return old
    return new if old == unknown else None


def _added(truth: dict[str, str], more: Mapping[str, str]) -> bool:
    truth.update({field: concept for field, concept in more.items() if field not in truth})
    return all(truth[field] == concept for field, concept in more.items())


def _earlier(old: Conversation, new: Conversation) -> datetime | None:
    return min((time for time in (old.start_time, new.start_time) if time is not None), default=None)


def _later(old: Conversation, new: Conversation) -> datetime | None:
    return max((time for time in (old.end_time, new.end_time) if time is not None), default=None)


def compared(
    known: dict[str, Conversation], chunk: Sequence[Conversation]
) -> tuple[list[Conversation], AddResult]:
    """What is to be written anew of these conversations, and what that does; `known` are those stored."""
    changed: dict[str, Conversation] = {}
    counts = AddResult()
    for new in chunk:
        old = changed.get(new.session_id) or known.get(new.session_id)
        if old is None:
            changed[new.session_id] = new
            counts += AddResult(
                added=1,
                messages=len(new.messages),
                without_messages=not new.messages,
                with_truth=bool(new.truth),
                partial=new.partial,
            )
        elif (merged := grown(old, new)) is None:
            counts += AddResult(conflicts=(new,))
        elif merged is old:
            counts += AddResult(already_there=1)
        else:
            changed[new.session_id] = merged
            counts += AddResult(
                extended=1,
                messages=max(0, len(merged.messages) - len(old.messages)),
                with_truth=len(merged.truth) > len(old.truth),
                partial=merged.partial,
            )
    return list(changed.values()), counts
