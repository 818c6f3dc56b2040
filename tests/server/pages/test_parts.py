"""Vendored files, the addresses of reports, labels and importance."""

import hashlib
import random
import re

import pytest
from scipy.stats import spearmanr
from wandb_workspaces.reports.v2 import interface

from vishwam.server.pages import html, maths, queries, report
from vishwam.server.pages.importance import FEWEST_TRIALS, importance

VENDOR = html.STATIC / "vendor"


def test_vendored_files_are_the_published_ones():
    listed = dict(reversed(line.split("  ")) for line in (VENDOR / "SHA256SUMS").read_text().splitlines())
    found = {path.name: path for path in VENDOR.iterdir() if path.name != "SHA256SUMS"}
    assert listed.keys() == found.keys()
    for name, path in found.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == listed[name], name
    assert {"echarts.LICENSE", "uplot.LICENSE"} <= found.keys()


@pytest.mark.parametrize("number", [1, 12, 123, 4567])
def test_the_address_of_a_report_leads_back_to_it(number):
    name = f"Some--title--{report.view_name(number)}"
    assert report.view_id(name) == number
    assert report.view_id(name.rstrip("=")) == number
    assert interface._url_to_report_id(f"http://h/e/p/reports/{name.rstrip('=')}") == report.view_name(number)


@pytest.mark.parametrize("slug", ["", "T", "T--", "T--%%", "T--QUJD", "T--Vmlldzo="])
def test_an_address_of_no_report(slug):
    assert report.view_id(slug) is None


def run(**config):
    return {"name": "swift-sun-1", "config": config}


def test_runs_are_labelled_by_what_differs():
    runs = [run(lr=0.1, kind="rope", depth=2, flag=True), run(lr=0.003, kind="place", depth=2, flag=False)]
    knobs = queries.varied_knobs(runs)
    assert [queries.label(one, knobs) for one in runs] == ["lr 0.1 · rope · flag True", "lr 0.003 · place · flag False"]
    assert queries.label(run(lr=1), []) == "swift-sun-1"


def test_the_knobs_of_a_sweep_are_those_it_varies():
    parameters = {"a": {"value": 1}, "b": {"values": [1]}, "c": {"values": [1, 2]}, "d": {"min": 0, "max": 1},
                  "e": {"parameters": {"f": {"values": [1, 2]}}}}  # fmt: skip
    assert queries.varied_knobs([], {"parameters": parameters}) == ["c", "d", "e.f"]


def trials(count):
    rng = random.Random(1)
    found = []
    for i in range(count):
        strong, weak = rng.uniform(-1, 1), rng.uniform(-1, 1)
        config = {"strong": strong, "weak": weak, "kind": rng.choice("ab")}
        found.append({"id": str(i), "config": config, "loss": strong**3 + 0.01 * weak, "live": False})
    return found, {run["id"]: run["loss"] for run in found}


def spread(count, knobs):
    found, scores = trials(count)
    return found, knobs, scores


def test_importance_finds_the_knob_that_matters():
    found = importance(*spread(80, ["kind", "weak", "strong"]), maximize=False)
    assert found["rows"][0]["knob"] == "strong"
    assert found["rows"][0]["importance"] > 0.5
    assert abs(next(row for row in found["rows"] if row["knob"] == "kind")["correlation"]) < 0.3


def test_correlation_is_spearmans():
    found, scores = trials(30)
    for one in found:
        one["config"]["weak"] = round(one["config"]["weak"], 1)
    rows = {row["knob"]: row["correlation"] for row in importance(found, ["weak"], scores, False)["rows"]}
    expected = spearmanr([one["config"]["weak"] for one in found], list(scores.values()))
    assert rows["weak"] == pytest.approx(expected.statistic, abs=5e-4)


def test_few_trials_get_no_importance():
    rows = importance(*spread(FEWEST_TRIALS - 1, ["strong"]), False)["rows"]
    assert rows[0]["importance"] is None
    assert rows[0]["correlation"] > 0.9


@pytest.mark.parametrize(
    ("latex", "found"),
    [
        (r"\text{<img src=x onerror=1>}", "<mtext>&lt;img\xa0src=x\xa0onerror=1&gt;</mtext>"),
        (r"\text{&#x3c;script&#x3e;}", "<mtext>&lt;script&gt;</mtext>"),
        (r"\href{javascript:alert(1)}{x}", "<mi>x</mi>"),
        (r"\class{x\" onclick=\"1}{y}", "<mi>y</mi>"),
        (r"\frac{1}{", '<code class="math">\\frac{1}{</code>'),
        ("{" * 500 + "x" + "}" * 500, '<code class="math">{{'),
    ],
)
def test_a_formula_can_hold_no_markup(latex, found):
    drawn = maths.formula(latex)
    assert found in drawn
    assert not re.search(r"<(?!/?(m[a-z]+|code)\b)|href|onclick=|javascript:", drawn.replace("onclick=\\", ""))


def test_what_counts_as_a_formula_in_markdown():
    for text, count in {"$x$ and $y$": 2, "$5 and $6": 0, "$$\na\n$$": 1, "`$x$`": 0, r"\$x\$": 0, "$ x $": 0}.items():
        assert report.markdown(text).count("<math") == count, text


@pytest.mark.parametrize("maximize", [False, True])
def test_the_correlation_of_a_knob_of_words_is_that_of_its_telling_word(maximize):
    scores = [0.1, 2.0, 0.2, 1.9, 2.2, 2.1]
    words = ["place", "rope", "place", "rope", None, "none"]
    runs = [{"id": str(i), "live": False, "config": {"position": word}} for i, word in enumerate(words)]
    (row,) = importance(runs, ["position"], {str(i): score for i, score in enumerate(scores)}, maximize)["rows"]
    known = [(word == "place", score) for word, score in zip(words, scores, strict=True) if word]
    assert row["value"] == "place"
    assert row["correlation"] == pytest.approx(spearmanr(*zip(*known, strict=True)).statistic, abs=1e-3)
    # Of two words one says as much as the other: the better one is named.
    (row,) = importance(runs[:4], ["position"], {str(i): score for i, score in enumerate(scores)}, maximize)["rows"]
    assert row["value"] == ("rope" if maximize else "place")


def test_a_page_asks_for_its_scripts_once(site, page):
    site.world("asked")
    asked = []
    page.on("request", lambda request: asked.append(request.url.rsplit("/", 1)[-1]))
    page.goto(f"{site.url}/local/asked")
    page.wait_for_selector("#live.on", state="attached")
    scripts = [name for name in asked if name.endswith(".js")]
    assert sorted(scripts) == ["echarts-6.1.0.min.js", "project.page.js", "uplot-1.6.32.min.js"]
