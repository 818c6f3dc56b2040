"""`vishwam memory RUN`: the course of a run's memory from W&B, as text, page and picture."""

import dataclasses
import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.screenshots import browser, chromium
from vishwam import course
from vishwam.course import Course
from vishwam.errors import BadInput

VISHWAM = str(Path(sys.executable).parent / "vishwam")
GB = 1e9
TIMES = [float(i) for i in range(101)]
PHASE = [0.0] * 10 + [1.0] * 20 + [2.0] * 50 + [3.0] * 15 + [4.0] * 1 + [2.0] * 5
SUMMARY = {"memory/predicted_peak": 40 * GB, "memory/measured_peak": 42 * GB, "memory/largest_batch": 1234}


def on_a_gpu(limit=60 * GB):
    return Course(
        "me/maths/r1",
        "place <b>",
        "finished",
        {
            "memory/device_used": (TIMES, [61 * GB] * 101),
            "memory/device_reserved": (TIMES, [0.5 * GB] * 101),
            "memory/allocator_peak": (TIMES, [0.42 * GB * i for i in range(101)]),
            "memory/host_rss": (TIMES, [4 * GB] * 101),
            "memory/limit": (TIMES, [limit] * 101),
            "memory/headroom": (TIMES, [1 - 0.007 * i for i in range(101)]),
            "memory/phase": (TIMES, PHASE),
        },
        SUMMARY,
    )


def test_the_text_has_each_line_each_phase_and_the_comparison():
    said = course.text(on_a_gpu())
    lines = said.splitlines()
    assert lines[0] == "me/maths/r1  place <b>, finished"
    row = next(line for line in lines if line.startswith("JAX's peak"))
    assert row.split()[2:10] == ["0", "B", "21", "GB", "42", "GB", "42", "GB"]
    cells = row.split()[-1]
    assert cells == "".join(sorted(cells)) and set(cells) == set(course.SPARKS) and len(cells) == course.WIDTH
    marks = next(line for line in lines if line.startswith("phase ") and "sss" in line).split()[-1]
    assert marks == "ssss" + "c" * 10 + "t" * 24 + "e" * 7 + "k" + "t" * 2
    assert "compile" in said and "20 s" in said
    said = course.sentences(on_a_gpu())
    assert said[0] == "Predicted peak of a training step 40 GB; measured 42 GB (+5%)."
    assert "about 1,234" in said[1]


def test_which_phase_took_most_and_of_how_many_devices():
    one = dataclasses.replace(on_a_gpu(), summary=SUMMARY | {"memory/peak_phase": "evaluate"}, devices=2)
    said = course.sentences(one)
    assert said[:2] == [
        "Of 2 devices, each figure is that of the fullest.",
        "Predicted peak of an evaluation 40 GB; measured 42 GB (+5%).",
    ]
    assert course.as_html(one).count("Predicted peak") == 1


def test_a_limit_far_above_is_said_and_not_drawn():
    assert not on_a_gpu().limit_is_far()
    page = course.as_html(on_a_gpu(1000 * GB))
    assert "The limit, 1.0 TB, is far above the chart." in page
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    assert "limit" not in [line["label"] for line in data["lines"]]


PIXEL = """x => [...document.querySelector("canvas").getContext("2d").getImageData(
    plot.valToPos(x, "x", true), plot.bbox.top + 40, 1, 1).data]"""


def test_the_page_draws_itself_with_nothing_from_anywhere(tmp_path):
    if chromium() is None:
        pytest.skip("no Chromium on this machine")
    file = tmp_path / "memory.html"
    file.write_text(course.as_html(on_a_gpu()))
    asked, wrong = [], []
    with browser() as opened:
        page = opened.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(file.as_uri())
        page.wait_for_selector("canvas")
        labels = page.locator(".u-legend .u-label").all_inner_texts()
        # The band of the compilation has another colour than training's, which has none.
        compiling, training = (page.evaluate(PIXEL, at) for at in (15.5, 55.5))
    assert asked == [file.as_uri()] and not wrong
    assert [label for label in labels if label != "after"] == [
        "used on the device", "kept by its driver", "JAX's peak", "host memory", "limit",
    ]  # fmt: skip
    assert compiling != training and compiling[3] > 0


def test_the_picture_is_a_png(tmp_path):
    course.draw(on_a_gpu(), tmp_path / "memory.png")
    content = (tmp_path / "memory.png").read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    assert width > 1000 and height > 500


LOGGING = """
import wandb
with wandb.init(project="courses", id="watched") as run:
    for i in range(5):
        run.log({"memory/host_rss": 1e9 + i * 1e8, "memory/phase": min(i, 2), "memory/limit": 8e9})
        run.log({"train/step": i, "train/loss": 1.0})
    run.summary["memory/predicted_peak"] = 2e8
with wandb.init(project="courses", id="unwatched") as run:
    run.log({"train/loss": 1.0})
"""


def test_the_command_on_a_real_run(client_env, tmp_path):
    subprocess.run([sys.executable, "-c", LOGGING], env=client_env, check=True, capture_output=True, timeout=120)
    environment = client_env | {"WANDB_PROJECT": "courses", "VISHWAM_HOME": str(tmp_path / "state")}

    def memory(*arguments):
        command = [VISHWAM, "memory", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    done = memory("watched", "--html", str(tmp_path / "m.html"), "--png", str(tmp_path / "m.png"))
    assert done.returncode == 0, done.stderr
    assert "1.4 GB" in done.stdout and "Predicted peak of a training step 200 MB." in done.stdout
    assert "compile" in done.stdout
    assert (tmp_path / "m.html").stat().st_size > 50_000 and (tmp_path / "m.png").stat().st_size > 10_000
    for name, said in (("wachted", "did you mean 'watched'?"), ("unwatched", "has logged no memory")):
        wrong = memory(name)
        assert wrong.returncode == 2 and said in wrong.stderr.splitlines()[-1], wrong.stderr
        assert "Traceback" not in wrong.stderr


def test_what_cannot_be_read_or_written_is_said(monkeypatch, tmp_path):
    with pytest.raises(BadInput, match="'a/b/c/d' is no run"):
        course.fetch("a/b/c/d")
    monkeypatch.setattr(course, "fetch", lambda path: on_a_gpu())
    with pytest.raises(BadInput, match=r"m\.docx"):
        course.run("r1", None, tmp_path / "m.docx", lambda line: None)
    with pytest.raises(BadInput, match=r"m\.html: No such file"):
        course.run("r1", tmp_path / "no" / "m.html", None, lambda line: None)
