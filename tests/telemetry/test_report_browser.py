"""The report in a real browser. Skipped, with the remedy, where there is none."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from buffers.ledger import FOLDER, Event, Ledger
from telemetry.report import write_report
from tests.telemetry.browsing import FIRST, TIMEOUT_MS, NoBrowser, chromium, opened
from tests.telemetry.played import write_played

pytestmark = pytest.mark.slow
expect.set_options(timeout=TIMEOUT_MS)
HOSTILE = "</script><img src=x onerror=alert(1)><script>alert(2)</script>\x00\u202eevil \ud800 " + "z" * 200_000
FILTER_S = 0.5  # "well under a second"; some hundredths are usual
WITHOUT_ROW = "step7-abduction-3@7#99"  # an attempt that was dropped before it was judged
IN_SIGHT = 60  # rows in the page at once


@dataclass(frozen=True)
class Open:
    """A report in the browser, and all that the browser has complained of."""

    page: Page
    complaints: list[str]
    total: int

    def count(self) -> int:
        return int(self.page.inner_text("#count").split()[0].replace(",", ""))

    def filter_s(self, name: str, value: str) -> float:
        """Sets a field as a user does; how long the page is busy with it, layout included, at the best of three times."""
        script = """([name, value]) => {
            const field = document.forms.filters.elements[name];
            const option = [...(field.options ?? [])].find((option) => option.text === value);
            field.value = option ? option.value : value;
            const once = () => {
                const begun = performance.now();
                field.dispatchEvent(new Event("input", { bubbles: true }));
                document.getElementById("list").getBoundingClientRect();
                return (performance.now() - begun) / 1000;
            };
            return Math.min(once(), once(), once());
        }"""
        return float(self.page.evaluate(script, [name, value]))

    def texts(self, column: int) -> set[str]:
        return set(self.page.locator(f"{FIRST} > span:nth-child({column})").all_inner_texts())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    try:
        with chromium() as found:
            yield found
    except NoBrowser as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    run_dir = tmp_path_factory.mktemp("run")
    total = write_played(run_dir, steps=61, tasks=9, attempts=10, hostile=HOSTILE)
    ledger = Ledger(run_dir / FOLDER)
    ledger.record(Event.ATTEMPTED, [WITHOUT_ROW])
    ledger.record(Event.DROPPED, [WITHOUT_ROW], "too_stale")
    ledger.close()
    return write_report(run_dir), total


@pytest.fixture
def shown(browser: Browser, report: tuple[Path, int]) -> Iterator[Open]:
    complaints: list[str] = []
    path, total = report
    with opened(browser, path, complaints) as page:
        page.locator(FIRST).first.wait_for()
        yield Open(page, complaints, total)


def test_the_report_draws_everything_without_a_complaint_or_a_request(shown: Open) -> None:
    page = shown.page
    charts = page.locator(".chart")
    for index in range(charts.count()):
        charts.nth(index).scroll_into_view_if_needed()
        charts.nth(index).locator(".main-svg").first.wait_for()
    assert charts.count() > 5
    assert "held-out accuracy" in charts.first.inner_text()
    assert shown.complaints == []


def test_twenty_thousand_rollouts_are_filtered_at_once(shown: Open) -> None:
    assert shown.count() == shown.total >= 19_700
    assert shown.filter_s("role", "propose") < FILTER_S
    assert not any("@" in name for name in shown.texts(1))
    assert shown.filter_s("status", "refused") < FILTER_S
    assert shown.texts(3) == {"refused"}
    assert shown.filter_s("from", "20") < FILTER_S
    assert shown.filter_s("to", "21") < FILTER_S
    assert shown.texts(2) == {"20", "21"}
    assert 0 < shown.count() <= 2 * 3 * 9
    shown.page.click("button[type=reset]")
    expect(shown.page.locator("#count")).to_contain_text(f"{shown.total:,} of {shown.total:,}")
    assert shown.filter_s("kind", "induction") < FILTER_S
    assert all("-induction-" in name for name in shown.texts(1))
    assert shown.complaints == []


def test_search_finds_ids_texts_and_prompts(shown: Open) -> None:
    assert shown.filter_s("search", "STEP7-abduction-3@") < FILTER_S
    assert shown.count() == 10
    assert shown.filter_s("search", "+ + ?") < FILTER_S
    assert shown.texts(3) == {"refused", "bad_format"}
    assert shown.filter_s("search", "propose a deduction") < FILTER_S
    assert all("-deduction-" in name or name == "hostile" for name in shown.texts(1))
    assert shown.filter_s("search", "nothing says this") < FILTER_S
    assert shown.count() == 0


def test_only_rows_in_sight_are_in_the_page_however_far_it_is_scrolled(shown: Open) -> None:
    before = shown.texts(1)
    shown.page.evaluate("document.getElementById('list').scrollTop = 1e9")
    expect(shown.page.locator(FIRST).last).to_contain_text("hostile")  # the last rollout of the last step
    assert shown.page.locator(FIRST).count() < IN_SIGHT
    assert not before & shown.texts(1)


def test_a_story_goes_from_references_to_advantages_and_on_to_a_reference(shown: Open) -> None:
    page = shown.page
    shown.filter_s("search", "step7-abduction-3@")
    page.locator(FIRST).first.click()
    story = page.locator("#story")
    story.get_by_role("heading", name="step7-abduction-3").wait_for()
    headings = story.locator("h4").all_inner_texts()
    assert headings[:3] == ["References", "Proposal · step 7 · version 7", "Task · abduction · proposed"]
    assert headings[3].startswith("Attempts · step 7 · version 7 · ")
    assert story.locator(".attempt").count() == 10
    text = story.inner_text()
    for part in ("admitted", "solve rate", "reward", "advantage", "not trained on: measuring", "mean logprob"):
        assert part in text
    assert "difficulty 3.00" in text
    assert headings[-1] == "Dropped · too_stale"
    assert WITHOUT_ROW in text
    assert page.locator(f"{FIRST}.marked").count() == 10
    story.get_by_role("button", name="step6-abduction-0").click()
    story.get_by_role("heading", name="step6-abduction-0").wait_for()
    page.go_back()
    story.get_by_role("heading", name="step7-abduction-3").wait_for()
    assert shown.complaints == []


def test_a_story_is_opened_by_its_address_and_an_unknown_one_says_so(shown: Open) -> None:
    for name, said in (("step2-induction-1", "Attempts · step 2"), ("no such", "not among the rollouts")):
        shown.page.evaluate("name => location.hash = '#story=' + encodeURIComponent(name)", name)
        shown.page.locator("#story").get_by_text(said).first.wait_for()


def test_hostile_text_is_shown_as_text_and_runs_nothing(shown: Open) -> None:
    shown.filter_s("search", "onerror")
    shown.page.locator(FIRST).first.click()
    shown.page.locator("#story .attempt").first.wait_for()
    said = shown.page.locator("#story > pre").first.inner_text()
    assert said.startswith("</script><img src=x onerror=alert(1)><script>alert(2)</script>\\u{0}\\u{202e}evil")
    assert said.endswith("characters)")
    assert shown.page.locator("#rollouts img, #rollouts script:not([type])").count() == 0
    assert shown.complaints == []
