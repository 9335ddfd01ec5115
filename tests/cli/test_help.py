"""Help: every setting with words, in 80 columns, from the comments in `configs`, as is the page there."""

from __future__ import annotations

import sys

import pytest

from autoanalyze import __main__ as door
from autoanalyze.analysis.keys import configuration_folder, described_keys, known_keys, page
from autoanalyze.cli import commands
from autoanalyze.cli.commands import main
from autoanalyze.cli.help import WIDTH


def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """What a command prints."""
    monkeypatch.setattr(sys, "argv", ["autoanalyze", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    return capsys.readouterr().out


def test_every_setting_has_words() -> None:
    """A comment stands above each key of the files, and no key is left out or named twice."""
    described = [setting for group in described_keys() for setting in group.keys]
    assert sorted(setting.key for setting in described) == sorted(known_keys())
    assert [setting.key for setting in described if not setting.says] == []


def test_page_of_the_settings_is_the_one_that_their_comments_give() -> None:
    """`python -m autoanalyze.analysis.keys` writes it anew."""
    assert (configuration_folder() / "README.md").read_text(encoding="utf-8") == page()


def test_defaults_are_those_that_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the default file of a group changes the one that it builds on."""
    defaults = {setting.key: setting.default for group in described_keys() for setting in group.keys}
    assert (defaults["discovery.mode"], defaults["data.count"]) == ("adaptive", "1000")
    assert (defaults["model.name"], defaults["parallel.streams"]) == ("gpt-4o-mini", "8")


def test_help_of_run_fits_and_names_everything(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All settings, presets, experiments and examples; Hydra's own options behind a hint."""
    text = said(capsys, monkeypatch, "run", "--help")
    assert max(map(len, text.splitlines())) <= WIDTH
    words = set(text.split())
    assert set(known_keys()) <= words
    for part in ("--hydra-help", "preset=", "design", "experiment=", "frontier", "autoanalyze run -m"):
        assert part in text


def test_version_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line."""
    assert said(capsys, monkeypatch, "--version").startswith("autoanalyze 0.")


@pytest.mark.parametrize("ends", [KeyboardInterrupt(), SystemExit(130)], ids=["early", "in a command"])
def test_interrupt_is_answered_in_one_line(
    ends: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever it comes, also while things are still being imported: exit code 130 and no traceback."""

    def interrupted() -> None:
        raise ends

    monkeypatch.setattr(commands, "main", interrupted)
    with pytest.raises(SystemExit) as ended:
        door.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "autoanalyze: interrupted\n"
