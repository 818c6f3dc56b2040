"""A saved report (the spec that wandb-workspaces writes) as HTML: its text here, its panels by report.js.

Everything written by a person is escaped; Markdown is rendered with raw HTML switched off.
"""

import base64
import binascii
import json
import re
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from vishwam.server.pages import custom, maths

_MARKDOWN = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
maths.add_maths(_MARKDOWN)


def view_id(slug: str) -> int | None:
    """The number in `Title--Vmlldzo3`: what follows the last `--` is base64 of `View:7`; the padding may be missing."""
    text = slug.rsplit("--", 1)[-1]
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    found = re.fullmatch(r"View:(\d+)", decoded)
    return int(found[1]) if found else None


def view_name(number: int) -> str:
    """The end of a report's address: base64 of `View:<number>`, as `Report.url` writes it."""
    return base64.b64encode(f"View:{number}".encode()).decode()


def markdown(text: str) -> Markup:
    return Markup(_MARKDOWN.render(text))


def parse(spec_json: str) -> dict:
    spec = json.loads(spec_json or "{}")
    return spec if isinstance(spec, dict) else {}


def width(spec: dict) -> str:
    return spec["width"] if spec.get("width") in ("readable", "fixed", "fluid") else "readable"


def blocks(spec: dict) -> list[dict]:
    """What the template draws, in order: {'html': Markup} or {'grid': number of the panel grid, 'title': ...}."""
    found: list[dict] = []
    _collect(spec.get("blocks"), found, {"grids": 0}, spec)
    return found


def grids(spec: dict) -> list[dict]:
    """The panel grids of a report, numbered as `blocks` numbers them."""
    found: list[dict] = []

    def walk(items: Any) -> None:
        for block in _dicts(items):
            if block.get("type") == "panel-grid":
                found.append(block.get("metadata") or {})
            walk(block.get("collapsedChildren"))

    walk(spec.get("blocks"))
    return found


def panels(grid: dict) -> list[dict]:
    """The panels of a grid: the section of the report, or the open sections of a panel bank.

    A query panel that only shows a table gets its name as `table`, one that shows an artifact gets `artifact`, and a
    custom chart what it asks for as `chart`.
    """
    section = grid.get("panelBankSectionConfig") or {}
    found = _dicts(section.get("panels"))
    for bank in _dicts((grid.get("panelBankConfig") or {}).get("sections")):
        if bank.get("isOpen"):
            found.extend(_dicts(bank.get("panels")))
    return [_understood(panel) for panel in found]


def columns(grid: dict) -> list[str]:
    """The columns that the run sets of a grid show, pinned ones first, as W&B's accessors (`config:lr.value`)."""
    found: dict[str, None] = {}
    for runset in _dicts(grid.get("runSets")):
        feed = runset.get("runFeed") or {}
        visible = feed.get("columnVisible") or {}
        named = [*(feed.get("columnPinned") or {}), *(feed.get("columnOrder") or []), *visible]
        found.update({str(name): None for name in named if visible.get(name, True)})
    return list(found)


def _understood(panel: dict) -> dict:
    config = panel.get("config")
    if not isinstance(config, dict):
        return panel
    if panel.get("viewType") == "Vega2":
        return {**panel, "chart": custom.chart(config)}
    query = config.get("panel2Config")
    shown = {"table": summary_table(query), "artifact": shown_artifact(query)}
    return panel | {name: value for name, value in shown.items() if value}


def _collect(items: Any, found: list[dict], count: dict, spec: dict) -> None:
    for block in _dicts(items):
        kind = block.get("type", "")
        if kind == "panel-grid":
            found.append({"grid": count["grids"]})
            count["grids"] += 1
            continue
        if kind == "table-of-contents":
            found.append({"html": _contents(spec)})
            continue
        if kind == "weave-panel":
            query = (block.get("config") or {}).get("panelConfig")
            shown = {"table": summary_table(query), "artifact": shown_artifact(query)}
            shown = {name: value for name, value in shown.items() if value}
            if shown:
                found.append(shown)
                continue
        render = _BLOCKS.get(kind)
        html = render(block) if render else _placeholder(kind)
        if html:
            found.append({"html": html})
        if block.get("collapsedChildren"):
            inner: list[dict] = []
            _collect(block["collapsedChildren"], inner, count, spec)
            found.append({"inside": inner})


def _dicts(value: Any) -> list[dict]:
    """The dictionaries of a list; nothing for anything else, since a spec is stored as the client sent it."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _level(block: dict) -> int:
    level = block.get("level")
    return min(max(level, 1), 3) if isinstance(level, int) else 1


def _inline(children: Any) -> Markup:
    """Runs of text: plain, code, bold, links, formulas."""
    parts = []
    for child in _dicts(children):
        if child.get("type") == "link":
            parts.append(_link(str(child.get("url") or ""), _inline(child.get("children"))))
        elif child.get("type") == "latex":
            parts.append(maths.formula(str(child.get("content") or "")))
        elif "children" in child:
            parts.append(_inline(child["children"]))
        else:
            parts.append(_text(child))
    return Markup("").join(parts)


def _text(child: dict) -> Markup:
    text = escape(child.get("text") or "")
    marks = (("inlineCode", "code"), ("bold", "strong"), ("italic", "em"), ("strikethrough", "s"), ("underline", "u"))
    for name, tag in marks:
        if child.get(name) and text:
            text = Markup(f"<{tag}>{{}}</{tag}>").format(text)
    return text


def _link(url: str, text: Markup) -> Markup:
    if not _MARKDOWN.validateLink(url) or not re.match(r"(https?://|mailto:|/|#)", url):
        return text
    return Markup('<a href="{}" rel="noopener noreferrer">{}</a>').format(url, text)


def _plain(children: Any) -> str:
    return "".join(
        str(child.get("text") or "") if "text" in child else _plain(child.get("children")) for child in _dicts(children)
    )


def _slug(text: str) -> str:
    return "h-" + (re.sub(r"[^\w]+", "-", text.lower()).strip("-") or "section")


def _heading(block: dict) -> Markup:
    level = _level(block) + 1
    text = _plain(block.get("children"))
    return Markup(f'<h{level} id="{{}}">{{}}</h{level}>').format(_slug(text), _inline(block.get("children")))


def _paragraph(block: dict) -> Markup | None:
    text = _inline(block.get("children"))
    return Markup("<p>{}</p>").format(text) if text.strip() else None


def _list(block: dict) -> Markup:
    items = []
    for item in _dicts(block.get("children")):
        checked = item.get("checked")
        box = (
            ""
            if checked is None
            else Markup('<input type="checkbox" disabled{}> ').format(Markup(" checked") if checked else "")
        )
        items.append(Markup("<li>{}{}</li>").format(box, _inline(item.get("children"))))
    tag = "ol" if block.get("ordered") or any(i.get("ordered") for i in _dicts(block.get("children"))) else "ul"
    return Markup(f"<{tag}>{{}}</{tag}>").format(Markup("").join(items))


def _code(block: dict) -> Markup:
    lines = "\n".join(_plain(line.get("children")) for line in _dicts(block.get("children")))
    return Markup("<pre><code>{}</code></pre>").format(lines)


def _callout(block: dict) -> Markup:
    lines = [Markup("<p>{}</p>").format(_inline(line.get("children"))) for line in _dicts(block.get("children"))]
    return Markup('<aside class="callout">{}</aside>').format(Markup("").join(lines))


def _image(block: dict) -> Markup:
    url, caption = str(block.get("url") or ""), _inline(block.get("children"))
    if url.startswith("data:image/") or re.match(r"/(?!/)", url):
        return Markup('<figure><img src="{}" alt="{}"><figcaption>{}</figcaption></figure>').format(
            url, _plain(block.get("children")), caption
        )
    # Nothing is fetched from outside by reading a report.
    return Markup('<p class="outside">Image elsewhere: {} {}</p>').format(_link(url, escape(url)), caption)


def _gallery(block: dict) -> Markup:
    items = []
    for link in _dicts(block.get("links")):
        url = str(link.get("url") or "")
        text = escape(link.get("title") or url or "report " + str(link.get("id") or ""))
        items.append(Markup("<li>{}</li>").format(_link(url, text)))
    return Markup("<ul>{}</ul>").format(Markup("").join(items))


def _contents(spec: dict) -> Markup:
    items = []
    for block in _dicts(spec.get("blocks")):
        if block.get("type") == "heading" and _plain(block.get("children")):
            text = _plain(block.get("children"))
            items.append(
                Markup('<li class="level-{}"><a href="#{}">{}</a></li>').format(_level(block), _slug(text), text)
            )
    return Markup('<nav class="contents" aria-label="Contents"><ul>{}</ul></nav>').format(Markup("").join(items))


def _placeholder(kind: str) -> Markup:
    return Markup('<p class="outside">A block of the kind “{}” is not drawn here.</p>').format(kind or "unknown")


def summary_table(config: Any) -> str | None:
    """The key picked from the runs' summaries in one of W&B's query panels; None when it asks something else."""
    try:
        operation = config["exp"]["fromOp"]
        key = operation["inputs"]["key"]["val"]
    except (KeyError, TypeError):
        return None
    return key if operation.get("name") == "pick" and isinstance(key, str) else None


def shown_artifact(config: Any) -> dict | None:
    """{'name', 'version', 'file'} of the artifact that one of W&B's query panels shows; None when it asks otherwise."""
    try:
        inputs = config["exp"]["fromOp"]["inputs"]
        version = inputs.get("artifactVersion")
        inside = version["fromOp"]["inputs"] if version else inputs
        name = inside["artifactName"]["val"]
        alias = inside["artifactVersionAlias"]["val"] if version else None
        file = inputs["path"]["val"] if version else None
    except (KeyError, TypeError, AttributeError):
        return None
    return {"name": name, "version": alias, "file": file} if isinstance(name, str) and name else None


_BLOCKS = {
    "heading": _heading,
    "paragraph": _paragraph,
    "default": _paragraph,
    "list": _list,
    "code-block": _code,
    "callout-block": _callout,
    "image": _image,
    "gallery": _gallery,
    "markdown-block": lambda block: markdown(str(block.get("content") or "")),
    "latex": lambda block: Markup("<p>{}</p>").format(maths.formula(str(block.get("content") or ""), True)),
    "block-quote": lambda block: Markup("<blockquote>{}</blockquote>").format(_inline(block.get("children"))),
    "horizontal-rule": lambda block: Markup("<hr>"),
    "video": lambda block: Markup('<p class="outside">Video: {}</p>').format(
        _link(str(block.get("url") or ""), escape(block.get("url") or ""))
    ),
}
