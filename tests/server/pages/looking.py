"""What a person would see on a page: coloured ink on canvases, and waiting for it."""

import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Error

# The first colours of theme.js on a light page, by run.
COLORS = [(0, 114, 178), (213, 94, 0), (0, 158, 115), (196, 86, 154)]

_COUNT = """([canvas, colors]) => {
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const near = (i, color) => data[i + 3] > 120 && color.every((part, k) => Math.abs(data[i + k] - part) < 16);
  const count = colors.map(() => 0);
  for (let i = 0; i < data.length; i += 4) colors.forEach((color, k) => { if (near(i, color)) count[k] += 1; });
  return count;
}"""


def ink(page: Any, selector: str, colors: list[tuple[int, int, int]]) -> list[int]:
    """How many pixels of the first canvas inside `selector` have each of the colours."""
    canvas = page.locator(selector).first.locator("canvas").first
    try:
        canvas.scroll_into_view_if_needed()
        return page.evaluate(_COUNT, [canvas.element_handle(), colors])
    except Error:  # drawn anew meanwhile
        return page.evaluate(_COUNT, [canvas.element_handle(), colors])


def until(found: Callable[[], Any], seconds: float = 15.0) -> Any:
    """The first true value of `found`; fails with its last. (A page's policy forbids Playwright's own waiting.)"""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, f"still {value!r}"
        time.sleep(0.1)
    return value
