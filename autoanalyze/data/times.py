"""Times in the forms that exports and spreadsheets write, as naive UTC."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from autoanalyze.data.values import missing

FORMS = (
    "2024-05-01T10:00:00Z, 2024-05-01 10:00:00 -0500, 05/13/2024 3:04 PM, 13.05.2024 15:04, "
    "May 13, 2024, 3:04 PM, 13 May 2024 15:04, or an epoch in seconds, milli-, micro- or nanoseconds"
)
_ZONE_AFTER_SPACE = re.compile(r"\s+(?:UTC|GMT|Z|(?:UTC|GMT)?([+-]\d\d:?\d\d))(?:\s*\(.*\))?$")
_NUMBER = re.compile(r"\d+(\.\d*)?")
_REMARK = re.compile(r"\s*\([^()]*\)$")
_ROUNDED = re.compile(r"[+-]?\d+(?:[.,]\d*)?[eE][+-]?\d+")
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_WRITTEN = re.compile(
    r"""(?:[a-z]{3,9},?\s+)??
    (?: (?P<first>\d{1,2}) (?P<mark>[/.-]) (?P<second>\d{1,2}) (?P=mark) (?P<year>\d{4}|\d\d)
      | (?P<month_word>[a-z]{3,9}) \.?\s+ (?P<day_after>\d{1,2}) (?:st|nd|rd|th)? ,?\s+ (?P<year_after>\d{4})
      | (?P<day_before>\d{1,2}) (?:st|nd|rd|th)? \.?[\s-]+ (?P<word>[a-z]{3,9})
        \.?,?[\s-]+ (?P<year_last>\d{4})
      | (?P<year_first>\d{4}) [/.-] (?P<month>\d{1,2}) [/.-] (?P<day>\d{1,2}) )
    (?: (?:,?\s+|t) (?:at\s+)? (?P<hour>\d{1,2}) : (?P<minute>\d\d)
        (?: : (?P<seconds>\d\d) (?:[.,](?P<part>\d{1,9}))? )?
        (?: \s* (?P<half>[ap])\.?m\.? )? )?
    (?: \s*(?:z|utc|gmt)?(?P<zone>[+-]\d\d:?\d\d)? )""",
    re.VERBOSE | re.IGNORECASE,
)
_EPOCH = datetime(1970, 1, 1)


class Dates:
    """Reads times of one table; `order` is what the user said of 05/06: day-first, month-first or null.

    Without that word, the dates of the first rows may tell: after 13/05/2024 days come first. Each
    separator is asked for itself, since one file may hold dates of two programs.
    """

    def __init__(self, order: str | None = None) -> None:
        self._said = order
        self.orders: dict[str, str | None] = {}

    def learn(self, value: object) -> None:
        """Look at a cell of the first rows, whatever it holds."""
        if isinstance(value, str) and 6 <= len(value) <= 40 and (found := _WRITTEN.fullmatch(value.strip())):
            if not found["first"]:
                return
            first, second, mark = int(found["first"]), int(found["second"]), found["mark"]
            if first > 12 or second > 12:
                order = "day-first" if first > 12 else "month-first"
                # Both orders in one column tell nothing.
                self.orders[mark] = order if self.orders.get(mark, order) == order else None

    def moment(self, value: object) -> datetime | None:
        """A time as naive UTC, null if it is missing; a time without a zone is in UTC.

        Raises ValueError, with the forms that are read, for anything that would be a guess.
        """
        if isinstance(value, dict) and len(value) == 1:
            value = next(iter(value.values()))
        if isinstance(value, str):
            return self._spoken(value.strip())
        if missing(value):
            return None
        if isinstance(value, datetime):
            return _naive(value)
        if isinstance(value, date):
            return datetime(value.year, value.month, value.day)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _of_epoch(value)
        raise ValueError(f"this is no time; times are read as {FORMS}")

    def _spoken(self, value: str) -> datetime | None:
        if len(value) > 15:
            try:  # most exports: ISO 8601
                return _naive(datetime.fromisoformat(value))
            except ValueError:
                pass
        if missing(value) or not value.strip("-"):
            return None
        # Digits alone are an epoch, but for 20240501 and 20240501100000.
        if _NUMBER.fullmatch(value) and len(value) == 14 and value[:2] in ("19", "20"):
            value = f"{value[:8]}T{value[8:]}"
        elif _NUMBER.fullmatch(value) and len(value) != 8:
            return _of_epoch(float(value) if "." in value else int(value))
        if _ROUNDED.fullmatch(value):
            raise ValueError(
                "a spreadsheet has rounded this time; export again, or leave it out with --map its_name="
            )
        try:
            return _naive(datetime.fromisoformat(_ZONE_AFTER_SPACE.sub(lambda zone: zone[1] or "Z", value)))
        except ValueError:
            return self._written(value)

    def _written(self, value: str) -> datetime:
        found = _WRITTEN.fullmatch(_REMARK.sub("", value))
        if found is None:
            raise ValueError(f"this time cannot be read; times are read as {FORMS}")
        parts = found.groupdict()
        year, month, day = self._day(parts)
        hour = int(parts["hour"] or 0)
        if parts["half"]:
            if not 1 <= hour <= 12:
                raise ValueError("this hour does not exist")
            hour = hour % 12 + (12 if parts["half"].lower() == "p" else 0)
        micros = int((parts["part"] or "").ljust(6, "0")[:6])
        moment = datetime(
            year, month, day, hour, int(parts["minute"] or 0), int(parts["seconds"] or 0), micros
        )
        return _naive(datetime.fromisoformat(moment.isoformat() + parts["zone"]) if parts["zone"] else moment)

    def _day(self, parts: dict[str, str]) -> tuple[int, int, int]:
        if word := parts["month_word"] or parts["word"]:
            if word[:3].lower() not in _MONTHS:
                raise ValueError(f"this month is unknown; times are read as {FORMS}")
            month = _MONTHS.index(word[:3].lower()) + 1
            return (
                int(parts["year_after"] or parts["year_last"]),
                month,
                int(parts["day_after"] or parts["day_before"]),
            )
        if parts["year_first"]:
            return int(parts["year_first"]), int(parts["month"]), int(parts["day"])
        first, second, year = int(parts["first"]), int(parts["second"]), int(parts["year"])
        year += 2000 if len(parts["year"]) == 2 else 0
        order = self._said or self.orders.get(parts["mark"])
        if order is None:
            if first <= 12 and second <= 12 and first != second:
                raise ValueError(
                    "day and month cannot be told apart; say which comes first with --dates day-first "
                    "or --dates month-first"
                )
            order = "day-first" if first > 12 else "month-first"
        month, day = (second, first) if order == "day-first" else (first, second)
        if month > 12:
            raise ValueError(f"this is no date when read {order}, as --dates or the file's first dates say")
        return year, month, day


def _naive(value: datetime) -> datetime:
    if value.tzinfo is None:
        return value
    if value.tzinfo is UTC:
        return value.replace(tzinfo=None)
    try:
        return value.astimezone(UTC).replace(tzinfo=None)
    except OverflowError as error:
        raise ValueError("this time is out of range") from error


def _of_epoch(value: float) -> datetime:
    """Seconds, milli-, micro- or nanoseconds from 1973 to 2099: each lies in ranges of its own."""
    for unit in (1_000_000, 1_000, 1, 0.001):
        if 1e8 <= value * unit / 1_000_000 < 4.1e9:
            micros = round(value * unit) if unit >= 1 else int(value) // 1_000
            return _EPOCH + timedelta(microseconds=micros)
    raise ValueError(f"this number is no time between 1973 and 2099; times are read as {FORMS}")
