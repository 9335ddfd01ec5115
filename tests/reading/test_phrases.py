"""What in a text could be the name of a matter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.reading.phrases import clauses, people, phrases, title


def test_phrases_are_words_that_follow_each_other() -> None:
    """Within a clause, over stop words; nothing that has a digit, and no address of a person or a page."""
    found = list(phrases(clauses("Please change my postal address! Order 4711, mail a.b@c.org, www.d.org")))
    assert "change postal address" in found
    assert "postal address" in found
    assert not any("4711" in phrase or "@" in phrase or "org" in phrase for phrase in found)
    assert "address order" not in found


def test_denials_stay_in_their_place() -> None:
    """Without it, a phrase would say the opposite; at the beginning or the end it denies nothing."""
    found = list(phrases(clauses("the card isn't working")))
    assert "card not working" in found
    assert "card working" not in found
    assert not any(phrase.endswith("not") for phrase in found)


def test_people_are_not_matters() -> None:
    """Those who are introduced, and those who have a capital where others have none, but no word that is
    written small as well, and nothing on buttons."""
    texts = ["my name is alexis and I lost a card", "please help Noah with the refund", "Order Status"]
    texts += ["the order status is wrong", "a Refund is due", "refund for order"]
    found = people(texts, [clauses(text) for text in texts])
    assert found == {"alexis", "noah"}
    assert not any("alexis" in phrase for phrase in phrases(clauses(texts[0]), found))


def test_capitals_of_nouns_are_no_people() -> None:
    """In German, all nouns have one."""
    texts = ["ich habe meine Karte und das Passwort verloren"] * 5
    assert "karte" not in people(texts, [clauses(text) for text in texts])


@given(st.text(max_size=200))
def test_any_text_has_speakable_phrases_or_none(text: str) -> None:
    """At most three words without digits; each is its own title's small form."""
    for phrase in phrases(clauses(text)):
        assert 1 <= len(phrase.split()) <= 3
        assert not any(character.isdigit() for character in phrase if character.isdecimal())
        assert title(phrase)


@pytest.mark.parametrize("text", ["", "...", "12 34", "the of and"])
def test_nothing_to_say_is_nothing_said(text: str) -> None:
    """Signs, numbers and stop words name nothing."""
    assert not list(phrases(clauses(text)))
