"""Dialect: how an endpoint wants to be asked, as far as it is known; learnt from what it refuses."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from autoanalyze.errors import FatalEndpointError, TransientEndpointError
from autoanalyze.llm.refusals import Refusal

LOG = logging.getLogger(__name__)

OUTPUT_LIMITS = ("max_tokens", "max_completion_tokens")
"""What the output limit is called; a server that does not know one may know the other."""
NEEDED = frozenset({"model", "messages", "input", "response_format"})
"""What no request can do without, or what has looser forms of its own."""
DOUBTS = 2
"""So many times a form that never worked may break a server before a call tries a looser one."""


class DoubtfulFormError(TransientEndpointError):
    """The endpoint broke, perhaps over the form that was asked for."""


class AskOtherwiseError(FatalEndpointError):
    """The endpoint refused how it was asked, and there is another way: with the form of this number."""

    def __init__(self, message: str, form: int) -> None:
        super().__init__(message)
        self.form = form


class Dialect:
    """What one endpoint takes, for all calls of a run.

    `forms` are ways to ask for the form of a reply, the strictest first. What was learnt is said once, in the
    log and in `notices`.
    """

    def __init__(self) -> None:
        self.form = 0
        self.notices: list[str] = []
        self._left_out: set[str] = set()
        self._output = ""
        self._worked: set[int] = set()

    def worded(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """A request without what the endpoint refuses, its output limit under the name it knows."""
        body = dict(request)
        for name in OUTPUT_LIMITS:
            if self._output and name in body:
                body[self._output] = body.pop(name)
        return {name: value for name, value in body.items() if name not in self._left_out}

    def worked(self, form: int) -> None:
        """The endpoint took this form: it is the one to ask in, and no refusal is blamed on it any more."""
        if form > self.form:
            self.say(
                f"the endpoint does not take the strictest reply format; it is asked in looser form {form}"
            )
        self.form = max(self.form, form)
        self._worked.add(form)

    def refused(self, refusal: Refusal, sent: Mapping[str, Any], form: int, forms: int) -> bool:
        """Learn from a refusal; whether the form may be to blame although no word says so.

        Raises AskOtherwiseError if there is another way to ask.
        """
        looser = form + 1 < forms
        if looser and refusal.forbids_the_format:
            raise AskOtherwiseError(f"{refusal} (set model.reply_format=text)", form + 1)
        forbidden = refusal.forbidden({name: value for name, value in sent.items() if name not in NEEDED})
        for name in forbidden:
            if name in self.worded(sent):  # else another call of the moment learnt it first
                self._leave_out(name, refusal)
        if forbidden:
            raise AskOtherwiseError(str(refusal), form)
        doubtful = looser and form not in self._worked and refusal.says_nothing
        if doubtful and (refusal.status < 500 or refusal.status == 501):
            raise AskOtherwiseError(str(refusal), form + 1)
        return doubtful

    def _leave_out(self, name: str, refusal: Refusal) -> None:
        other = next((other for other in OUTPUT_LIMITS if name in OUTPUT_LIMITS and other != name), "")
        if other and not self._output:
            self._output = other
            self.say(f"the endpoint refuses {name}, it is sent {other} from now on ({refusal})")
        else:
            self._left_out.add(name)
            self.say(f"the endpoint refuses {name}, it is asked without it from now on ({refusal})")

    def say(self, notice: str) -> None:
        """Tell the user, once."""
        if notice not in self.notices:
            self.notices.append(notice)
            LOG.warning(notice)
