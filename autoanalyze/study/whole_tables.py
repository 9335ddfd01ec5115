"""Tables for notebooks that show every row and the whole of every text."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

import polars as pl

__all__ = ["WholeTable", "html_table"]

SHOWN_ROWS = 200


class WholeTable:
    """A frame that a notebook shows to be read and copied: texts are wrapped instead of cut off.

    `frame` is the Polars frame itself; beyond 200 rows only its beginning is shown.
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.frame)

    def __repr__(self) -> str:
        """The rows with the whole of their texts."""
        with pl.Config(tbl_rows=SHOWN_ROWS, tbl_cols=-1, fmt_str_lengths=200, tbl_hide_dataframe_shape=True):
            return str(self.frame)

    def _repr_html_(self) -> str:
        rows = (["" if cell is None else str(cell) for cell in row] for row in self.frame.iter_rows())
        shown = [row for row, _ in zip(rows, range(SHOWN_ROWS), strict=False)]
        rest = len(self.frame) - len(shown)
        more = f"<p>... and {rest:,} more rows: see <code>.frame</code></p>" if rest > 0 else ""
        return html_table(shown, self.frame.columns) + more


def html_table(rows: Iterable[Sequence[str]], headings: Sequence[str] = ()) -> str:
    """Rows of text as an HTML table; nothing in them can become markup."""

    def line(cells: Sequence[str], tag: str) -> str:
        style = "text-align:left;vertical-align:top;white-space:pre-wrap"
        return (
            "<tr>"
            + "".join(f"<{tag} style='{style}'>{html.escape(cell)}</{tag}>" for cell in cells)
            + "</tr>"
        )

    head = f"<thead>{line(headings, 'th')}</thead>" if headings else ""
    return f"<table>{head}<tbody>{''.join(line(row, 'td') for row in rows)}</tbody></table>"
