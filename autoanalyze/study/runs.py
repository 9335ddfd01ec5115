"""Reading a finished run folder."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from autoanalyze.errors import RunFolderError
from autoanalyze.study.answer import answer
from autoanalyze.study.intervals import Estimate, shown
from autoanalyze.study.summary import LABEL_HEADINGS, caveat_lines, glance, label_notes, label_rows

if TYPE_CHECKING:
    import pandas as pd

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


TABLES = ("sessions", "labels", "merges", "rounds")
FILES = (*(f"{name}.parquet" for name in TABLES), "calls.jsonl")
DETECTION_FILES = ("labels.parquet", "merges.parquet", "calls.jsonl")
"""What a run on a planted label set leaves: it has no sessions."""
STOPPED = ("cancelled", "stopped", "failed")
"""How a run can end before its end."""
CALL_COLUMNS = {
    "call": pl.Int64,
    "kind": pl.String,
    "phase": pl.String,
    "round": pl.Int64,
    "stream": pl.Int64,
    "attempt": pl.Int64,
    "start": pl.Float64,
    "end": pl.Float64,
    "finish_reason": pl.String,
}
COUNTED_COLUMNS = dict.fromkeys(("prompt", "cached", "completion", "embedded", "sessions"), pl.Int64)
CALL_SCHEMA: dict[str, Any] = {
    **CALL_COLUMNS,
    **COUNTED_COLUMNS,
    "model": pl.String,
    "cost_usd": pl.Float64,
    "reused": pl.Boolean,
}
"""The columns of a run's calls. `cost_usd` is what this run paid: nothing for a reused answer."""
EDITS_SCHEMA: dict[str, Any] = {
    "edit": pl.Int64,
    "by": pl.String,
    "kind": pl.String,
    "field": pl.String,
    "subject": pl.String,
    "target": pl.String,
    "before": pl.String,
    "after": pl.String,
    "merge": pl.Int64,
}
"""The columns of edits.parquet: a row per change that a person made after the run; see `analysis.edits`."""


CODEBOOK_SCHEMA: dict[str, Any] = dict.fromkeys(
    ("field", "label", "place", "under", "line", "theme"), pl.String
)
"""The columns of codebook.parquet, a row per name that was not merged: its place is `stays`, `narrower` (and
so linked to the one it is `under`) or `unfit` (on no level; null without a codebook), with what belongs
there, and the theme above it if it is a final label."""


class Run:
    """One finished run. `record` is its run.json; the frames are read when they are first used."""

    def __init__(self, path: Path, record: dict[str, Any]) -> None:
        self.path = path
        self.record = record

    @property
    def caveats(self) -> Mapping[str, str]:
        """What must be said wherever a figure of this run stands: a word, and a sentence that explains it."""
        found = {}
        if self.record["endpoint"].startswith("simulated"):
            found["simulated"] = "a simulated model gave these labels from truth that was planted or known"
        if self.record["endpoint"].startswith("offline"):
            found["draft"] = "topics by words, no model: the reader named these sessions from their own words"
        if self.record["status"] != "done":
            found["partial"] = f"the run ended as {self.record['status']}, before all sessions had their turn"
        return found

    @cached_property
    def sessions(self) -> pl.DataFrame:
        """A row per sampled session: final and first labels, status, phase, stream."""
        return self._table("sessions")

    @cached_property
    def labels(self) -> pl.DataFrame:
        """The vocabulary: a row per label with its arrival, canonical label and sessions."""
        return self._table("labels")

    @cached_property
    def merges(self) -> pl.DataFrame:
        """The ledger: a row per pair of labels that was decided on; `merged` tells those that became one."""
        return self._table("merges")

    @cached_property
    def edits(self) -> pl.DataFrame:
        """A row per change that a person made after the run and that stands."""
        edited = (self.path / "edits.parquet").exists()
        return self._table("edits") if edited else pl.DataFrame(schema=EDITS_SCHEMA)

    @property
    def reviewed(self) -> bool:
        """Whether a person changed labels after the run."""
        return len(self.edits) > 0 or self.merges["review"].null_count() < len(self.merges)

    @cached_property
    def probes(self) -> pl.DataFrame | None:
        """A row per session that was labelled twice: the second answer; null where none was."""
        return self._table("probes") if (self.path / "probes.parquet").exists() else None

    @cached_property
    def unaided(self) -> pl.DataFrame | None:
        """A row per session that was labelled without known labels; null where none was."""
        return self._table("unaided") if (self.path / "unaided.parquet").exists() else None

    @cached_property
    def codebook(self) -> pl.DataFrame:
        """What a codebook says of names, with their themes; empty where the run wrote none."""
        there = (self.path / "codebook.parquet").exists()
        return self._table("codebook") if there else pl.DataFrame(schema=CODEBOOK_SCHEMA)

    @cached_property
    def rounds(self) -> pl.DataFrame:
        """A row per round; times in seconds on the run's clock."""
        return self._table("rounds")

    @cached_property
    def truth(self) -> pl.DataFrame | None:
        """Known concepts per session and field; null where nothing is known."""
        return self._table("truth") if (self.path / "truth.parquet").exists() else None

    @cached_property
    def calls(self) -> pl.DataFrame:
        """A row per answered call, from the journal; times in seconds on the run's clock."""
        return pl.DataFrame(answered_calls(self.path), schema=CALL_SCHEMA)

    def merge_table(self, *, everything: bool = False) -> WholeTable:
        """Which labels became one, who decided and why: a row per merge, to be read and copied.

        `everything` also lists the pairs that were looked at and kept apart. Columns: merge (its number,
        as `autoanalyze merges --undo` takes it), field, sessions (that carry the alias), alias, verdict,
        merged, canonical, similarity (cosine, 0 to 1), decided by, why. `.frame` is the Polars frame.
        """
        merges = self.merges if everything else self.merges.filter("merged")
        return WholeTable(merges.select(*MERGE_COLUMNS, decided_by(), why()))

    def pandas(self, table: str) -> pd.DataFrame:
        """One of the tables (sessions, labels, merges, rounds, truth, calls) as a pandas frame."""
        frame = getattr(self, table)
        return (pl.DataFrame() if frame is None else frame).to_pandas()

    def __repr__(self) -> str:
        """The run by its folder."""
        return f"Run({str(self.path)!r})"

    def _table(self, name: str) -> pl.DataFrame:
        # Brackets and stars in a path are part of it.
        return pl.read_parquet(self.path / f"{name}.parquet", glob=False)

    def _repr_html_(self) -> str:
        parts = [html_table([(line,) for line in caveat_lines(self.caveats)])] if self.caveats else []
        if "schema" in self.record.get("config", {}):  # the answer first, then what it took
            found = answer(self)
            for field in found.fields:
                parts.append(html_table(label_rows(field), (told(field.name), *LABEL_HEADINGS)))
                parts.append(f"<p>{html.escape(label_notes(field))}</p>")
            parts.append(html_table(glance(found).items()))
        scores = list(field_rows(self.record))
        parts.append(html_table(scores, (told("scores", self.caveats), *SCORE_HEADINGS)) if scores else "")
        return "".join([*parts, html_table(self._totals().items())])

    def _totals(self) -> dict[str, str]:
        """What the run took, and where it lies."""
        record, page = self.record, self.path / "report.html"
        if record.get("kind") == "detection":
            return {"model": record["model"], "run folder": str(self.path)}
        sessions, tokens = record["sessions"], record["tokens"]
        speedup = record.get("speedup")
        return {
            "model": f"{record['model']} ({record['endpoint']})",
            "sessions labelled / unresolved": f"{sessions['labelled']:,} / {sessions['unresolved']:,}",
            "model time": f"{record['model_seconds']:,.1f} s",
            **({} if speedup is None else {"speedup": f"{speedup:.2f}x"}),
            "calls": f"{record['calls']:,}",
            "tokens prompt / completion": f"{tokens['prompt']:,} / {tokens['completion']:,}",
            "cost": f"{record['cost_usd']:.4f} USD",
            "run folder": str(self.path),
            **({"report": str(page)} if page.exists() else {}),
        }


def caveats_of(runs: Sequence[Run]) -> list[str]:
    """What must be known of the figures of some runs, with how many of them it is true of."""
    reasons: dict[tuple[str, str], int] = {}
    for run in runs:
        for caveat in run.caveats.items():
            reasons[caveat] = reasons.get(caveat, 0) + 1
    return [f"{word} ({n:,} of {len(runs):,}): {why}" for (word, why), n in reasons.items()]


def told(name: str, caveats: Iterable[str] = ()) -> str:
    """A heading as a person reads it, with the caveats of the figures below it."""
    return name.replace("_", " ") + "".join(f" ({word})" for word in caveats)


SCORE_HEADINGS = ("labels first > final", "planted", "consistency [95 %]", "precision [95 %]", "macro")
MERGE_COLUMNS = ("merge", "field", "sessions", "alias", "verdict", "merged", "canonical", "similarity")


def field_rows(record: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """A row per label field whose truth is known: its labels as first given and after merging, its scores."""
    for field, measures in record.get("metrics", {}).items():
        counts = record["labels"][field]
        labels = f"{counts['first_given']:,} > {counts['final']:,}"
        planted = f"{measures['concept_count']['value']:,.0f}"
        scores = (
            shown(Estimate(**measures[name])) for name in ("consistency", "precision", "precision_macro")
        )
        yield field, labels, planted, *scores


def decided_by() -> pl.Expr:
    """Who decided on a pair of labels, from the columns of a ledger."""
    review = pl.format(", {} by a reviewer", "review").fill_null("")
    return pl.format("{}{}", "judge", review).alias("decided by")


def why() -> pl.Expr:
    """Why two labels are one, and why the canonical one was chosen."""
    return pl.concat_str("reason", "chosen", separator="; ", ignore_nulls=True).alias("why")


def answered_calls(folder: Path) -> list[dict[str, Any]]:
    """The answered calls of a journal, without the replies, by the columns of CALL_SCHEMA.

    Raises RunFolderError for a journal that is damaged.
    """
    path = folder / "calls.jsonl"
    try:
        with path.open(encoding="utf-8") as lines:
            # Not every line is worth parsing: `sent` and `failed` lines tell nothing of answers.
            calls = (json.loads(line) for line in lines if '"answered"' in line)
            return [answered_call(call) for call in calls if call["event"] == "answered"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(f"{path} cannot be read ({error}): see `autoanalyze verify {folder}`") from None


def answered_call(call: Mapping[str, Any]) -> dict[str, Any]:
    """An `answered` line of a journal by the columns of CALL_SCHEMA."""
    return {
        **{name: call[name] for name in CALL_COLUMNS},
        **call["usage"],
        "sessions": len(call["session_ids"]),
        "model": call.get("model"),
        "cost_usd": call.get("cost_usd"),
        "reused": call.get("reused", False),
    }


def load_run(path: Path | str, *, partial: bool = False) -> Run:
    """The run in a folder; with `partial`, also one that stopped with some of its sessions labelled.

    Raises RunFolderError for a folder that holds no run, or one that has not finished.
    """
    path = Path(path)
    try:
        record = json.loads((path / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise RunFolderError(f"{path} holds no readable run.json: is it the folder of a run?") from None
    status = record.get("status") if isinstance(record, dict) else "unknown"
    stopped = partial and status in STOPPED and (path / "sessions.parquet").exists()
    if status != "done" and not stopped:
        raise RunFolderError(f"the run in {path} has no results: its status is {status}")
    wanted = DETECTION_FILES if record.get("kind") == "detection" else FILES
    missing = [name for name in wanted if not (path / name).exists()]
    if missing:
        raise RunFolderError(f"{path} lacks {', '.join(missing)}")
    return Run(path, record)
