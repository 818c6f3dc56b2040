import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_pipelines import BadInput
from data_pipelines.modular_math import ModularMath
from data_pipelines.modular_math.modular_math_dataset_builder import Builder, MathConfig
from data_pipelines.packing import PackedRows
from data_pipelines.prepare import Kept, Plan, files, prepare, samples
from data_pipelines.tokenizer import load_tokenizer, make_character_tokenizer

MATH = ModularMath(("numbers__gcd", "arithmetic__mul"), seed=5)
COUNT, HELD_OUT = 25_000, 30
PLAN = Plan(MathConfig(name="two", math=MATH, train_count=COUNT, held_out_count=HELD_OUT), row_length=256)

# The same plan in a process of its own, so that it can be killed.
SCRIPT = """
import sys
from data_pipelines.prepare import prepare
from data_pipelines.tokenizer import load_tokenizer
from tests.data_pipelines.test_prepare import PLAN

if __name__ == "__main__":
    prepare(PLAN, sys.argv[1], load_tokenizer(sys.argv[2], True), int(sys.argv[3]))
"""


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory):
    return make_character_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def tokenizer(tokenizer_folder):
    return load_tokenizer(str(tokenizer_folder), True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tokenizer):
    folder = tmp_path_factory.mktemp("whole")
    return folder, prepare(PLAN, folder, tokenizer)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): (folder / path).read_bytes() for path in files(folder)}


def begin(folder: Path, tokenizer_folder: Path, workers: int) -> subprocess.Popen:
    script = folder.parent / "script.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        [sys.executable, str(script), str(folder), str(tokenizer_folder), str(workers)], env=environment
    )


def test_tfds_reads_every_split(whole):
    folder, facts = whole
    builder = tfds.builder_from_directory(folder / "modular_math" / "two" / str(Builder.VERSION))
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == facts["splits"]
    assert builder.info.splits["train"].num_shards == 3
    assert max(builder.info.splits["train"].shard_lengths) <= 10_000
    source, read = MATH.train_source(), builder.as_data_source("train")
    for index in (0, 9_999, 10_000, COUNT - 1):
        assert (read[index]["question"].decode(), read[index]["answer"].decode()) == source[index][1:3]
    sets = MATH.sets("interpolate")
    names = [record["set"].decode() for record in builder.as_data_source("interpolate")]
    assert names == [name for name in sets for _ in range(HELD_OUT)]
    assert "tensorflow" not in sys.modules


def test_packed_rows_hold_the_training_questions(whole, tokenizer):
    folder, facts = whole
    rows = PackedRows(folder, tokenizer)
    assert len(rows) == facts["packed"]["rows"]
    texts = set()
    for row in range(len(rows)):
        read = rows[row]
        for document in range(1, int(read["segments_T"].max()) + 1):
            texts.add(tokenizer.decode(read["tokens_T"][read["segments_T"] == document]))
    source = MATH.train_source()
    expected = {f"{question}\n{answer}" for _, question, answer, _ in map(source.__getitem__, range(COUNT))}
    assert texts == expected


def test_any_number_of_processes_writes_the_same_bytes(whole, tmp_path, tokenizer):
    prepare(PLAN, tmp_path / "by two", tokenizer, workers=2)
    assert contents(tmp_path / "by two") == contents(whole[0])


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_killed_in_the_middle_and_begun_again_writes_the_same_bytes(
    whole, tmp_path, tokenizer, tokenizer_folder, workers
):
    folder = tmp_path / "killed"
    process = begin(folder, tokenizer_folder, workers)
    first = folder / ".progress" / "train-00000.json"
    deadline = time.monotonic() + 60
    while not first.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert first.exists() and not (folder / "dataset.json").exists()
    written = {path: path.stat().st_mtime_ns for path in folder.rglob("*train*00000-of*")}
    # Cut off while it was written, and left under its temporary name.
    (folder / "rows-00000.123456").write_bytes(b"half")
    [torn] = folder.rglob("*interpolate*00000-of*")
    torn.write_bytes(torn.read_bytes()[:1000])

    def last_gasp(*_):
        """What a worker of the killed one, not dead yet, may leave after the new one has begun."""
        (folder / "rows-00001.123457").touch()

    prepare(PLAN, folder, tokenizer, progress=last_gasp)
    assert contents(folder) == contents(whole[0])
    # What was done is not done again.
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_two_at_once_are_refused(whole, tokenizer):
    folder = whole[0]
    with (folder / ".progress" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BadInput, match="another `vishwam prepare` is writing"):
            prepare(PLAN, folder, tokenizer)


def test_another_plan_or_a_foreign_folder_is_refused(whole, tmp_path, tokenizer):
    other = Plan(MathConfig(name="two", math=MATH, train_count=COUNT + 1, held_out_count=HELD_OUT), row_length=256)
    with pytest.raises(BadInput, match=r"begun with train_count 25000, not 25001: give another --out"):
        prepare(other, whole[0], tokenizer)
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(BadInput, match=r"holds letter\.txt and no data set"):
        prepare(PLAN, tmp_path, tokenizer)


def test_questions_of_an_evaluation_set_are_removed(tmp_path, tokenizer):
    source = MATH.train_source()
    planted = {3: source[3], 117: source[117], 399: source[399]}
    for split in ("interpolate", "extrapolate"):
        (tmp_path / "released" / split).mkdir(parents=True)
    lines = "".join(f"{question.question}\n{question.answer}\n" for question in planted.values())
    (tmp_path / "released" / "interpolate" / "some.txt").write_text(lines)
    (tmp_path / "released" / "extrapolate" / "far.txt").write_text("What is far?\n1\n")
    config = MathConfig(name="two", math=MATH, train_count=400, held_out_count=5)
    folder = tmp_path / "out"
    facts = prepare(Plan(config, 256, str(tmp_path / "released")), folder, tokenizer)
    assert facts["removed"] == 3 and facts["splits"]["train"] == 397
    assert facts["leaks"]["train"]["by_set"] == {"released interpolate/some": 3}
    assert facts["leaks"]["train"]["near_duplicates"] == 3
    read = tfds.builder_from_directory(folder / "modular_math" / "two" / str(Builder.VERSION)).as_data_source("train")
    left = [int(record["index"]) for record in read]
    assert left == [index for index in range(400) if index not in planted]
    rows = PackedRows(folder, tokenizer)
    documents = sum(int(rows[row]["segments_T"].max()) for row in range(len(rows)))
    assert documents == 397
    assert "| train | `released interpolate/some` | 3 |" in (folder / "README.md").read_text()


def test_a_wrong_folder_of_released_files_is_refused_before_any_work(tmp_path, tokenizer):
    plan = Plan(PLAN.config, 256, str(tmp_path / "nowhere"))
    with pytest.raises(BadInput, match=r"nowhere.interpolate: no \.txt files"):
        prepare(plan, tmp_path / "out", tokenizer)
    assert files(tmp_path / "out") == []


def test_kept_leaves_out_what_is_removed():
    source = MATH.train_source()
    removed = [0, 1, 5, 9]
    kept = Kept(source, removed)
    expected = [source[index] for index in range(20) if index not in removed]
    assert [kept[index] for index in range(16)] == expected


def test_the_card_says_what_there_is(whole):
    folder, facts = whole
    card = (folder / "README.md").read_text()
    for module, count in facts["sets"]["train"].items():
        assert f"| `{module}` | {count} | {HELD_OUT} | {HELD_OUT} |" in card
    assert np.isclose(sum(facts["sets"]["train"].values()), COUNT)
    assert "- seed: 5;" in card and "licence: Apache-2.0" in card
    assert "| `numbers__gcd` | the greatest common" in card.lower() and "numbers__lcm" not in card


def test_samples_are_of_every_set():
    found = {(split, name) for split, name, _ in samples(PLAN)}
    assert found == {
        *((split, module) for split in ("train", "validation", "interpolate") for module in MATH.modules),
        ("extrapolate", "arithmetic__mul_big"),
    }
