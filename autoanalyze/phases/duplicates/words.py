"""The words of labels, and the stem that all inflections of a word share."""

from __future__ import annotations

import re
from functools import cache


def listed(words: str) -> list[str]:
    """The words of a text, for long lists that are easier to read without quotes."""
    return words.split()


def words_of(label: str) -> list[str]:
    """The words of a label in small letters and the singular, in order."""
    return [singular(word) for word in re.findall(r"\w+", plain(label))]


def plain(label: str) -> str:
    """A label in small letters, with words apart that were written together, and without apostrophes."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label)
    return re.sub("['\N{RIGHT SINGLE QUOTATION MARK}]", "", apart.replace("_", " ")).casefold()


def singular(word: str) -> str:
    """An English noun in the singular, by the regular rules; what ends otherwise stays as it is."""
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if word.endswith(("ches", "shes", "xes", "sses", "zzes")):
        return word[:-2]
    return word[:-1]


IRREGULAR = {
    form: base
    for base, forms in {
        "arrive": "arrival",
        "begin": "began begun",
        "break": "broke broken",
        "buy": "bought",
        "close": "closure",
        "depart": "departure",
        "early": "earlier earliest",
        "fail": "failure unsuccessful unsuccessfully",
        "find": "found",
        "late": "later latest",
        "less": "fewer",
        "lose": "lost loss",
        "pay": "paid payment",
        "register": "registration",
        "sell": "sold sale",
        "send": "sent",
        "subscribe": "subscription",
        "success": "succeed succeeded successful successfully",
        "use": "used using",
        "withdraw": "withdrew withdrawn",
    }.items()
    for form in forms.split()
}
"""Forms that no rule leads to the others, and the word that they are forms of."""

ENDINGS = {
    **{"ification": "ify", "ied": "y", "ization": "iz", "isation": "is"},
    **dict.fromkeys(listed("ation ating ated ate ion ing ed ment ance ence al e"), ""),
}
"""What inflections and nouns made of verbs end with, and what the verb has there; the first that fits."""

LEFT_AT_LEAST = 3
"""Letters that an ending leaves: nothing is taken from "sing"."""

NO_ENDING = frozenset({"apartment", "comment", "department", "document", "moment", "portal"})


@cache
def stem(word: str) -> str:
    """What the forms of a word share: "opening", "opened" and "open", "activation", "activated" and "active".

    It need not be a word, and unrelated words may share one now and then.
    """
    word = IRREGULAR.get(word, word)
    for ending, instead in ENDINGS.items():
        left = word.removesuffix(ending)
        if left != word and len(left) >= LEFT_AT_LEAST and word not in NO_ENDING:
            word = left + instead
            break
    word = re.sub(r"([bdgklmnprt])\1$", r"\1", word)
    if word.endswith("y"):
        return f"{word[:-1]}i"
    return f"{word[:-2]}iz" if word.endswith("is") and len(word) > 5 else word
