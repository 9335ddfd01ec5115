"""stub"""

from autoanalyze.records import Conversation


def generate(count: int, *, seed: int) -> list[Conversation]:
    raise NotImplementedError
