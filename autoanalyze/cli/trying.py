"""The command for a newcomer: from an export to an answer and a page in one go, without a key.

All that it makes lies in one folder beside the file: stores of sessions, and a folder per run.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autoanalyze.cli.importing import (
    BadOption,
    DatesOption,
    FilesArgument,
    MapOption,
    RoleOption,
    imported,
    options_of,
    show_recognised,
    show_report,
)
from autoanalyze.errors import InputError

if TYPE_CHECKING:
    from autoanalyze.data.reports import ImportOptions, ImportReport

SAMPLE = 20_000
"""Sessions that are read at most, unless somebody asks for others: what a laptop reads in a minute or two."""

MODEL = "gpt-6-luna"
"""A cheap model of today, for which a price is said."""

LOCAL = ("endpoint=http://localhost:11434/v1", "model=generic", "model.name=qwen3:8b")
"""A server on this machine, as Ollama offers one."""

WIDTH = 80


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("try")(try_command)


def try_command(
    files: FilesArgument,
    map_: MapOption = None,
    role: RoleOption = None,
    dates: DatesOption = None,
    bad: BadOption = None,
    count: Annotated[int, typer.Option(min=1, help="Sessions to read; of more, a sample is drawn.")] = SAMPLE,
) -> None:
    """From a file to a first answer and a page, without a key or a network.

    Says how the file is understood, reads its sessions by their words (no model: a draft), prints what they
    are about, writes report.html, and says what a model would cost.

    \b
    autoanalyze try chats.csv
    autoanalyze try tickets.csv --map "Ticket No=session_id" --map "Question=text"

    Everything is kept in a folder beside the file, chats.autoanalyze; each try adds a run there, and the
    file stays as it is.
    """
    from rich.console import Console

    from autoanalyze.analysis.configuration import compose
    from autoanalyze.cli.run import work
    from autoanalyze.study.answer import answer

    console = Console(soft_wrap=True)
    options = options_of(map_, role, dates, bad)
    folder = folder_beside(console, files)
    taken = Taken.of(filled(console, files, folder, options), count)
    say(console, taken.told())
    run = work(compose([*taken.settings(taken.read), "endpoint=offline"]), next_run(folder), resume=False)
    if not any(len(field.labels) for field in answer(run).fields):
        say(
            console,
            "\nNo session got a topic: its users said no words to go by. If the wrong side was read as the "
            "user, say who is who: --role THEIRS=user, --role OTHERS=bot.",
        )
    show_next(console, taken)


def folder_beside(console: Any, files: Sequence[str]) -> Path:
    """The folder for what is made of these files: beside the first, or, which is said, in the working folder
    where nothing can be written there. Raises InputError if neither can be, or if there is no such file."""
    from autoanalyze.analysis.folder import as_typed
    from autoanalyze.data.sources import TRIED, found

    first = Path(files[0])
    file = (first if first.is_dir() else found(files[:1])[0][0].path).resolve()
    if not file.exists():
        raise InputError(f"{files[0]}: there is no such file; check the name, and quote it if it has spaces")
    for parent in (file.parent, Path.cwd()):
        folder = parent / f"{file.stem}{TRIED}"
        with suppress(OSError):
            folder.mkdir(exist_ok=True)
            if os.access(folder, os.W_OK):
                if parent != file.parent:
                    say(console, f"{file.parent} cannot be written: kept in {as_typed(folder)}")
                return folder
            folder.rmdir()
    raise InputError(
        f"nothing can be written beside {files[0]}, nor in {Path.cwd()}: go to a folder of your own, as with "
        "`cd ~`, and try again from there"
    )


def filled(console: Any, files: Sequence[str], folder: Path, options: ImportOptions) -> Path:
    """The store in this folder that holds what the files say, and nothing else; it is said what went in.

    That is the store of earlier tries, if it comes to the same or has only grown. Where the files contradict
    it, or lack sessions that it has, they get a new store: runs of before keep what they have read.
    """
    from autoanalyze.analysis.folder import as_typed

    earlier = sorted(folder.glob("sessions-*.duckdb"), key=numbered)
    following = folder / f"sessions-{numbered(earlier[-1]) + 1 if earlier else 1}.duckdb"
    if earlier:
        report = imported(console, files, earlier[-1], options)
        if not report.brought_nothing and holds_just(earlier[-1], report):
            show_import(console, report)
            return earlier[-1]
        odd = len(report.conflicts)
        changed = f"{sessions_told(odd)} read otherwise" if odd else "it had sessions that are gone"
        say(console, f"Not the same as at an earlier try ({changed}): read anew; the earlier one is kept.")
    with undone_if_failing(following):
        report = imported(console, files, following, options)
        show_import(console, report)
        if report.added == report.without_messages:
            raise InputError(
                f"none of the {report.added:,} sessions has a message to read: name the file with what was "
                "said too"
            )
    say(console, f"Kept in {as_typed(folder)}")
    return following


def show_import(console: Any, report: ImportReport) -> None:
    """Say how the columns were understood, how to say it better, what went in, and what stayed out."""
    show_recognised(console, report)
    if any(file.unused for file in report.files):
        say(
            console,
            '(Is one of the unused columns meant? --map "Their column=text", or =session_id, =role, ...)',
        )
    show_report(console, report)
    if report.with_truth:
        say(
            console,
            "The known labels are kept from the reader: the scores below hold its draft against them.",
        )


def numbered(path: Path) -> int:
    """The number at the end of a name."""
    found = re.search(r"-(\d+)$", path.stem)
    return int(found[1]) if found else 0


def holds_just(store: Path, report: ImportReport) -> bool:
    """Whether a store holds the sessions of an import as they are there, and no others."""
    met = report.added + report.extended + report.already_there
    return not report.conflicts and len(sessions_in(store)) <= met


@contextmanager
def undone_if_failing(store: Path) -> Iterator[None]:
    """Leave no new store, and no new folder, where nothing came of it."""
    try:
        yield
    except BaseException:
        for path in store.parent.glob(f"{store.name}*"):
            path.unlink()
        with suppress(OSError):  # it holds other things
            store.parent.rmdir()
        raise


def sessions_in(store: Path) -> Any:
    """Metadata of all sessions of a store."""
    from autoanalyze.data.store import Store

    with Store.open(store, read_only=True) as opened:
        return opened.sessions("default")


def next_run(folder: Path) -> Path:
    """A new folder for a run, never one that is there: another try may make one at the same moment."""
    number = max(map(numbered, folder.glob("run-*")), default=0)
    while True:
        number += 1
        with suppress(FileExistsError):
            (run := folder / f"run-{number}").mkdir()
            return run


@dataclass(frozen=True, slots=True)
class Taken:
    """Which sessions of a store are read: `read` of `available`, each of `minimum` messages or more."""

    store: Path
    minimum: int
    available: int
    read: int
    short: int
    """Sessions with too few messages."""

    @classmethod
    def of(cls, store: Path, count: int) -> Taken:
        """Up to `count` sessions: those of two messages or more, unless most have a single one, as tickets
        do."""
        lengths = sessions_in(store)["message_count"]
        several, any_ = int((lengths >= 2).sum()), int((lengths >= 1).sum())
        minimum = 2 if 2 * several > any_ else 1
        available = several if minimum == 2 else any_
        return cls(store, minimum, available, min(count, available), len(lengths) - available)

    def settings(self, count: int) -> list[str]:
        """What a run is given to take `count` of these sessions."""
        from autoanalyze.analysis.folder import as_typed

        path = f"data.path={quoted(str(as_typed(self.store)))}"
        return ["data=store", path, f"data.count={count}", f"data.minimum_messages={self.minimum}"]

    def told(self) -> str:
        """Which sessions are read, in words."""
        which = sessions_told(self.available) + (", also of one message" if self.minimum == 1 else "")
        part = f"a sample of {self.read:,} of " if self.read < self.available else ""
        short = "without messages" if self.minimum == 1 else "of fewer than two messages"
        left = f"; left out: {self.short:,} {short}" if self.short else ""
        return f"\nReading {part}{which}{left}. No model: topics by words.\n"


def sessions_told(number: int) -> str:
    """A number of sessions, in words."""
    return f"{number:,} session{'' if number == 1 else 's'}"


def quoted(text: str) -> str:
    """A text as the value of a setting: Hydra takes it as it is."""
    if re.fullmatch(r"[\w./-]+", text, re.ASCII):
        return text
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", text).replace("${", "\\${")
    return f"'{escaped}'"


def show_next(console: Any, taken: Taken) -> None:
    """Say what a model would cost for all of these sessions, and how to ask one."""
    from autoanalyze.analysis.build import build_plan
    from autoanalyze.analysis.configuration import compose

    everything = taken.settings(taken.available)
    asking = [*everything, "endpoint=openai", f"model={MODEL}"]
    with console.status("What would a model cost?"):
        plan = build_plan(compose([*asking, "token_counter=estimate"]))
    most = f"at most {plan.cost_upper_usd:,.2f} USD" if plan.cost_upper_usd >= 0.01 else "less than 0.01 USD"
    say(
        console,
        f"\nThis was a draft by words. A model understands: {MODEL} would read "
        f"{sessions_told(taken.available)} for about {plan.cost_usd:,.4f} USD, {most} (prices and limits: "
        f"{plan.source}; nothing was sent):",
    )
    show_command(console, ["export", "OPENAI_API_KEY=..."])
    show_command(console, ["autoanalyze", "run", *asking])
    say(console, "\nOr a server of your own (this is Ollama's address), where nothing leaves the machine:")
    show_command(console, ["autoanalyze", "run", *everything, *LOCAL])


def show_command(console: Any, words: Sequence[str]) -> None:
    """Print a command that can be copied, in lines that go on."""
    lines = ["  "]
    for word in map(shlex.quote, words):
        if len(lines[-1]) + len(word) > WIDTH - 3 and lines[-1].strip():
            lines[-1] += "\\"
            lines.append("    ")
        lines[-1] += f"{word} "
    console.print("\n".join(line.rstrip() for line in lines), markup=False, highlight=False)


def say(console: Any, text: str) -> None:
    """Print a sentence in the width of the terminal."""
    console.print(text, soft_wrap=False, markup=False, highlight=False)
