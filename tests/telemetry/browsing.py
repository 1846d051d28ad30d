"""A real browser for the pages that are made here, and pictures of them for the docs.

`python -m tests.telemetry.browsing RUN FOLDER` writes the report of a run and its pictures.
"""

import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from telemetry.report import write_report

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SWITCHES = ("--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync")
MISSING = "no Chromium here: install it (Debian: apt-get install chromium) or run `playwright install chromium`"
WINDOW = (1200, 800)
TIMEOUT_MS = 120_000  # a busy machine is not a bug
COLOURS = 128
FIRST = "#rows .row"


class NoBrowser(Exception):
    """There is none on this machine."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, else Playwright's own."""
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        path = next(filter(None, map(shutil.which, NAMES)), own if Path(own).exists() else None)
        if path is None:
            raise NoBrowser(MISSING)
        browser = playwright.chromium.launch(executable_path=path, args=list(SWITCHES))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, report: Path, complaints: list[str]) -> Iterator[Page]:
    """The page, unpacked. `complaints` gets what the browser says of it: errors, warnings, and anything that it asks for."""
    page = browser.new_page(viewport={"width": WINDOW[0], "height": WINDOW[1]})
    page.set_default_timeout(TIMEOUT_MS)
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(f"uncaught: {error}"))
    page.on("dialog", lambda dialog: (complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: complaints.append(request.url) if request.url.startswith("http") else None)
    try:
        page.goto(report.as_uri())
        yield page
    finally:
        page.close()


def take_pictures(browser: Browser, report: Path, folder: Path) -> None:
    """The head, the curves, and the viewer with the story of a proposal that earned something, where one is in sight."""
    folder.mkdir(parents=True, exist_ok=True)
    with opened(browser, report, []) as page:
        _picture(page, folder / "report-top.png")
        page.evaluate("document.getElementById('curves').scrollIntoView()")  # a chart is drawn when it comes near the window
        page.locator(".chart").nth(4).locator(".main-svg").first.wait_for()
        _picture(page, folder / "report-curves.png")
        page.select_option("[name=role]", label="propose")
        page.select_option("[name=order]", "newest")
        paid = page.locator(f"{FIRST} > span:nth-child(4)").filter(has_text=re.compile(r"^0\.(0?[1-9])"))
        (paid if paid.count() else page.locator(FIRST)).first.click()
        page.evaluate("document.getElementById('rollouts').scrollIntoView()")
        _picture(page, folder / "report-rollouts.png")


def _picture(page: Page, path: Path) -> None:
    """What the window shows, in few colours so that the file is small."""
    shot = Image.open(BytesIO(page.screenshot()))
    shot.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    with chromium() as browser:
        take_pictures(browser, write_report(Path(sys.argv[1])), Path(sys.argv[2]))
