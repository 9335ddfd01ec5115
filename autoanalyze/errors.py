"""Every error that autoanalyze raises on purpose, as one tree.

AutoAnalyzeError
├── InputError            the user's data or command cannot be used as it is      (exit code 2)
│   ├── ConfigurationError    a setting is missing, misspelt or out of range
│   │   └── UnreachableEndpointError  nobody answers at the address, before a run began
│   ├── ImportDataError       a file of sessions cannot be read
│   └── RunFolderError        a run folder is missing, foreign or cannot be written
├── EndpointError         the endpoint did not answer a request
│   ├── TransientEndpointError    worth another try: busy, slow, unreachable
│   ├── RequestTooLongError       the request does not fit into the model's context
│   ├── RequestRefusedError       a content filter refused what the request says
│   └── FatalEndpointError        no retry can help: bad key, unknown model
├── NothingLabelledError  a run ended, and not one of its sessions has a label
├── ReplyError            the endpoint answered something that is not a reply
├── JournalError          a journal is damaged, or lacks a call that a replay needs
├── SweepError            points of a sweep failed; the others are done
└── StoppedRunError       the run stopped with what it has; it can go on later    (exit code 3)
    ├── CancelledRunError         a person asked for it
    ├── BudgetExceededError       the next call does not fit into the budget
    ├── QuotaExceededError        the account at the provider has no credit left
    ├── NoVerdictError            no judge could decide on some labels of a field
    └── EndpointGoneError         nothing came back any more, after all retries

Messages say what to do about it. Classes also inherit the standard type that
callers would expect to catch.
"""

from __future__ import annotations


class AutoAnalyzeError(Exception):
    """Root of the tree; `exit_code` is what the command line ends with."""

    exit_code = 1


class InputError(AutoAnalyzeError, ValueError):
    """The data or the command that the user gave cannot be used as it is."""

    exit_code = 2


class ConfigurationError(InputError):
    """A setting is missing, misspelt or out of range; the message names the key."""


class UnreachableEndpointError(ConfigurationError):
    """Nobody answers at the address of the endpoint; said before a run begins."""


class ImportDataError(InputError):
    """A file of sessions cannot be read, or has the wrong columns."""


class RunFolderError(InputError):
    """A run folder is missing, is not one of ours, or cannot be written."""


class EndpointError(AutoAnalyzeError):
    """The endpoint did not answer a request."""


class TransientEndpointError(EndpointError, ConnectionError):
    """The endpoint was busy, slow or unreachable; the same request may succeed later.

    `retry_after` is how many seconds the endpoint asked to wait, if it did.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RequestTooLongError(EndpointError):
    """The request does not fit into the model's context; a smaller one may."""


class RequestRefusedError(EndpointError):
    """A content filter refused the request; without the session that it minds, it may pass."""


class FatalEndpointError(EndpointError):
    """The endpoint refused for a reason that no retry can mend."""


class ReplyError(AutoAnalyzeError, ValueError):
    """The endpoint's answer is not the JSON that was asked for."""


class NothingLabelledError(AutoAnalyzeError):
    """A run ended without a label for any of its sessions; the message has the most frequent reasons."""


class JournalError(AutoAnalyzeError):
    """A journal is damaged, or lacks a call that a strict replay needs."""


class SweepError(AutoAnalyzeError):
    """Points of a sweep failed. The others are done, and kept when the sweep is started again."""


class StoppedRunError(AutoAnalyzeError):
    """The run stopped with what it has. Everything answered is in its journal; resume goes on from there."""

    exit_code = 3

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of a traceback: where in our code a run stopped helps nobody."""
        return [f"{type(self).__name__}: {self}"]


class CancelledRunError(StoppedRunError):
    """A person asked the run to stop."""


class BudgetExceededError(StoppedRunError):
    """The next call might cost more than the budget has left."""


class QuotaExceededError(StoppedRunError):
    """The account at the provider has no credit left."""


class NoVerdictError(StoppedRunError):
    """Some labels of a field are as they were first given, since no answer of the judge could be used."""


class EndpointGoneError(StoppedRunError):
    """Nothing came back from the endpoint any more, after all retries and with a single stream."""
