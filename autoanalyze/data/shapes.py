"""The layouts that are known: our own, and those that the makers of chat platforms publish.

A layout says, by dotted paths, where id, role, text, time and containment stand. Names are compared
without case and punctuation; `*` goes through a list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from autoanalyze.records import Role

Paths = Mapping[str, tuple[str, ...]]
"""Places of each field, the best first."""

#: What a mapping can name, beside `true_<field>`.
SESSION_FIELDS: Final = ("session_id", "user_id", "start_time", "end_time", "containment_type", "messages")
MESSAGE_FIELDS: Final = ("role", "text", "timestamp")

_ID: Final = (
    "session_id",
    "conversation_id",
    "chat_id",
    "dialogue_id",
    "dialog_id",
    "thread_id",
    "contact_id",
)
_OWN_ID: Final = (*_ID, "id", "_id")
_TICKET_ID: Final = ("ticket_id", "id", "issue_key", "case_number", "number", "key")
_ROLE: Final = ("role", "message_type", "sender_type", "author_type", "participant_role", "author.role")
#: More than one of these in a file is a question to the user, not ours to answer.
TEXT: Final = ("text", "message", "content", "utterance", "msg", "body")
_TIME: Final = ("timestamp", "created_at", "created_on", "sent_at", "time", "datetime", "date")
_USER: Final = ("user_id", "customer_id", "visitor_id")
_ABOUT: Paths = {
    "user_id": _USER,
    "start_time": ("start_time", "started_at", "session_start"),
    "end_time": ("end_time", "ended_at", "session_end"),
    "containment_type": ("containment_type",),
}
_MESSAGE: Paths = {"role": _ROLE, "text": TEXT, "timestamp": _TIME}


@dataclass(frozen=True)
class Shape:
    """A layout of rows.

    A file has it if one path of each of `signs` is there. `session` tells where a row says what of its
    session, and `message` where a message says what: in each element of the lists at `messages`, or,
    without such a list, in the row. `said` are texts whose column tells who speaks. A message with one of
    `private` is a note among colleagues; with `asker`, who has the same id in both places is the user.
    """

    name: str
    signs: tuple[tuple[str, ...], ...]
    session: Paths
    message: Paths = field(default_factory=dict)
    messages: tuple[str, ...] = ()
    said: tuple[tuple[Role, tuple[str, ...]], ...] = ()
    private: tuple[tuple[str, object], ...] = ()
    asker: tuple[str, str] | None = None

    @cached_property
    def row_per_message(self) -> bool:
        """Whether a session's messages may stand in many rows."""
        return not self.messages and (bool(self.message) or len(self.said) > 1)


#: In the order in which they are tried.
SHAPES: Final = (
    Shape("a row per message", (_ID, _ROLE, TEXT), {"session_id": _ID, **_ABOUT}, _MESSAGE),
    Shape(
        "Kore.ai messages",
        (("session_id",), ("type",), ("components", "message", "text")),
        {"session_id": ("session_id",), **_ABOUT, "user_id": ("user_id", "created_by")},
        {
            "role": ("type",),
            "text": ("components.*.data.text", "message", "text"),
            "timestamp": ("created_on", "timestamp_value", "timestamp"),
        },
    ),
    Shape(
        "ShareGPT",
        (("conversations.*.from",), ("conversations.*.value",)),
        {"session_id": _OWN_ID, **_ABOUT},
        {"role": ("from",), "text": ("value",), "timestamp": _TIME},
        ("conversations",),
    ),
    Shape(
        "Amazon Connect",
        (("transcript.*.content",), ("transcript.*.participant_id", "transcript.*.participant_role")),
        {"session_id": ("contact_id", "customer_metadata.contact_id", "initial_contact_id"), **_ABOUT},
        {
            "role": ("participant_role", "participant_id"),
            "text": ("content",),
            "timestamp": ("absolute_time",),
        },
        ("transcript",),
    ),
    Shape(
        "Amazon Lex",
        (("session_id",), ("input_transcript",)),
        {"session_id": ("session_id",), "user_id": ("user_id",)},
        {"timestamp": ("timestamp",)},
        said=(("user", ("input_transcript",)), ("bot", ("messages.*.content", "bot_response"))),
    ),
    Shape(
        "CCAI conversations",
        (("entries.*.role",), ("entries.*.text",)),
        {"session_id": ("conversation_id", "conversation_info.conversation_id", "name")},
        {"role": ("role",), "text": ("text",), "timestamp": ("start_timestamp_usec",)},
        ("entries",),
    ),
    Shape(
        "Intercom",
        (("conversation_parts",), ("source",)),
        {"session_id": ("id",), "start_time": ("created_at",), "user_id": ("contacts.contacts.0.id",)},
        {
            "role": ("author.type",),
            "text": ("body",),
            "timestamp": ("created_at",),
            "user_id": ("author.id",),
        },
        ("source", "conversation_parts.conversation_parts"),
        private=(("part_type", "note"),),
    ),
    Shape(
        "Zendesk chats",
        (("history.*.msg", "history.*.sender_type"), ("id", "chat_id")),
        {
            "session_id": ("id", "chat_id"),
            "user_id": ("visitor.id",),
            "start_time": ("timestamp",),
            "end_time": ("end_timestamp",),
        },
        {"role": ("sender_type",), "text": ("msg", "message"), "timestamp": ("timestamp",)},
        ("history",),
    ),
    Shape(
        "Zendesk tickets with comments",
        (("comments.*.author_id",), ("requester_id",)),
        {"session_id": ("id", "ticket_id"), "user_id": ("requester_id",), "start_time": ("created_at",)},
        {"text": ("plain_body", "body", "html_body"), "timestamp": ("created_at",)},
        ("comments",),
        private=(("public", False),),
        asker=("author_id", "requester_id"),
    ),
    Shape(
        "Rasa trackers",
        (("events.*.event",), ("sender_id",)),
        {"session_id": ("sender_id",)},
        {"role": ("event",), "text": ("text",), "timestamp": ("timestamp",)},
        ("events",),
    ),
    Shape(
        "OpenAI messages",
        (("messages.*.role",), ("messages.*.content",)),
        {"session_id": _OWN_ID, **_ABOUT},
        _MESSAGE,
        ("messages",),
    ),
    Shape("a row per session", (("messages",),), {"session_id": _OWN_ID, **_ABOUT}, _MESSAGE, ("messages",)),
    Shape(
        "a row per ticket",
        (("subject", "summary", "title"), ("description", "body")),
        {
            "session_id": _TICKET_ID,
            "user_id": ("requester_id", "requester", "user_id", "customer_id"),
            "start_time": ("created_at", "created", "created_date", "date_created"),
        },
        said=(("user", ("subject", "summary", "title", "description", "body")),),
    ),
    Shape(
        "a row per ticket, of one text",
        ((*_TICKET_ID, *_ID), TEXT),
        {"session_id": (*_TICKET_ID, *_ID), **_ABOUT},
        said=(("user", TEXT),),
    ),
    Shape(
        "sessions without their messages",
        (("session_id",), ("containment_type",)),
        {"session_id": _ID, **_ABOUT},
    ),
)
