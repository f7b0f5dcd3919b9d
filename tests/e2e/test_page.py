"""The web page in a real browser: it shows what is decided, and says when nothing comes any more."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from livesnn.events.formats.aedat4_writer import Aedat4Writer
from livesnn.events.recording import open_recording
from livesnn.paths import recordings_dir
from tests.counterparts import find_chromium
from tests.fake_source import joined
from tests.waiting import eventually

from .conftest import livesnn

playwright = pytest.importorskip("playwright.sync_api", reason="drives a browser: make counterparts")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
PATIENCE_MS = 60_000  # of a machine that is busy
WORDS = re.compile(r"[A-Z][a-z ]+")


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    """Yield Chromium, the system's or playwright's."""
    with playwright.sync_playwright() as drive:
        path = find_chromium() or drive.chromium.executable_path
        if not Path(path).exists():
            pytest.skip("needs Chromium: make counterparts")
        opened = drive.chromium.launch(executable_path=path)
        yield opened
        opened.close()


@contextmanager
def served(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield a process of `livesnn serve`, and the address of its page."""
    process = livesnn("serve", *arguments, "--web", "0")
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        assert line.startswith("livesnn serve: page at http://127.0.0.1:"), line
        yield process, line.rpartition(" ")[2].strip()
    finally:
        process.kill()
        process.communicate()


def opened(
    browser: playwright.Browser, url: str, *, width: int = 1280, height: int = 800, scheme: str = "dark"
) -> playwright.Page:
    """Open the page, and fail where it says that something is wrong."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith(url) else wrong.append(request.url))
    page.goto(url)
    page.locator("#connection[data-state=live]").wait_for(timeout=PATIENCE_MS)
    assert not wrong
    return page


def shown(page: playwright.Page) -> bytes:
    """Return the picture of events as the browser has drawn it."""
    return page.locator("#picture").screenshot()


@pytest.fixture(scope="module")
def gestures() -> Iterator[tuple[subprocess.Popen[str], str]]:
    with served("simulate:gestures", "--control") as serving:
        yield serving


def test_events_move_and_the_decision_changes(
    browser: playwright.Browser, gestures: tuple[subprocess.Popen[str], str]
) -> None:
    page = opened(browser, gestures[1])
    page.locator("#no-picture").wait_for(state="hidden", timeout=PATIENCE_MS)
    first = shown(page)
    eventually(lambda: shown(page) != first, 60.0)
    label = page.locator("#label:not([data-none])")
    label.wait_for(timeout=PATIENCE_MS)
    before = label.text_content() or ""
    assert WORDS.fullmatch(before)
    eventually(lambda: page.locator("#label").text_content() not in (before, "–"), 60.0, every_s=0.05)
    assert page.locator("#bars li").count() == 11
    eventually(lambda: (page.locator("#latency").text_content() or "").endswith(" ms"), 60.0, every_s=0.05)
    page.context.close()


@pytest.mark.parametrize(
    ("width", "height", "scheme"),
    [(320, 568, "dark"), (844, 390, "light"), (2560, 1440, "dark")],
)
def test_it_fits_every_screen(
    width: int,
    height: int,
    scheme: str,
    browser: playwright.Browser,
    gestures: tuple[subprocess.Popen[str], str],
) -> None:
    page = opened(browser, gestures[1], width=width, height=height, scheme=scheme)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    for part in ("#picture", "#label", "#bars", "#numbers", "#controls"):
        box = page.locator(part).bounding_box()
        assert box is not None
        assert box["width"] > 0
        assert box["height"] > 0
        assert box["x"] + box["width"] <= width
    page.context.close()


def test_a_person_records_and_resets_by_button(browser: playwright.Browser, tmp_path: Path) -> None:
    with served("simulate:gestures", "--control", "--recordings", tmp_path) as (_, url):
        page = opened(browser, url)
        page.locator("#reset").click()
        page.locator("#record").click()
        page.locator("#record[aria-pressed=true]").wait_for(timeout=PATIENCE_MS)
        page.locator("#record").click()
        page.get_by_text(re.compile("events in .* written to")).wait_for(timeout=PATIENCE_MS)
        page.context.close()
    (written,) = tmp_path.glob("*.aedat4")
    assert written.stat().st_size > 10_000


def test_when_livesnn_is_killed_the_page_says_so(browser: playwright.Browser) -> None:
    with served("simulate:gestures") as (process, url):
        page = opened(browser, url)
        page.locator("#no-picture").wait_for(state="hidden", timeout=PATIENCE_MS)
        process.kill()
        page.locator("#connection[data-state=lost]").wait_for(timeout=PATIENCE_MS)
        assert page.locator("#label").text_content() == "No connection"
        page.context.close()


def test_when_the_browser_is_killed_livesnn_knows(
    browser: playwright.Browser, gestures: tuple[subprocess.Popen[str], str], tmp_path: Path
) -> None:
    program, url = find_chromium() or browser.browser_type.executable_path, gestures[1]
    profile = ("--headless", "--no-sandbox", f"--user-data-dir={tmp_path}", "--remote-debugging-port=0")
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

    def pages() -> int:
        with urllib.request.urlopen(f"{url}status", timeout=20) as answer:
            return int(json.load(answer)["outputs"]["page"]["receivers"])

    with subprocess.Popen([program, *profile, url], start_new_session=True, **silent) as process:
        eventually(lambda: pages() == 1, PATIENCE_MS / 1000)
        os.killpg(process.pid, signal.SIGKILL)  # and the processes of its own
        eventually(lambda: pages() == 0)


def test_a_recording_is_shown_to_its_end(browser: playwright.Browser, tmp_path: Path) -> None:
    with open_recording(recordings_dir() / "arm_roll.aedat4") as clip:
        events, sensor = joined(clip), clip.resolution
    again = events.copy()  # a busy machine opens a page in more than the clip's 5 s
    again["t"] += events["t"][-1] - events["t"][0]
    recording = tmp_path / "twice.aedat4"
    with Aedat4Writer(recording, sensor) as writer:
        writer.write(np.concatenate([events, again]))
    with served(recording) as (process, url):
        page = opened(browser, url)
        page.locator("#label", has_text="Arm roll").wait_for(timeout=PATIENCE_MS)
        page.locator("#connection[data-state=lost]").wait_for(timeout=PATIENCE_MS)
        page.context.close()
        output, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    assert "arm_roll" in output
