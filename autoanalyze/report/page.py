"""Writing a page: one self-contained file, under a content security policy that lets nothing else in."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
from markupsafe import Markup

from autoanalyze.errors import InputError
from autoanalyze.report import wording
from autoanalyze.report.bundle import Transcripts, packed, sessions_columns, transcript_blocks
from autoanalyze.report.comparison import comparison
from autoanalyze.report.content import content
from autoanalyze.report.masking import masked_run, masked_transcripts
from autoanalyze.study.runs import Run

FILTERS = (
    wording.percent,
    wording.interval,
    wording.points,
    wording.counted,
    wording.heading,
    wording.spaced,
    wording.plural,
)
PIECES = 500
"""Pieces of a template that are written at once."""


def write_page(
    run: Run,
    to: Path,
    transcripts: Transcripts | None,
    *,
    notes: bool = True,
    mask: bool = False,
    absent: str = "left out on purpose",
) -> Path:
    """Write the page of a run, as a whole; the same run gives the same bytes.

    `transcripts` reads what was said in some sessions; without it the page has none, and says that they are
    `absent`. `notes` quote transcripts, and can be left out too. `mask` hides mail addresses and long numbers
    (see `masking`). Raises InputError if the file cannot be written, and what `transcripts` raises.
    """
    if mask:
        run = masked_run(run)
        transcripts = transcripts and masked_transcripts(transcripts)
    shown = content(run)
    columns = sessions_columns(run.sessions, shown.answer, notes=notes)
    columns["transcripts"] = transcripts is not None
    return write(
        "page.html.jinja",
        to,
        shown.answer.caveats,
        content=shown,
        columns=packed(columns),
        # Packed while the file is written: never are all transcripts in memory.
        blocks=transcript_blocks(columns["ids"], transcripts) if transcripts else (),
        absent="" if transcripts else absent,
        mask=mask,
    )


def write_comparison(first: Run, second: Run, to: Path, *, mask: bool = False) -> Path:
    """Write the page of what changed from one run to another. Raises InputError as `write_page` does."""
    if mask:
        first, second = masked_run(first), masked_run(second)
    caveats = {**first.caveats, **second.caveats}
    return write("comparison.html.jinja", to, caveats, comparison=comparison(first, second), mask=mask)


def write(template: str, to: Path, caveats: Mapping[str, str], **values: Any) -> Path:
    """Fill a template into a file, which is replaced as a whole or not at all."""
    draft = to.with_name(f".{to.name}.draft")
    try:
        with draft.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
            for piece in rendered(template, caveats, **values):
                file.write(piece)
        draft.replace(to)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise InputError(f"{to} cannot be written ({error.strerror}): give another file with --to") from None
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return to


def rendered(template: str, caveats: Mapping[str, str], **values: Any) -> Iterator[str]:
    """A page in pieces."""
    css = Markup(source("page.css") + on_every_sheet(caveats))
    script = Markup(source("page.js"))
    stream = (
        environment()
        .get_template(template)
        .stream(css=css, script=script, policy=policy(css, script), caveats=caveats, **values)
    )
    stream.enable_buffering(PIECES)
    return iter(stream)


@cache
def environment() -> jinja2.Environment:
    """Templates that escape everything, and fail where a value is missing."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("autoanalyze.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=wording.printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {each.__name__: each for each in FILTERS}
    made.globals["sessions_of"] = sessions_of
    return made


def sessions_of(labels: Mapping[str, str]) -> str:
    """The link to the sessions that have these labels, by field."""
    return f"#/sessions?{urlencode(labels, errors='replace')}"


@cache
def source(name: str) -> str:
    """A file that goes into a page as it is; one of ours."""
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


def on_every_sheet(caveats: Mapping[str, str]) -> str:
    """Style that prints the caveats into the margin of every sheet."""
    words = ", ".join(re.sub("[^a-z ]", "", word) for word in caveats)
    return f'\n@page {{ @top-right {{ content: "{words} figures" }} }}\n' if words else ""


def policy(css: str, script: str) -> str:
    """What the page may load and do: its own style and script, known by their hashes, and nothing else."""
    style_hash, script_hash = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (css, script)
    )
    return (
        f"default-src 'none'; script-src 'sha256-{script_hash}'; style-src 'sha256-{style_hash}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
