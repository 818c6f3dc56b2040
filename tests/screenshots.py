"""A picture of a page, as a reader sees it: `python tests/screenshots.py URL OUT.png [--dark] [--phone] [--full]`.

Needs Playwright and a Chromium: $CHROMIUM, or the first of chromium, chromium-browser, google-chrome on the path.
"""

import argparse
import contextlib
import os
import shutil
import sys
from collections.abc import Iterator

from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


def chromium() -> str | None:
    """The browser installed on this machine; None where there is none."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        raise SystemExit("no Chromium on this machine: install one, or name it in $CHROMIUM")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield opened
        finally:
            opened.close()


def settle(page: Page) -> None:
    """Waits until every chart in view has drawn and no request is under way (the stream of changes never ends)."""
    page.wait_for_load_state("load")
    if page.locator("script[type=module][src*=times]").count() == 0 and page.locator("script[type=module]").count():
        page.wait_for_selector("#live.on", state="attached")
    page.wait_for_timeout(400)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("out")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--phone", action="store_true", help="390 pixels wide instead of 1360")
    parser.add_argument("--full", action="store_true", help="the whole page, not the first screen")
    parser.add_argument("--height", type=int, default=900)
    arguments = parser.parse_args()
    with browser() as opened:
        page = opened.new_page(
            viewport={"width": 390 if arguments.phone else 1360, "height": arguments.height},
            color_scheme="dark" if arguments.dark else "light",
            device_scale_factor=2 if arguments.phone else 1,
        )
        page.on("console", lambda message: print(f"{message.type}: {message.text}", file=sys.stderr))
        page.on("pageerror", lambda error: print(f"error: {error}", file=sys.stderr))
        page.goto(arguments.url, wait_until="domcontentloaded")
        settle(page)
        if arguments.full:
            # Charts draw when they come into view, so the window grows to the page before the picture.
            height = page.evaluate("document.documentElement.scrollHeight")
            page.set_viewport_size({"width": 390 if arguments.phone else 1360, "height": min(int(height), 12000)})
            page.wait_for_timeout(600)
        page.screenshot(path=arguments.out)


if __name__ == "__main__":
    main()
