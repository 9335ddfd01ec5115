"""Sessions that were read lately."""

from __future__ import annotations

from autoanalyze.data.recent import RecentSessions
from autoanalyze.data.store import Store
from autoanalyze.data.synthetic import generate
from autoanalyze.records import Message

HELLO = (Message("user", "hello"),)


def test_least_recently_used_session_is_forgotten_first() -> None:
    """Whatever is read, no more is held than the bound allows, and what was used last stays."""
    recent = RecentSessions(most_bytes=3 * 255)
    for session_id in "abc":
        recent.remember("bot", {session_id: HELLO})
    recent.find("bot", ["a"])
    recent.remember("bot", {"d": HELLO})
    assert set(recent.find("bot", "abcd")) == {"a", "c", "d"}
    for number in range(100):
        recent.remember("bot", {str(number): HELLO})
    assert len(recent) == 3


def test_session_read_twice_counts_once() -> None:
    """Remembering a session again takes no more room."""
    recent = RecentSessions(most_bytes=2 * 255)
    for _ in range(5):
        recent.remember("bot", {"a": HELLO, "b": HELLO})
    assert set(recent.find("bot", "ab")) == {"a", "b"}


def test_bots_are_not_mixed_up() -> None:
    """The same session id of another bot is another session."""
    with Store.in_memory() as store:
        for bot, seed in (("one", 1), ("two", 2)):
            chats = [
                type(chat)("same", chat.user_id, chat.messages, chat.containment_type)
                for chat in generate(1, seed=seed)
            ]
            store.add(
                chats, bot_id=bot, count_tokens=lambda texts: [1] * len(texts), token_encoding="", source=""
            )
        first = {bot: store.read(bot, ["same"]) for bot in ("one", "two")}
        assert first["one"] != first["two"]
        assert {bot: store.read(bot, ["same"]) for bot in ("one", "two")} == first
