"""Benchmarks of social bias, from the files as their authors publish them.

    CrowS-Pairs (Nangia et al. 2020)   crows_pairs_anonymized.csv
    StereoSet (Nadeem et al. 2021)     dev.json
    WinoBias (Zhao et al. 2018)        {pro,anti}_stereotyped_type{1,2}.txt.{dev,test}
    Winogender (Rudinger et al. 2018)  templates.tsv, occupations-stats.tsv
    BBQ (Parrish et al. 2022)          <Category>.jsonl
    BOLD (Dhamala et al. 2021)         <domain>_prompt.json

All readers raise BadInput, which names the file and the line or record, where something is not as published.
"""

import csv
import io
import json
import re
from pathlib import Path
from typing import NamedTuple

from data_pipelines import BadInput

from .files import as_published, find, read_json, read_lines


class Pair(NamedTuple):
    """Two sentences of which one stereotypes `more`; `kind` is the sort of bias or of sentence."""

    more: str
    less: str
    kind: str


class Triple(NamedTuple):
    """Three ways to go on, or to fill a gap; `context` is empty where the sentences stand alone."""

    target: str
    kind: str
    context: str
    stereotype: str
    anti: str
    unrelated: str


class Schema(NamedTuple):
    """A Winogender sentence in three genders, and the share of women in its occupation (BLS, percent)."""

    occupation: str
    male: str
    female: str
    neutral: str
    women: float


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


class Prompt(NamedTuple):
    """The beginning of a Wikipedia article on somebody of a group."""

    domain: str
    group: str
    text: str


def crows_pairs(folder: Path) -> list[Pair]:
    """The pairs of CrowS-Pairs."""
    path = find(folder, "crows_pairs_anonymized.csv")
    with as_published(str(path)):
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    pairs = []
    for number, row in enumerate(rows, 2):
        with as_published(f"{path}:{number}"):
            if row["stereo_antistereo"] not in ("stereo", "antistereo"):
                raise ValueError(f"stereo_antistereo is {row['stereo_antistereo']!r}")
            pairs.append(Pair(row["sent_more"].strip(), row["sent_less"].strip(), row["bias_type"]))
    return pairs


def stereoset(folder: Path) -> dict[str, list[Triple]]:
    """The triples of StereoSet under "intrasentence" and "intersentence"."""
    path = find(folder, "dev.json")
    data = read_json(path)
    found: dict[str, list[Triple]] = {}
    for task in ("intrasentence", "intersentence"):
        with as_published(str(path)):
            records = data["data"][task]
        for number, record in enumerate(records):
            with as_published(f"{path}: {task} {number}"):
                said = {sentence["gold_label"]: sentence["sentence"] for sentence in record["sentences"]}
                context = record["context"] if task == "intersentence" else ""
                found.setdefault(task, []).append(
                    Triple(record["target"], record["bias_type"], context,
                           said["stereotype"], said["anti-stereotype"], said["unrelated"])
                )  # fmt: skip
    return found


def winobias(folder: Path, part: str = "test") -> list[Pair]:
    """The sentences of WinoBias in pairs that differ in the pronoun's gender, `more` the pro-stereotyped one."""
    pairs = []
    for kind in ("type1", "type2"):
        paths = [find(folder, f"{side}_stereotyped_{kind}.txt.{part}") for side in ("pro", "anti")]
        sides = [[line for line in read_lines(path) if line.strip()] for path in paths]
        if len(sides[0]) != len(sides[1]):
            raise BadInput(f"{paths[0]} has {len(sides[0])} sentences, and {paths[1].name} {len(sides[1])}")
        for number, (pro, anti) in enumerate(zip(*sides, strict=True), 1):
            with as_published(f"{paths[0]}:{number}"):
                pairs.append(Pair(_plain(pro), _plain(anti), kind))
    return pairs


def _plain(line: str) -> str:
    """`1 [The developer] argued with the designer because [he] ...` without number and brackets."""
    number, _, text = line.strip().partition(" ")
    if not number.isdigit() or "[" not in text:
        raise ValueError(f"{line!r} does not start with a number, or marks nobody")
    return re.sub(r"[\[\]]", "", text)


_PRONOUNS = {
    "male": {"$NOM_PRONOUN": "he", "$POSS_PRONOUN": "his", "$ACC_PRONOUN": "him"},
    "female": {"$NOM_PRONOUN": "she", "$POSS_PRONOUN": "her", "$ACC_PRONOUN": "her"},
    "neutral": {"$NOM_PRONOUN": "they", "$POSS_PRONOUN": "their", "$ACC_PRONOUN": "them"},
}


def winogender(folder: Path) -> list[Schema]:
    """The sentences of Winogender about the occupation and its named participant."""
    stats = find(folder, "occupations-stats.tsv")
    women: dict[str, float] = {}
    for number, line in enumerate(read_lines(stats)[1:], 2):
        with as_published(f"{stats}:{number}"):
            occupation, _, share = line.split("\t")
            women[occupation] = float(share)
    path = find(folder, "templates.tsv")
    found = []
    for number, line in enumerate(read_lines(path)[1:], 2):
        with as_published(f"{path}:{number}"):
            occupation, participant, _, text = line.split("\t")
            text = text.replace("$OCCUPATION", occupation).replace("$PARTICIPANT", participant)
            said = {}
            for gender, pronouns in _PRONOUNS.items():
                filled = text
                for slot, pronoun in pronouns.items():
                    filled = filled.replace(slot, pronoun)
                said[gender] = filled
            # The verb goes with the pronoun.
            neutral = re.sub(r"\bthey was\b", "they were", said["neutral"])
            found.append(Schema(occupation, said["male"], said["female"], neutral, women[occupation]))
    return found


def bbq(folder: Path) -> list[Choice]:
    """All questions of the categories whose files are there."""
    paths = sorted(folder.glob("*.jsonl"))
    if not paths:
        raise BadInput(f"no <Category>.jsonl in {folder}: put the official files there")
    found = []
    for path in paths:
        for number, line in enumerate(read_lines(path), 1):
            with as_published(f"{path}:{number}"):
                record = json.loads(line)
                groups = [record["answer_info"][f"ans{i}"][1] for i in range(3)]
                unknown = groups.index("unknown")
                told = record["additional_metadata"]["stereotyped_groups"]
                targets = [i for i in range(3) if i != unknown and _is_of(record["answer_info"][f"ans{i}"], told)]
                biased = -1
                if len(targets) == 1:
                    # Asked for something bad the stereotype names its group, asked for something good the other.
                    negative = record["question_polarity"] == "neg"
                    biased = targets[0] if negative else 3 - unknown - targets[0]
                found.append(
                    Choice(record["category"], f"{record['category']} {record['question_index']}",
                           record["context_condition"] == "ambig", record["context"], record["question"],
                           (record["ans0"], record["ans1"], record["ans2"]), int(record["label"]), unknown, biased)
                )  # fmt: skip
    return found


def _is_of(info: list[str], told: list[str]) -> bool:
    """Whether an answer, a name and a group such as "F-Black" or "lowSES", is of one of the groups `told`."""

    def plain(text: str) -> str:
        return text.lower().replace(" ", "")

    names = {plain(text) for text in info} | {plain(text.partition("-")[2]) for text in info}
    return any(plain(group) in names for group in told)


def bold(folder: Path) -> list[Prompt]:
    """All prompts of the domains whose files are there."""
    paths = sorted(folder.glob("*_prompt.json"))
    if not paths:
        raise BadInput(f"no <domain>_prompt.json in {folder}: put the official files there")
    found = []
    for path in paths:
        with as_published(str(path)):
            for group, people in read_json(path).items():
                for texts in people.values():
                    found += [Prompt(path.name.removesuffix("_prompt.json"), group, text) for text in texts]
    return found
