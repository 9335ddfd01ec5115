"""Every error that autoanalyze raises on purpose, as one tree.

AutoAnalyzeError
├── InputError            the user's data or command cannot be used as it is      (exit code 2)
│   ├── ConfigurationError    a setting is missing, misspelt or out of range
│   ├── ImportDataError       a file of sessions cannot be read
│   └── RunFolderError        a run folder is missing, foreign or cannot be written
├── EndpointError         the endpoint did not answer a request
│   ├── TransientEndpointError    worth another try: busy, slow, unreachable
│   └── FatalEndpointError        no retry can help: bad key, unknown model, no quota
├── ReplyError            the endpoint answered something that is not a reply
└── CancelledRunError     a person stopped the run; it can go on later            (exit code 3)

Messages say what to do about it. Classes also inherit the standard type that
callers would expect to catch.
"""

from __future__ import annotations

__all__ = [
    "AutoAnalyzeError",
    "CancelledRunError",
    "ConfigurationError",
    "EndpointError",
    "FatalEndpointError",
    "ImportDataError",
    "InputError",
    "ReplyError",
    "RunFolderError",
    "TransientEndpointError",
]


class AutoAnalyzeError(Exception):
    """Root of the tree; `exit_code` is what the command line ends with."""

    exit_code = 1


class InputError(AutoAnalyzeError, ValueError):
    """The data or the command that the user gave cannot be used as it is."""

    exit_code = 2


class ConfigurationError(InputError):
    """A setting is missing, misspelt or out of range; the message names the key."""


class ImportDataError(InputError):
    """A file of sessions cannot be read, or has the wrong columns."""


class RunFolderError(InputError):
    """A run folder is missing, is not one of ours, or cannot be written."""


class EndpointError(AutoAnalyzeError):
    """The endpoint did not answer a request."""


class TransientEndpointError(EndpointError, ConnectionError):
    """The endpoint was busy, slow or unreachable; the same request may succeed later."""


class FatalEndpointError(EndpointError):
    """The endpoint refused for a reason that no retry can mend."""


class ReplyError(AutoAnalyzeError, ValueError):
    """The endpoint's answer is not the JSON that was asked for."""


class CancelledRunError(AutoAnalyzeError):
    """The run was cancelled; what it had answered so far is in its journal."""

    exit_code = 3
