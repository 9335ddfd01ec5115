"""stub"""

from functools import lru_cache


@lru_cache(maxsize=None)
def paraphrases(concept: str, field: str, count: int = 6) -> tuple[str, ...]:
    t = " ".join(w.capitalize() for w in concept.replace("_", " ").split())
    return (t, f"{t} Inquiry", f"Check {t}", f"{t} Request", f"{t} Issue", f"{t} Question")[:count]
