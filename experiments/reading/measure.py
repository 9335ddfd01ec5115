"""What the reader reaches on real texts: labels through the real phases, beside the data sets' own intents.

    python experiments/reading/measure.py [FOLDER] [--into FOLDER] [--sample N] [--only NAME ...]
    python experiments/reading/measure.py [FOLDER] --vectors sentences     into sentences.parquet

FOLDER holds the data sets (default ../shared/data); nothing of it is copied into the repository. Sessions
with a single intent and with messages are labelled with `endpoint=offline`, all else as it is by default (8
streams, merging); intents are looked at only here, after the run. Topics by words, no model.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score

import autoanalyze
from autoanalyze.data.reports import ImportOptions

SETS = {
    "STAR": ("star", pl.lit(True), None, 0.87),
    "STAR, 1,879 of it": ("star", pl.lit(True), 1879, 0.87),
    "CLINC150 test": ("clinc150", pl.col("split") == "test", None, 0.61),
    "Banking77": ("banking77", pl.lit(True), None, 0.51),
    "DSTC11 development": ("dstc11-development", pl.lit(True), None, 0.73),
    "tau-bench": ("taubench", pl.lit(True), None, 0.50),
}
"""File, sessions of it, how many are drawn of those (null: all), and the AMI to reach."""
KEPT = ["session_id", "user_id", "start_time", "end_time", "containment_type", "messages", "true_intent"]
FIELD, FEW, WORST = "general_intent", 5, 20
MARK = "<!-- tables, written by measure.py -->"


def sessions_of(folder: Path, name: str, sample: int | None) -> pl.DataFrame:
    """The sessions of a data set that have messages and exactly one intent."""
    file, chosen, drawn, _ = SETS[name]
    sample = drawn if sample is None else sample
    found = pl.read_parquet(folder / f"{file}.parquet").filter(chosen, pl.col("true_intent").is_not_null())
    found = found.filter(
        pl.col("messages").list.len() > 0, pl.col("true_intents").list.len().fill_null(1) <= 1
    )
    return (
        found.select(KEPT) if sample is None else found.select(KEPT).sample(min(sample, len(found)), seed=7)
    )


def read(sessions: pl.DataFrame, folder: Path, vectors: str = "words") -> tuple[autoanalyze.Run, float]:
    """A run of the reader on sessions, and the processor seconds that it took, import excluded."""
    sessions.write_parquet(folder / "sessions.parquet")
    store = folder / "sessions.duckdb"
    autoanalyze.import_sessions(folder / "sessions.parquet", store, ImportOptions())
    config = autoanalyze.compose(
        [
            *("endpoint=offline", "data=store", f"data.path={store}", f"data.count={len(sessions)}"),
            *("data.minimum_messages=1", "page=false", "resamples=0", f"reader.vectors={vectors}"),
        ]
    )
    began = time.process_time()
    analysis = autoanalyze.build_analysis(config, progress=False)
    run = analysis.get_results(analysis.start_analysis(folder=folder / "run"))
    return run, time.process_time() - began


def scores(labels: list[str], intents: list[str]) -> dict[str, float]:
    """How labels and intents agree. Accuracy is that of the best assignment of labels to intents, one to one.

    Consistency and precision are B-cubed recall and precision (Bagga and Baldwin 1998) with self-pairs.
    """
    _, rows = np.unique(labels, return_inverse=True)
    _, columns = np.unique(intents, return_inverse=True)
    table = coo_matrix((np.ones(len(rows)), (rows, columns))).toarray()
    best = linear_sum_assignment(-table)
    squares, total = table**2, len(labels)
    return {
        "ami": float(adjusted_mutual_info_score(intents, labels)),
        "nmi": float(normalized_mutual_info_score(intents, labels)),
        "accuracy": float(table[best].sum() / total),
        "consistency": float((squares / table.sum(axis=0, keepdims=True)).sum() / total),
        "precision": float((squares / table.sum(axis=1, keepdims=True)).sum() / total),
        "labels": len(table),
        "intents": table.shape[1],
    }


def labelled(run: autoanalyze.Run, sessions: pl.DataFrame) -> pl.DataFrame:
    """Each session's first and final label beside its intent; one without a label is a label of its own."""
    alone = pl.format("({})", "session_id")
    return run.sessions.select(
        "session_id",
        pl.coalesce(FIELD, alone).alias("final"),
        pl.coalesce(f"{FIELD}_first", alone).alias("first"),
    ).join(sessions.select("session_id", "true_intent"), on="session_id")


def worst(name: str, read_as: pl.DataFrame) -> pl.DataFrame:
    """Labels of at least five sessions, those first whose sessions agree least on one intent."""
    intents = (
        read_as.group_by("final", "true_intent").len().sort("len", "true_intent", descending=[True, False])
    )
    return (
        intents.group_by("final", maintain_order=True)
        .agg(
            pl.col("len").sum().alias("sessions"),
            (pl.col("len").first() / pl.col("len").sum()).alias("agree"),
            pl.format("{} ({})", "true_intent", "len").head(3).str.join(", ").alias("their intents"),
        )
        .filter(pl.col("sessions") >= FEW)
        .select(
            pl.lit(name).alias("data set"),
            pl.col("final").alias("label"),
            "sessions",
            "agree",
            "their intents",
        )
    )


def measured(
    folder: Path, name: str, sample: int | None, vectors: str
) -> tuple[dict[str, Any], pl.DataFrame]:
    """A row of results for a data set, and its labels with what they mix."""
    sessions = sessions_of(folder, name, sample)
    with tempfile.TemporaryDirectory() as scratch:
        run, seconds = read(sessions, Path(scratch), vectors)
        read_as = labelled(run, sessions)
    intents = read_as["true_intent"].to_list()
    final, first = scores(read_as["final"].to_list(), intents), scores(read_as["first"].to_list(), intents)
    row = {
        "data set": name,
        "sessions": len(sessions),
        **final,
        "wanted_ami": SETS[name][3],
        **{f"first_{key}": first[key] for key in ("ami", "consistency", "precision", "labels")},
        "cpu_ms_per_session": 1000 * seconds / len(sessions),
    }
    return row, worst(name, read_as)


def in_words(results: pl.DataFrame, mixed: pl.DataFrame) -> str:
    """The tables of the chapter, in Markdown."""
    with pl.Config(
        tbl_formatting="MARKDOWN",
        tbl_hide_dataframe_shape=True,
        tbl_hide_column_data_types=True,
        tbl_rows=-1,
        tbl_cols=-1,
        fmt_str_lengths=200,
        tbl_width_chars=400,
        float_precision=3,
    ):
        return f"{results}\n\n{mixed}\n"


def main() -> None:
    """Measure, and write results.parquet, and the tables behind the words of the chapter."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("../shared/data"))
    parser.add_argument("--into", type=Path, default=Path(__file__).parent)
    parser.add_argument("--sample", type=int, default=None, help="sessions of each data set; all by default")
    parser.add_argument("--vectors", choices=("words", "sentences"), default="words")
    parser.add_argument("--only", nargs="*", default=list(SETS))
    given = parser.parse_args()
    found = []
    for name in given.only:
        found.append(measured(given.folder, name, given.sample, given.vectors))
        print(in_words(pl.DataFrame([found[-1][0]]), found[-1][1].head(0)).split("\n\n")[0], flush=True)
    results = pl.DataFrame([row for row, _ in found])
    mixed = pl.concat([labels for _, labels in found]).sort(
        "agree", "sessions", "label", descending=[False, True, False]
    )
    given.into.mkdir(parents=True, exist_ok=True)
    if given.vectors != "words":
        results.write_parquet(given.into / f"{given.vectors}.parquet")
        return
    results.write_parquet(given.into / "results.parquet")
    chapter = given.into / "README.md"
    before = chapter.read_text(encoding="utf-8").partition(MARK)[0] if chapter.exists() else ""
    chapter.write_text(f"{before}{MARK}\n\n{in_words(results, mixed.head(WORST))}", encoding="utf-8")


if __name__ == "__main__":
    main()
