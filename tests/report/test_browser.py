"""The page in a real browser: clicked, searched, printed, in both schemes, without network or complaint."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from pages import HOSTILE, transcripts_of, written_run

from autoanalyze.report.page import write_comparison, write_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no chromium here: apt-get install chromium"
)
SHOTS = os.environ.get("PAGE_SHOTS")
"""A folder for pictures of the page, for who wants to look at them."""
WAIT = 10_000
RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"],
    "resultTypes": ["violations"],
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests."""
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages: of a run of 600 sessions, of one that is hostile, and of both beside each other."""
    folder = tmp_path_factory.mktemp("pages")
    intents = [f"Intent {place % 25}" if place % 3 else "Billing" for place in range(600)]
    run = written_run(folder / "week1", intents, merges=[("Bills", "Billing")], errors=["busy"] * 3)
    labels = [label for label in HOSTILE for _ in range(4)]
    hostile = written_run(folder / "week2", labels, ids="{}" + HOSTILE[1], merges=[(HOSTILE[0], HOSTILE[1])])
    return {
        "run": write_page(run, folder / "run.html", transcripts_of),
        "hostile": write_page(hostile, folder / "hostile.html", transcripts_of),
        "comparison": write_comparison(run, hostile, folder / "comparison.html"),
    }


class Visit:
    """A page that somebody looks at, with all that it complained of and asked the network for."""

    def __init__(self, browser: Browser, scheme: Literal["light", "dark"] = "light") -> None:
        self.page = browser.new_page(color_scheme=scheme, viewport={"width": 1280, "height": 900})
        self.page.set_default_timeout(WAIT)
        self.complaints: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._asked)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith("file:"):
            self.complaints.append(request.url)

    def to(self, file: Path, fragment: str = "") -> Page:
        self.page.goto(f"file://{file}{fragment}")
        return self.page


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """A visit to a page that must end without a complaint."""
    made = Visit(browser)
    yield made
    made.page.close()
    assert made.complaints == []


def focused(page: Page) -> str:
    """What the focused element says."""
    return str(page.evaluate("document.activeElement.textContent")).strip()


def test_a_label_leads_to_its_sessions_and_on_to_a_transcript(visit: Visit, files: dict[str, Path]) -> None:
    """And back, with the focus where it was."""
    page = visit.to(files["run"])
    page.get_by_role("link", name="Billing", exact=True).first.click()
    reader = page.get_by_role("dialog", name="Billing")
    reader.get_by_text("200 sessions", exact=True).wait_for()
    assert reader.locator("li a").count() < 200
    reader.get_by_role("link", name="session-3", exact=True).click()
    page.get_by_role("dialog", name="session-3").locator(".messages .agent").wait_for()
    roles = page.locator(".messages .who").all_inner_texts()
    assert [role.split(" ")[0] for role in roles] == ["bot", *["user"] * len(HOSTILE), "agent"]
    page.get_by_role("link", name="Back to the list").click()
    page.get_by_role("dialog", name="Billing").wait_for()
    assert focused(page) == "session-3"
    page.keyboard.press("Escape")
    page.locator("dialog[open]").wait_for(state="detached")
    assert focused(page) == "Billing"
    assert "#/" not in page.url


def test_lists_grow_while_one_scrolls(visit: Visit, files: dict[str, Path]) -> None:
    """To their end."""
    page = visit.to(files["run"], "#/sessions?general_intent=Billing")
    rows = page.locator("#reader-list li a")
    rows.first.wait_for()
    before = rows.count()
    page.locator("#reader-body").hover()
    for _ in range(40):
        page.mouse.wheel(0, 4000)
        page.wait_for_timeout(30)
        if rows.count() == 200:
            break
    assert before < rows.count() == 200


def test_everything_can_be_done_with_the_keyboard(visit: Visit, files: dict[str, Path]) -> None:
    """From the skip link to the next session."""
    page = visit.to(files["run"])
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    page.get_by_role("link", name="Billing", exact=True).first.focus()
    page.keyboard.press("Enter")
    page.locator("#reader-list li a").first.focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog", name="session-0").wait_for()
    page.get_by_role("link", name="Next session").focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog", name="session-3").wait_for()
    page.keyboard.press("Escape")
    page.locator("dialog[open]").wait_for(state="detached")


def test_search_finds_labels_sessions_and_what_was_said(visit: Visit, files: dict[str, Path]) -> None:
    """It says how many, and marks the place."""
    page = visit.to(files["run"])
    page.get_by_role("searchbox").fill("intent 7")
    page.get_by_role("status").get_by_text("1 label and 0 sessions found").wait_for()
    page.get_by_role("searchbox").fill("this is SESSION-59")
    page.get_by_role("status").get_by_text("0 labels and 11 sessions found").wait_for()
    page.get_by_role("link", name="session-590", exact=True).click()
    page.locator(".messages mark").first.wait_for()
    page.keyboard.press("Escape")
    page.wait_for_url(lambda url: "#/search?q=this+is" in url)


def test_a_link_opens_what_it_names(visit: Visit, files: dict[str, Path]) -> None:
    """Sessions of two labels, a session, a search; what is not there is said."""
    page = visit.to(files["run"], "#/session?id=session-11")
    page.get_by_role("dialog", name="session-11").wait_for()
    visit.to(files["run"], "#/session?id=nobody")
    page.get_by_role("dialog", name="There is no such session here").wait_for()
    page.get_by_role("button", name="Close").click()
    page.locator("#crossing").scroll_into_view_if_needed()
    cell = page.locator(".cross a").first
    count = cell.inner_text()
    cell.click()
    page.get_by_text(f"{count} sessions", exact=True).wait_for()
    visit.to(files["run"], "#/search?q=billing")
    page.get_by_role("status").get_by_text("1 label and").wait_for()


def test_strangers_texts_do_nothing(visit: Visit, files: dict[str, Path]) -> None:
    """Neither in tables nor in lists, transcripts or hits: they are shown."""
    page = visit.to(files["hostile"])
    page.locator("table.labels tbody a").nth(1).click()
    page.locator("#reader-list li a").first.click()
    page.locator(".messages li").nth(3).wait_for()
    assert HOSTILE[1] in page.locator(".messages").inner_text()
    page.keyboard.press("Escape")
    page.get_by_role("searchbox").fill("onerror")
    page.get_by_role("status").get_by_text("found").wait_for()
    assert page.title() == "What 32 conversations were about · week2"
    assert page.locator("img, iframe").count() == 0
    visit.to(files["comparison"])
    assert page.locator("img, script").count() == 0


def test_scripts_of_others_are_not_carried_out(browser: Browser, files: dict[str, Path]) -> None:
    """The policy stops what would get in all the same."""
    visited = Visit(browser)
    page = visited.to(files["run"])
    page.evaluate(
        "() => { const made = document.createElement('script');"
        " made.textContent = \"document.title = 'owned'\";"
        " document.body.append(made); const image = new Image(); image.src = 'https://example.invalid/x.png';"
        " document.body.append(image); }"
    )
    page.wait_for_timeout(100)
    assert "owned" not in page.title()
    assert sum("Content Security Policy" in text for text in visited.complaints) == 2
    page.close()


@pytest.mark.parametrize(("name", "scheme"), [("run", "light"), ("run", "dark"), ("comparison", "dark")])
def test_it_can_be_read_by_everybody(
    browser: Browser, files: dict[str, Path], name: str, scheme: Literal["light", "dark"]
) -> None:
    """No serious finding of axe in either colour scheme, with everything open; nothing wider than a phone."""
    visited = Visit(browser, scheme)
    page = visited.to(files[name])
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(18, 21, 23)") == (scheme == "dark")
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    findings = axe.Axe().run(page, options=RULES).response["violations"]
    if name == "run":
        page.get_by_role("link", name="Billing", exact=True).first.click()
        page.locator("#reader-list li a").first.click()
        page.locator(".messages li").first.wait_for()
        findings += axe.Axe().run(page, "dialog", options=RULES).response["violations"]
        page.keyboard.press("Escape")
    serious = [
        (one["id"], one["nodes"][0]["html"]) for one in findings if one["impact"] in ("serious", "critical")
    ]
    assert serious == []
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}-{scheme}.png", full_page=True)
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert visited.complaints == []
    page.close()


def test_it_prints(visit: Visit, files: dict[str, Path]) -> None:
    """The banner is there, on black on white, what one clicks is not, and no row is cut."""
    page = visit.to(files["run"])
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator(".banner").first.is_visible()
    assert page.locator("h2 .only-print").first.inner_text() == "simulated"
    assert not page.get_by_role("searchbox").is_visible()
    assert not page.locator("nav").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.querySelector('tbody tr')).breakInside") == "avoid"
    assert page.pdf(format="A4").startswith(b"%PDF")
