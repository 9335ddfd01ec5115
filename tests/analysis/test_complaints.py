"""What Hydra cannot read or does not know is told in our words, with what to type instead."""

from __future__ import annotations

import pytest

from autoanalyze.analysis.configuration import compose
from autoanalyze.errors import ConfigurationError

TOLD = {
    "data.where=containment_type = 'agent'": '"data.where=\\"containment_type = \'agent\'\\""',
    "context=what's up": "put a value with signs in it in quotes",
    "seed==3": "\"seed='=3'\"",
    "parallel.streams=1,2": "add -m to run each of them",
    "schema.fields=[a": "[] must be opened and closed equally often",
    "schema.fields=[{name: x, description: why, really?}]": "description: 'why, in a word'",
    "foo": "settings are key=value",
    "parallel.streams=": "",
    "seed=1.5": "seed=1.5: must be a whole number",
    "discovery.percentage=ten": "(environment: DISCOVERY_TARGET_PERCENTAGE): must be a number",
    "vocabulary.withdraw_aliases=maybe": "must be true or false",
    "retry=3": "retry is a group of settings: give one of retry.attempts",
    "limits=tier9": "did you mean limits=tier5",
    "preset=desgin": "did you mean preset=design?",
}
HYDRAS = (
    "mismatched",
    "viable",
    "Ambiguous",
    "OverrideParse",
    "full_key",
    "object_type",
    "struct",
    "See http",
)


@pytest.mark.parametrize(("override", "message"), TOLD.items(), ids=list(TOLD))
def test_complaints_name_key_and_remedy(override: str, message: str) -> None:
    """In one line, without a word of Hydra's grammar."""
    with pytest.raises(ConfigurationError) as refused:
        compose([override])
    said = str(refused.value)
    assert message in said
    assert override.partition("=")[0].partition(".")[0] in said
    assert len(said.splitlines()) == 1
    assert not [word for word in HYDRAS if word in said]
