"""Files in the formats of published benchmarks of maths, with problems of our own."""

import csv
import json
from pathlib import Path

SUBJECTS = ("abstract_algebra", "college_mathematics", "elementary_mathematics", "high_school_mathematics",
            "high_school_statistics")  # fmt: skip


def write_mmlu(folder: Path, subjects=SUBJECTS, items: int = 12) -> None:
    for split, count in (("dev", 5), ("test", items)):
        (folder / split).mkdir(parents=True, exist_ok=True)
        for subject in subjects:
            with (folder / split / f"{subject}_{split}.csv").open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                for i in range(count):
                    # A line break and a comma stand inside cells of the published files, too.
                    question = f"What is {i} + {len(subject)},\ntaken twice?"
                    right = 2 * (i + len(subject))
                    choices = [right + (j - i) % 4 for j in range(4)]
                    writer.writerow([question, *choices, "ABCD"[choices.index(right)]])


def write_gsm8k(folder: Path, items: int = 6) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", 8), ("test", items)):
        lines = [
            json.dumps(
                {
                    "question": f"Ada has {i + 2} apples\u2028and buys {i}. How many has she?",
                    "answer": f"She has {i + 2} + {i} = <<{i + 2}+{i}={2 * i + 2}>>{2 * i + 2}.\n#### {2 * i + 2}",
                },
                ensure_ascii=False,
            )
            for i in range(count)
        ]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_math(folder: Path) -> None:
    from data_pipelines.benchmarks.maths import MATH_SUBJECTS

    for split in ("train", "test"):
        for subject in MATH_SUBJECTS:
            place = folder / split / subject
            place.mkdir(parents=True)
            for i in (2, 10, 1):
                record = {
                    "problem": f"What is ${i}^2$?",
                    "level": "Level 1",
                    "type": "Algebra",
                    "solution": f"It is $\\boxed{{{i * i}}}$.",
                }
                (place / f"{i}.json").write_text(json.dumps(record))


def write_svamp(folder: Path, items: int = 6) -> None:
    folder.mkdir(parents=True)
    records = [
        {"ID": f"chal-{i}", "Body": f"Bo had {i + 9} pens. ", "Question": f"He gave {i} away. How many are left?",
         "Equation": f"( {i + 9}.0 - {i}.0 )", "Answer": 9.5 if i == 1 else 9.0, "Type": "Subtraction"}
        for i in range(items)
    ]  # fmt: skip
    (folder / "SVAMP.json").write_text(json.dumps(records))


def write_asdiv(folder: Path, items: int = 4) -> None:
    folder.mkdir(parents=True)
    problems = "".join(
        f'<Problem ID="nluds-{i}" Grade="1"><Body>Cy sees {i} dogs.</Body><Solution-Type>Addition</Solution-Type>'
        f"<Question>How many legs?</Question><Answer>{4 * i} (legs)</Answer><Formula>4*{i}</Formula></Problem>"
        for i in range(1, items + 1)
    )
    text = f'<?xml version="1.0" encoding="UTF-8"?><Machine-Reading-Corpus-File><ProblemSet>{problems}</ProblemSet>'
    (folder / "ASDiv.xml").write_text(text + "</Machine-Reading-Corpus-File>")
