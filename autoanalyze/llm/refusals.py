"""What a refusal means, in whatever dialect an endpoint words it.

Servers, gateways and proxies tell the same few things with any status, under any key and in their own words,
also inside an answer of status 200. What they mean is read off status, codes and words together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from autoanalyze.errors import (
    AutoAnalyzeError,
    FatalEndpointError,
    QuotaExceededError,
    RequestRefusedError,
    RequestTooLongError,
    TransientEndpointError,
)

LONGEST_WORDS = 400
"""Characters of a server's own words that go into errors and the journal."""

READ_AT_MOST = 4_000
DEEPEST = 8
ECHOES = frozenset({"input", "input_value", "ctx", "body", "prompt", "messages", "request"})
"""Keys under which a server repeats what it was sent: a transcript's words are not the server's."""
CODES = frozenset({"code", "type", "status", "param", "loc", "object", "error_code", "@type", "domain"})
"""Keys whose texts are codes; all other texts are words for people."""

CREDIT = re.compile(
    r"insufficient (user |account |api )?(quota|credits?|balance|funds)|exceeded (your|the) (current )?quota"
    r"|(not enough|no|out of|used (up )?all|all) (more |remaining |available |prepaid )?"
    r"(credits?|balance|funds)\b|(credits?|balance|funds)\b.{0,40}\b(too low|not enough|exhausted|used up"
    r"|depleted|insufficient|exceeded|r[au]n out|empty|negative|overdue|gone)"
    r"|payment required|arrears|arrearage|billing not active|billing hard limit|check your billing"
    r"|spend(ing)? limit|budget.{0,20}exceeded|requires more credits"
)
LONG = re.compile(
    r"context (length|size|window)|maximum context|max(imum)? (model|sequence|input|prompt) (len|size|tok)"
    r"|too many (input |prompt |total )?tokens|(entity|payload|request|body) too large"
    r"|string above max length|reduce (the|your) (length|input|prompt)"
    r"|\b(prompt|input|request|messages?|conversation|text|sequence)\b[^.]{0,40} too (long|large|big)"
    r"|too (long|large|big).{0,30}\b(prompt|input|context|model)\b"
    r"|(exceed|longer than|larger than|greater than|over).{0,80}\b(context|n ctx|token limit|input limit"
    r"|max(imum)? ?(allowed |number of |input )*(tokens?|length))|tokens?\b.{0,60}\bexceed|\bn ctx\b"
)
TOO_LARGE_FOR_A_MINUTE = re.compile(r"request too large|context (length|size|window)")
FILTER = re.compile(
    r"content (policy|filter|management|moderation|safety)|responsible ai|moderation|jailbreak|\bflagged\b"
    r"|prohibited content|data inspection|inappropriate|safety (system|setting|filter|reason|polic|check)"
    r"|\b(prompt|input|request|content|messages?|response)\b.{0,30} (filtered|blocked|censored)|guardrail"
    r"|blocked by .{0,30}(filter|safety)|sensitive (content|words?|information)|usage polic|harmful|unsafe"
)
FORMAT = re.compile(
    r"response format|json schema|json object|json mode|grammar|schema|structured output|guided|gbnf"
    r"|min items|max items|max length|additional properties|xgrammar|outlines|llguidance|constrained decod"
)
COMPLAINT = re.compile(
    r"support|unknown|unrecogni|permitted|allowed|forbidden|extra|unexpected|invalid|only|deprecated"
    r"|compatible|removed|accept|must|cannot|can't|refuse|no such|instead|not available|too large|illegal"
)
BUSY = re.compile(
    r"rate limit|overload|too many requests|\bbusy\b|temporar|try again|unavailable|time ?d? ?out|capacity"
    r"|throttl|resource exhausted|upstream"
)
NO_KEY = re.compile(r"(invalid|incorrect|missing|no) (x )?api key|unauthori[sz]ed|authentication")
NOT_THERE = re.compile(r"not implemented|(not|n t) support|unsupported|not enabled|start .{0,20}with ")

RETRYABLE_STATUS = frozenset({408, 409, 425, 429})


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a server said instead of an answer: status, its own words in one line, and what it names."""

    status: int
    """The HTTP status, or the code of an error inside a 200; 0 where there is none."""
    words: str
    read: str
    """All its texts in one spelling, for the patterns above."""
    named: frozenset[str] = frozenset()
    """Parameters that it points at with a key of its own."""
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Status and words, as they stand in errors and in the journal."""
        return f"{self.status or 'error'}: {self.words}"

    @property
    def forbids_the_format(self) -> bool:
        """Whether it is the form of the reply that the server does not take."""
        named = any(name.startswith("response_format") for name in self.named)
        return named or (self.status not in (401, 402, 403, 408, 429) and bool(FORMAT.search(self.read)))

    def forbidden(self, sent: Mapping[str, Any]) -> list[str]:
        """The parameters among those sent that the server does not take."""
        if self.status in (401, 402, 403, 408, 429) or not COMPLAINT.search(self.read):
            return []
        named = [name for name in sent if name in self.named]
        mentioned = {name: re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", self.words) for name in sent}
        found = {name: match.start() for name, match in mentioned.items() if match}
        return named or sorted(found, key=lambda name: found[name])[:1]

    @property
    def says_nothing(self) -> bool:
        """Whether nothing is known but that the server did not take the request, or broke over it."""
        return self.status in (400, 405, 415, 422, 500, 501) and meaning(self) in ("other", "busy", "absent")


def refusal_of(status: int, body: object, headers: Mapping[str, str]) -> Refusal:
    """A refusal as it is read off a body of any shape. An error inside a 200 may tell its own status."""
    told = list(texts(body))
    words = [text for key, text in told if key not in CODES] or [text for _, text in told]
    line = " ".join("; ".join(dict.fromkeys(words)).split())[:LONGEST_WORDS] or "no words at all"
    codes = [text for key, text in told if key in ("code", "status", "error_code")]
    inner = next((int(code) for code in codes if re.fullmatch(r"[45]\d\d", code)), 0)
    named = frozenset(text for key, text in told if key in ("param", "loc"))
    everything = " ".join(text for _, text in told)[:READ_AT_MOST]
    return Refusal(inner if status < 400 else status, line, spelled(everything), named, headers)


def texts(value: object, key: str = "message", depth: int = 0) -> Iterator[tuple[str, str]]:
    """All texts and numbers of a body with their keys, but not what it repeats of the request."""
    if isinstance(value, Mapping) and depth < DEEPEST:
        for name, part in value.items():
            if str(name).lower() not in ECHOES:
                yield from texts(part, str(name).lower(), depth + 1)
    elif isinstance(value, list) and depth < DEEPEST:
        for part in value[:50]:
            yield from texts(part, key, depth + 1)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        # A page is told by what it shows; and pydantic repeats the input inside its words.
        bare = re.sub(r"<(style|script).*?</\1>|<[^>]{0,300}>|input_value=.*", " ", str(value)[:READ_AT_MOST])
        if bare.strip():
            yield key, bare.strip()


def spelled(text: str) -> str:
    """A text in lower case with words apart: `ContentPolicyViolation` and `content_policy` look alike."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[_\-\s'\"`]+", " ", text)
    return " ".join(apart.split()).lower()


def meaning(refusal: Refusal) -> str:
    """One of `credit`, `long`, `filtered`, `busy`, `key`, `absent`, `other`."""
    status, read = refusal.status, refusal.read
    rate = status == 429 and re.search(r"rate limit|per (minute|min|day|second)|resource exhausted", read)
    if status == 402 or (CREDIT.search(read) and (not rate or "insufficient quota" in read)):
        return "credit"
    if status == 413 or (TOO_LARGE_FOR_A_MINUTE if status in (429, 503) else LONG).search(read):
        return "long"
    if status not in (401, 429) and FILTER.search(read):
        return "filtered"
    if status == 501 or (status >= 500 and NOT_THERE.search(read)):
        return "absent"
    if status in RETRYABLE_STATUS or status >= 500:
        return "busy"
    if status in (401, 403) or (not status and NO_KEY.search(read)):
        return "key"
    if status == 404:
        return "absent"
    # An error inside a 200 that says nothing known is taken for a passing one.
    return "busy" if not status or BUSY.search(read) else "other"


def translated(refusal: Refusal, endpoint: str, model: str) -> AutoAnalyzeError:
    """The error as the phases know it, with the server's own words and a remedy."""
    summary = f"{endpoint}: {refusal}"
    match meaning(refusal):
        case "credit":
            return QuotaExceededError(
                f"{summary} (the account has no credit left; add some, then resume the run)"
            )
        case "long":
            return RequestTooLongError(summary)
        case "filtered":
            return RequestRefusedError(summary)
        case "busy":
            return TransientEndpointError(summary, retry_after(refusal.headers))
        case "key":
            return FatalEndpointError(f"{summary} (check OPENAI_API_KEY)")
        case "absent":
            return FatalEndpointError(f"{summary} (does the endpoint serve the model {model}?)")
    return FatalEndpointError(f"{summary} (what is sent: model.* and request.*, each can be left out)")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the endpoint asks to wait: Retry-After-ms, or Retry-After in seconds."""
    for name, divisor in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        text = headers.get(name, "")
        if re.fullmatch(r"\d{1,9}(\.\d+)?", text.strip()):
            return float(text) / divisor
    return None
