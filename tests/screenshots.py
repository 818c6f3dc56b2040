"""A picture of a page, as a reader sees it: `python tests/screenshots.py URL OUT.png [--dark] [--phone] [--full]`.

Without an address: the report and the page of the newest sweep of experiments/math.yaml that this clone's server has,
for the README, to tests/screenshots/report.png and sweep.png.

Needs Playwright and a Chromium: $CHROMIUM, or the first of chromium, chromium-browser, google-chrome on the path.
"""

import argparse
import contextlib
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

PICTURES = Path(__file__).parent / "screenshots"
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
    if page.url.startswith("file:"):
        page.wait_for_selector("main[data-drawn=yes]", state="attached")
    elif page.locator("script[type=module][src*=times]").count() == 0 and page.locator("script[type=module]").count():
        page.wait_for_selector("#live.on", state="attached")
    page.wait_for_timeout(400)


def take(
    opened: Browser, url: str, out: Path, *, dark: bool = False, phone: bool = False, full: bool = False, height: int
) -> None:
    width = 390 if phone else 1360
    page = opened.new_page(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        device_scale_factor=2 if phone else 1,
    )
    page.on("console", lambda message: print(f"{message.type}: {message.text}", file=sys.stderr))
    page.on("pageerror", lambda error: print(f"error: {error}", file=sys.stderr))
    page.goto(url, wait_until="domcontentloaded")
    settle(page)
    if full:
        # Charts draw when they come into view, so the window grows to the page before the picture.
        tall = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": width, "height": min(int(tall), 12000)})
        page.wait_for_timeout(900)
    page.screenshot(path=out)
    page.close()


def newest_math_sweep(folder: Path) -> tuple[str, str]:
    """Addresses of the report and the page of the newest sweep called `math` that has both, starting its server."""
    from vishwam.server import local
    from vishwam.server.pages.html import address, slug

    server = local.start_or_reuse(folder)
    db = sqlite3.connect(f"{(folder / 'server.sqlite').absolute().as_uri()}?mode=ro", uri=True)
    db.row_factory = sqlite3.Row
    found = db.execute(
        """SELECT v.id, v.display_name, p.entity, p.name AS project, s.name AS sweep FROM sweeps s
           JOIN projects p ON p.id = s.project_id JOIN views v ON v.project_id = p.id
           AND v.description = 'Sweep ' || p.entity || '/' || p.name || '/' || s.name
           WHERE json_extract(s.config_json, '$.name') = 'math' ORDER BY s.created_at DESC"""
    ).fetchone()
    if found is None:
        raise SystemExit(f"{folder}: no sweep of experiments/math.yaml with a report; ./run.sh makes both")
    where = (found["entity"], found["project"])
    report = server.url + address(*where, "reports", slug(dict(found)))
    return report, server.url + address(*where, "sweeps", found["sweep"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?")
    parser.add_argument("out", nargs="?", type=Path)
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--phone", action="store_true", help="390 pixels wide instead of 1360")
    parser.add_argument("--full", action="store_true", help="the whole page, not the first screen")
    parser.add_argument("--height", type=int, default=900)
    arguments = parser.parse_args()
    if arguments.url and not arguments.out:
        parser.error("where to? name a file for the picture")
    with browser() as opened:
        if arguments.url:
            how = {"dark": arguments.dark, "phone": arguments.phone, "full": arguments.full}
            take(opened, arguments.url, arguments.out, height=arguments.height, **how)
            return
        from vishwam import state

        report, sweep = newest_math_sweep(state.folder() / "server")
        # As much of each as a reader of the README looks at.
        for url, name, height in ((report, "report.png", 2600), (sweep, "sweep.png", 1400)):
            take(opened, url, PICTURES / name, height=height)
            print(PICTURES / name)


if __name__ == "__main__":
    main()
