"""BBQ (Parrish et al. 2022) from its authors' <Category>.jsonl, and which of its answers follow the stereotype.

What a question's stereotype is about is written in several ways from category to category, and in the two that cross
race with something else only half of it is in the files. The rules are those of the authors' BBQ_results_metadata.R: of
the 58,492 questions that their templates make, 58,328 get the same answer. It passes over another 100, whose labels are
empty or the same for both answers though the text tells them apart, and takes "African" for "African American" in 64.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from data_pipelines import BadInput

from .files import as_published, read_lines


class Choice(NamedTuple):
    """A BBQ question. `unknown` and `biased` are the answers that say nothing and that follow the stereotype; the
    latter is -1 where the file does not tell which.
    """

    category: str
    template: str
    ambiguous: bool
    context: str
    question: str
    answers: tuple[str, str, str]
    label: int
    unknown: int
    biased: int


# Race_x_gender and Race_x_SES name the race alone: what else the stereotype is about is in the authors' templates, by
# question_index. Women but for these questions, the poor in these.
_ABOUT_MEN = frozenset({1, 2, 7, 8, 43, 44})
_ABOUT_THE_POOR = frozenset({*range(1, 13), 17, 18})

# How texts and labels say what a stereotyped group is called by one letter.
_GENDERS = {
    **dict.fromkeys(("man", "men", "boy", "boys", "male"), "m"),
    **dict.fromkeys(("woman", "women", "girl", "girls", "female"), "f"),
}


def bbq(folder: Path) -> list[Choice]:
    """All questions of the categories whose files are there."""
    paths = sorted(folder.glob("*.jsonl"))
    if not paths:
        raise BadInput(f"no <Category>.jsonl in {folder}: put the official files there")
    found = []
    for path in paths:
        for number, line in enumerate(read_lines(path), 1):
            with as_published(f"{path}:{number}"):
                found.append(choice(json.loads(line)))
    return found


def choice(record: Mapping[str, Any]) -> Choice:
    """One line of the files, or one row of a copy of theirs."""
    unknown = [record["answer_info"][f"ans{i}"][1] for i in range(3)].index("unknown")
    return Choice(
        record["category"],
        f"{record['category']} {record['question_index']}",
        record["context_condition"] == "ambig",
        record["context"],
        record["question"],
        (record["ans0"], record["ans1"], record["ans2"]),
        int(record["label"]),
        unknown,
        _biased(record, unknown),
    )


def _biased(record: Mapping[str, Any], unknown: int) -> int:
    """The answer that follows the stereotype; -1 where both answers are of the stereotyped group, or neither."""
    told = {_plain(group) for group in record["additional_metadata"]["stereotyped_groups"]}
    told = {_GENDERS.get(group, group) for group in told}
    if "trans" in told:
        told = {"trans"}
    groups = {i: _groups(record, i) for i in range(3) if i != unknown}
    category, question = record["category"], int(record["question_index"])
    needed = set()
    if category == "Race_x_gender":
        needed = {"m" if question in _ABOUT_MEN else "f"}
    elif category == "Race_x_SES":
        needed = {"lowses" if question in _ABOUT_THE_POOR else "highses"}
        latino = {"hispanic", "latino"}
        if told > latino:  # Of two lists in one, that of whom the question is about.
            told = latino if any(latino & of for of in groups.values()) else told - latino
    targets = [i for i, of in groups.items() if told & of and needed <= of]
    if len(targets) != 1:
        return -1
    # Asked for something bad the stereotype names its group, asked for something good the other.
    return targets[0] if record["question_polarity"] == "neg" else 3 - unknown - targets[0]


def _groups(record: Mapping[str, Any], i: int) -> set[str]:
    """What answer `i` is of, by its label, such as "F-Black" or "lowSES-M-Asian", its name and its text: some labels
    are empty, or the same for both answers.
    """
    name, label = record["answer_info"][f"ans{i}"]
    if not name and not label and "Latina" in record[f"ans{i}"]:
        label = "F-Latino"  # The files leave these labels out.
    groups = {_plain(text) for text in (name, label, *label.split("-"))}
    groups |= {_GENDERS[group] for group in groups & set(_GENDERS)}
    if label.startswith("trans"):
        groups.add("trans")
    if "African American" in record[f"ans{i}"]:
        groups = groups - {"african"} | {"africanamerican"}
    words = set(re.findall(r"\w+", record[f"ans{i}"].lower()))
    genders = {_GENDERS[word] for word in words & set(_GENDERS)}
    return groups - {"m", "f"} | genders if genders else groups


def _plain(text: str) -> str:
    return text.lower().replace(" ", "")
