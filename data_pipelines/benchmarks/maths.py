"""Benchmarks of mathematics and knowledge, from the files as their authors publish them.

    MMLU (Hendrycks et al. 2021)    {dev,test}/<subject>_{dev,test}.csv, without a header
    GSM8K (Cobbe et al. 2021)       {train,test}.jsonl
    MATH (Hendrycks et al. 2021)    {train,test}/<subject>/*.json
    SVAMP (Patel et al. 2021)       SVAMP.json
    ASDiv (Miao et al. 2020)        ASDiv.xml

Every reader gives splits of rows with the fields that lm-evaluation-harness asks for, and raises BadInput, which names
the file and the line or record, where something is not as published.
"""

import csv
import io
import json
import xml.etree.ElementTree as ElementTree
from math import isfinite
from pathlib import Path
from typing import Any

from data_pipelines import BadInput

from .files import as_published, find, read_json, read_lines, read_text

Rows = list[dict[str, Any]]
Splits = dict[str, Rows]

MATH_SUBJECTS = (
    "algebra",
    "counting_and_probability",
    "geometry",
    "intermediate_algebra",
    "number_theory",
    "prealgebra",
    "precalculus",
)
_LETTERS = ("A", "B", "C", "D")


def mmlu(folder: Path, subject: str) -> Splits:
    """Questions with four choices; `answer` is the right one's index."""
    splits = {}
    for split in ("dev", "test"):
        path = find(folder, f"{split}/{subject}_{split}.csv")
        rows = []
        with as_published(str(path)):
            records = list(csv.reader(io.StringIO(read_text(path), newline="")))
        for number, cells in enumerate(records, 1):
            with as_published(f"{path}: record {number}"):
                question, *choices, letter = cells
                if len(choices) != 4 or letter not in _LETTERS:
                    raise ValueError("a question, four choices and a letter from A to D are wanted")
                rows.append({"question": question, "choices": choices, "answer": _LETTERS.index(letter)})
        splits[split] = rows
    return splits


def gsm8k(folder: Path) -> Splits:
    """Word problems with worked answers that end in "#### 42"."""
    splits = {}
    for split in ("train", "test"):
        path = find(folder, f"{split}.jsonl")
        rows = []
        for number, line in enumerate(read_lines(path), 1):
            with as_published(f"{path}:{number}"):
                record = json.loads(line)
                if "#### " not in record["answer"]:
                    raise ValueError("the answer has no '#### '")
                rows.append({"question": record["question"], "answer": record["answer"]})
        splits[split] = rows
    return splits


def math(folder: Path, subject: str) -> Splits:
    """Competition problems with solutions whose answers stand in \\boxed{}."""
    splits: Splits = {}
    for split in ("train", "test"):
        place = folder / split / subject
        # Named by numbers, which sort as such.
        paths = sorted(place.glob("*.json"), key=lambda path: (len(path.stem), path.stem))
        if not paths:
            raise BadInput(f"no *.json in {place}: put the official files there")
        splits[split] = []
        for path in paths:
            with as_published(str(path)):
                record = read_json(path)
                if "\\boxed" not in record["solution"]:
                    raise ValueError("the solution has no \\boxed answer")
                splits[split].append({name: record[name] for name in ("problem", "level", "type", "solution")})
    return splits


def svamp(folder: Path) -> Splits:
    """Word problems of one step; `Answer` is a number as text."""
    path = find(folder, "SVAMP.json")
    rows = []
    with as_published(str(path)):
        records = list(read_json(path))
    for number, record in enumerate(records, 1):
        with as_published(f"{path}: problem {number}"):
            answer = float(record["Answer"])
            if not isfinite(answer):
                raise ValueError(f"Answer is {answer}")
            rows.append(
                {
                    "Body": record["Body"].strip(),
                    "Question": record["Question"].strip(),
                    "Answer": str(int(answer)) if answer.is_integer() else str(answer),
                }
            )
    return {"test": rows}


def asdiv(folder: Path) -> Splits:
    """Word problems of primary school; `answer` is as in "9 (apples)"."""
    path = find(folder, "ASDiv.xml")
    with as_published(str(path)):
        try:
            problems = ElementTree.fromstring(read_text(path)).findall(".//Problem")
        except ElementTree.ParseError as error:
            raise ValueError(error) from None
        if not problems:
            raise ValueError("no Problem in it")
    rows = []
    for number, problem in enumerate(problems, 1):
        with as_published(f"{path}: problem {number}"):
            texts = {name: problem.findtext(name) for name in ("Body", "Question", "Answer")}
            for name, text in texts.items():
                if text is None:
                    raise KeyError(name)
            rows.append({name.lower(): text for name, text in texts.items()})
    return {"validation": rows}
