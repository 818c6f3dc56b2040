import json

import pytest

from data_pipelines import BadInput
from data_pipelines.benchmarks import maths
from tests.evaluation import official


def test_mmlu(tmp_path):
    official.write_mmlu(tmp_path)
    splits = maths.mmlu(tmp_path, "abstract_algebra")
    assert {split: len(rows) for split, rows in splits.items()} == {"dev": 5, "test": 12}
    third = splits["test"][2]
    assert third["question"] == "What is 2 + 16,\ntaken twice?"
    assert third["choices"][third["answer"]] == "36"


def test_gsm8k(tmp_path):
    official.write_gsm8k(tmp_path)
    splits = maths.gsm8k(tmp_path)
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 8, "test": 6}
    assert splits["test"][1]["answer"].endswith("#### 4")
    assert "\u2028" in splits["test"][1]["question"], "which is no end of a line"


def test_math_in_the_order_of_its_numbers(tmp_path):
    official.write_math(tmp_path)
    splits = maths.math(tmp_path, "number_theory")
    assert [row["solution"] for row in splits["test"]] == [f"It is $\\boxed{{{n}}}$." for n in (1, 4, 100)]


def test_svamp_and_asdiv(tmp_path):
    official.write_svamp(tmp_path / "svamp")
    official.write_asdiv(tmp_path / "asdiv")
    rows = maths.svamp(tmp_path / "svamp")["test"]
    assert rows[0] == {"Body": "Bo had 9 pens.", "Question": "He gave 0 away. How many are left?", "Answer": "9"}
    assert rows[1]["Answer"] == "9.5"
    rows = maths.asdiv(tmp_path / "asdiv")["validation"]
    assert rows[1] == {"body": "Cy sees 2 dogs.", "question": "How many legs?", "answer": "8 (legs)"}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("test/abstract_algebra_test.csv", "q,1,2,3,4,A\nq,1,2,3,4,\n", r"_test.csv: record 2: not as published"),
        ("test/abstract_algebra_test.csv", "q,1,2,3,4,AB\n", "record 1"),
        ("test/abstract_algebra_test.csv", b"\xff\xfe", "not as published"),
        ("test.jsonl", '{"question": "q"}\n', "test.jsonl:1: no 'answer' here"),
        ("test.jsonl", '{"question": "q", "answer": "4"}\n', "has no '#### '"),
        ("test.jsonl", '{"question"', "test.jsonl:1: not as published"),
        (
            "test.jsonl",
            "version https://git-lfs.github.com/spec/v1\noid sha256:9\nsize 1\n",
            "only a pointer of Git LFS",
        ),
        ("SVAMP.json", "7", "SVAMP.json: not as published"),
        ("SVAMP.json", '[{"Body": "b", "Question": "q", "Answer": NaN}]', "problem 1: not as published"),
        ("ASDiv.xml", "<a>", "ASDiv.xml: not as published"),
        ("ASDiv.xml", "<a><Problem><Body>b</Body></Problem></a>", "problem 1: no 'Question'"),
    ],
)
def test_what_is_not_as_published_is_named(tmp_path, name, text, said):
    official.write_mmlu(tmp_path)
    official.write_gsm8k(tmp_path)
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    readers = {
        "csv": lambda: maths.mmlu(tmp_path, "abstract_algebra"),
        "jsonl": lambda: maths.gsm8k(tmp_path),
        "json": lambda: maths.svamp(tmp_path),
        "xml": lambda: maths.asdiv(tmp_path),
    }
    with pytest.raises(BadInput, match=said):
        readers[name.rpartition(".")[2]]()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"no test\.jsonl in"):
        official.write_gsm8k(tmp_path)
        (tmp_path / "test.jsonl").unlink()
        maths.gsm8k(tmp_path)
    with pytest.raises(BadInput, match=r"no \*.json in .*algebra"):
        maths.math(tmp_path, "algebra")


def test_a_solution_without_an_answer_is_named(tmp_path):
    official.write_math(tmp_path)
    path = tmp_path / "test" / "geometry" / "10.json"
    path.write_text(json.dumps({"problem": "p", "level": "l", "type": "t", "solution": "none"}))
    with pytest.raises(BadInput, match=r"10\.json: not as published"):
        maths.math(tmp_path, "geometry")
