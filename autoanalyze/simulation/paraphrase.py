"""The names that a language model might coin for a concept, whatever the concept is called.

Two concepts never share a name as long as they differ in words that the table below does not
hold as generic: a paraphrase keeps every word of the concept or replaces it by a word that
stands for no other.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

MOST = 6

#: Each word's stand-in stands for no other word, so that names of different concepts stay different.
SYNONYMS = {
    "account": "Profile",
    "address": "Location",
    "appeal": "Objection",
    "baggage": "Luggage",
    "balance": "Remaining Funds",
    "bill": "Invoice",
    "book": "Reserve",
    "cancel": "Call Off",
    "cancellation": "Termination",
    "card": "Plastic",
    "change": "Modification",
    "charge": "Debit",
    "check": "Lookup",
    "claim": "Reimbursement Case",
    "complaint": "Grievance",
    "complex": "Complicated",
    "coverage": "Insurance Scope",
    "declined": "Refused",
    "denial": "Rejection",
    "directions": "Navigation",
    "doctor": "Physician",
    "documents": "Papers",
    "document": "Paper",
    "duplicate": "Double",
    "error": "Fault",
    "extension": "Deferral",
    "failed": "Unsuccessful",
    "flight": "Air Travel",
    "fraud": "Scam",
    "hotel": "Lodging",
    "internet": "Broadband",
    "invalid": "Wrong",
    "item": "Article",
    "loan": "Credit",
    "locked": "Blocked Off",
    "meeting": "Appointment",
    "member": "Subscriber",
    "missing": "Absent",
    "money": "Funds",
    "order": "Purchase",
    "outage": "Downtime",
    "party": "Celebration",
    "passenger": "Traveller",
    "payment": "Settlement",
    "plan": "Package",
    "power": "Electricity",
    "refund": "Money Back",
    "replacement": "Reissue",
    "restaurant": "Dining",
    "return": "Send Back",
    "schedule": "Arrange",
    "search": "Finder",
    "seat": "Place on Board",
    "selection": "Choice",
    "service": "Supply",
    "spam": "Junk",
    "status": "Progress",
    "suspected": "Presumed",
    "system": "Platform",
    "timeout": "Time Limit Hit",
    "transfer": "Remittance",
    "trip": "Journey",
    "trivia": "Quiz",
    "verification": "Proofing",
    "weather": "Forecast",
}

#: What a model adds to a name without saying more, by field: an ending, another, and a beginning.
GENERIC = {
    "general_intent": ("Inquiry", "Question", "Help With"),
    "transfer_reason": ("Problem", "Situation", "Trouble With"),
    "drop_off_location": ("Step", "Stage", "During"),
}
GENERIC_ELSEWHERE = ("Matter", "Topic", "About")


@cache
def paraphrases(concept: str, field: str, count: int = MOST) -> tuple[str, ...]:
    """`count` different names for a concept (1 to 6), the most natural first.

    `concept` may be written as people do ("Claim Status") or as data sets do
    ("bank_fraud_report"). The same arguments always give the same names.
    """
    if not 1 <= count <= MOST:
        raise ValueError(f"count is {count}: a concept has 1 to {MOST} names")
    words = [word[:1].upper() + word[1:] for word in re.split(r"[\s_]+", concept.strip()) if word]
    plain = " ".join(words)
    ending, other_ending, beginning = GENERIC.get(field, GENERIC_ELSEWHERE)
    names = [plain, *replaced(words), f"{plain} {ending}", turned(words), f"{beginning} {plain}"]
    names += [f"{plain} {other_ending}", f"{turned(words)} {ending}", f"{beginning} {turned(words)}"]
    distinct = {name.lower(): name for name in reversed(names)}
    return tuple(distinct[key] for key in dict.fromkeys(name.lower() for name in names))[:count]


def replaced(words: list[str]) -> list[str]:
    """Names with one known word replaced by its stand-in: the last such word first, at most two names."""
    names = []
    for position in reversed(range(len(words))):
        synonym = SYNONYMS.get(words[position].lower())
        if synonym is not None:
            names.append(" ".join([*words[:position], synonym, *words[position + 1 :]]))
    return names[:2]


def turned(words: list[str]) -> str:
    """The last word before the others: "Status of Claim"; a single word stands alone with an article."""
    if len(words) == 1:
        return f"The {words[0]}"
    return f"{words[-1]} of {' '.join(words[:-1])}"


@cache
def thesaurus() -> dict[str, Any]:
    """The content of thesaurus.yaml, read once."""
    path = Path(__file__).resolve().with_name("thesaurus.yaml")
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


@cache
def matter_of() -> dict[str, str]:
    """The matter that each known word belongs to. Says nothing of whether two words mean the same.

    A matter that has a word of an earlier one counts as the same: "travel document" brings passports near
    to flights.
    """
    matters = [[term for meaning in matter for term in meaning] for matter in groups()]
    # What the synthetic sessions' paraphrases put for each other belongs together too.
    matters += [[word, stand_in] for word, stand_in in SYNONYMS.items()]
    found: dict[str, str] = {}
    for terms in matters:
        words = [word for term in terms for word in re.findall(r"[a-z]+", term.lower())]
        name = next((found[word] for word in words if word in found), words[0])
        for word in words:
            found.setdefault(word, name)
    return found


def groups() -> list[list[list[str]]]:
    """All matters of the thesaurus as lists of meanings, each a list of words."""
    content = thesaurus()
    return [*content["objects"], *content["matters"], *content["contraries"].values()]
