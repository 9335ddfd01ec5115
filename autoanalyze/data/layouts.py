"""The two layouts of session files, a row per session and a row per message, as conversations."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from autoanalyze.data.formats import RawRow
from autoanalyze.data.rows import MESSAGE_FIELDS, SESSION_FIELDS, SessionRow, TurnRow, validated
from autoanalyze.errors import ConfigurationError, ImportDataError
from autoanalyze.records import ContainmentType, Conversation, Message

__all__ = ["Columns", "conversations"]

# Upstream facts about a truth, not the truth of a label field.
_NOT_TRUTH = ("true_topic", "true_intents")
_TRUTH = "true_"
_TRUTH_FIELDS = {"intent": "general_intent"}


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns, and of the keys of messages, that a file has; and what they are called here."""

    found: tuple[str, ...]
    mapping: Mapping[str, str]

    @classmethod
    def of(cls, rows: Iterable[RawRow], mapping: Mapping[str, str]) -> Columns:
        """The columns of these rows, renamed by `mapping` (theirs to ours).

        Raises ConfigurationError if the mapping names a field that does not exist, or one twice.
        """
        _check_targets(mapping)
        columns = Columns((), mapping)
        found: dict[str, None] = {}
        for row in rows:
            found.update(dict.fromkeys(row.values))
            messages = columns.renamed(row.values).get("messages")
            found.update(dict.fromkeys(key for message in _parsed(messages) for key in message))
        return cls(tuple(found), mapping)

    @property
    def row_per_session(self) -> bool:
        """Whether a row holds a whole session, rather than one message."""
        return "messages" in self.renamed(dict.fromkeys(self.found))

    def check(self, file: str) -> None:
        """Raise ImportDataError, with what was found and the remedy, if the columns cannot be used."""
        present = f"Found: {', '.join(self.found)}."
        if unknown := [theirs for theirs in self.mapping if theirs not in self.found]:
            raise ImportDataError(f"{file}: --map names {', '.join(unknown)}, which is not there. {present}")
        ours = self.renamed(dict.fromkeys(self.found))
        needed: list[tuple[str, ...]] = [("session_id",)]
        if not self.row_per_session:
            needed += [("role", "message_type"), ("text", "message")]
        missing = [" or ".join(names) for names in needed if not any(name in ours for name in names)]
        if missing:
            raise ImportDataError(
                f"{file}: columns are missing: {', '.join(missing)}. {present} If a column has another "
                f"name, say so with --map theirs={missing[0].partition(' ')[0]}. A file has either a row per "
                f"message (session_id, role, text, timestamp) or a row per session (session_id, messages)."
            )

    def renamed(self, values: Mapping[str, object]) -> dict[str, object]:
        """A row under our names. A renamed column takes the place of one that had the name before."""
        return _renamed(values, self.mapping)

    def messages(self, value: object) -> list[dict[str, object]]:
        """A list of messages, or JSON text of one, under our names; ValueError if it is neither."""
        if value is None or (isinstance(value, str) and not value.strip()):
            return []
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (json.JSONDecodeError, RecursionError) as error:
                raise ValueError(f"messages: not JSON: {error}") from error
        if not isinstance(value, list) or not all(isinstance(message, dict) for message in value):
            raise ValueError("messages: not a list of messages such as {role, text, timestamp}")
        # Only message fields: a mapping of the row's own columns must not reach into its messages.
        mapping = {theirs: ours for theirs, ours in self.mapping.items() if ours in MESSAGE_FIELDS}
        return [_renamed(message, mapping) for message in value]


def _check_targets(mapping: Mapping[str, str]) -> None:
    known = (*SESSION_FIELDS, *MESSAGE_FIELDS)
    unknown = [ours for ours in mapping.values() if ours not in known and not ours.startswith(_TRUTH)]
    if unknown:
        raise ConfigurationError(
            f"--map: there is no field {', '.join(unknown)}. A mapping is theirs=ours, and ours is one of "
            f"{', '.join(known)} or true_<field>."
        )
    twice = {ours for ours in mapping.values() if list(mapping.values()).count(ours) > 1}
    if twice:
        raise ConfigurationError(
            f"--map: two columns are mapped to {', '.join(sorted(twice))}; leave one out"
        )


def _renamed(values: Mapping[str, object], mapping: Mapping[str, str]) -> dict[str, object]:
    if not mapping:
        return dict(values)
    targets = set(mapping.values())
    kept = {name: value for name, value in values.items() if name not in mapping and name not in targets}
    return kept | {mapping[name]: value for name, value in values.items() if name in mapping}


def _parsed(value: object) -> list[dict[str, object]]:
    try:
        return Columns((), {}).messages(value)
    except ValueError:
        return []


def conversations(
    rows: Iterable[RawRow], columns: Columns, reject: Callable[[int, str], None]
) -> Iterator[Conversation]:
    """Conversations of the good rows; `reject` is told line and reason of each bad one.

    Rows per session stream through. Rows per message need not be in order, so all are read
    before the first conversation comes; where all messages of a session have a time, time
    puts them in order.
    """
    if columns.row_per_session:
        return _whole_sessions(rows, columns, reject)
    return _gathered_sessions(rows, columns, reject)


def _whole_sessions(
    rows: Iterable[RawRow], columns: Columns, reject: Callable[[int, str], None]
) -> Iterator[Conversation]:
    lines: dict[str, int] = {}
    for raw in rows:
        try:
            values = _usable(raw, columns)
            if "messages" in values:
                values["messages"] = columns.messages(values["messages"])
            row = validated(SessionRow, values)
            if (line := lines.setdefault(row.session_id, raw.line)) != raw.line:
                raise ValueError(f"session_id {row.session_id!r}: the session stands already in line {line}")
        except ValueError as error:
            reject(raw.line, str(error))
            continue
        yield _conversation(row, [message.message() for message in row.messages])


@dataclass(slots=True)
class _Gathered:
    """One session's messages so far, and what all of their rows say of the session."""

    about: TurnRow
    messages: list[Message] = field(default_factory=list)
    speaker: str | None = None
    containment_type: ContainmentType = "unknown"
    truth: dict[str, str] = field(default_factory=dict)

    def take(self, row: TurnRow) -> None:
        """Add a row; ValueError if it contradicts an earlier one."""
        truth = row.known_truth()
        claims = truth | (
            {} if row.containment_type == "unknown" else {"containment_type": row.containment_type}
        )
        known = self.truth | {"containment_type": self.containment_type}
        for name, value in claims.items():
            if known.get(name, "unknown") not in ("unknown", value):
                raise ValueError(f"{name} {value!r}: an earlier row of the session says {known[name]!r}")
        if row.containment_type != "unknown":
            self.containment_type = row.containment_type
        self.truth.update(truth)
        # In many exports the column names the sender, so that bot messages carry the bot's id.
        if self.speaker is None and row.role == "user":
            self.speaker = row.user_id
        self.messages.append(row.message())

    def conversation(self) -> Conversation:
        """The whole session, in order of time if all of its messages have one."""
        times = [message.timestamp for message in self.messages]
        if None not in times:
            self.messages.sort(key=lambda message: message.timestamp or datetime.min)
        return replace(
            _conversation(self.about, self.messages),
            user_id=self.speaker or self.about.user_id or self.about.session_id,
            containment_type=self.containment_type,
            truth=self.truth,
        )


def _gathered_sessions(
    rows: Iterable[RawRow], columns: Columns, reject: Callable[[int, str], None]
) -> Iterator[Conversation]:
    sessions: dict[str, _Gathered] = {}
    for raw in rows:
        try:
            row = validated(TurnRow, _usable(raw, columns))
            sessions.setdefault(row.session_id, _Gathered(row)).take(row)
        except ValueError as error:
            reject(raw.line, str(error))
    for session in sessions.values():
        yield session.conversation()


def _usable(raw: RawRow, columns: Columns) -> dict[str, object]:
    """The row under our names with its truth gathered; ValueError if it could not be read."""
    if raw.problem is not None:
        raise ValueError(raw.problem)
    values = columns.renamed(raw.values)
    truth = {}
    for name, value in values.items():
        label_field = name.removeprefix(_TRUTH)
        if label_field and label_field != name and name not in _NOT_TRUTH:
            truth[_TRUTH_FIELDS.get(label_field, label_field)] = value
    values["truth"] = truth
    return values


def _conversation(row: SessionRow | TurnRow, messages: Sequence[Message]) -> Conversation:
    times = [message.timestamp for message in messages if message.timestamp is not None]
    return Conversation(
        session_id=row.session_id,
        user_id=row.user_id or row.session_id,
        messages=tuple(messages),
        containment_type=row.containment_type,
        start_time=row.start_time or min(times, default=None),
        end_time=row.end_time or max(times, default=None),
        truth=row.known_truth(),
    )
