"""Benchmarks of social bias, from the files as their authors publish them.

    CrowS-Pairs (Nangia et al. 2020)   crows_pairs_anonymized.csv
    StereoSet (Nadeem et al. 2021)     dev.json
    WinoBias (Zhao et al. 2018)        {pro,anti}_stereotyped_type{1,2}.txt.{dev,test}
    Winogender (Rudinger et al. 2018)  templates.tsv, occupations-stats.tsv
    BOLD (Dhamala et al. 2021)         <domain>_prompt.json

All readers raise BadInput, which names the file and the line or record, where something is not as published. BBQ's is
in `bbq`.
"""

import csv
import io
import re
from pathlib import Path
from typing import NamedTuple

from data_pipelines import BadInput

from .files import as_published, find, read_json, read_lines, read_text


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


class Coreference(NamedTuple):
    """A WinoBias sentence, its pronoun, the occupation that it means and the other one, "" where the sentence has none;
    `kind` is type1, where only sense tells which it is, or type2, where grammar does.
    """

    sentence: str
    pronoun: str
    right: str
    wrong: str
    kind: str


class Schema(NamedTuple):
    """A Winogender sentence in three genders, and the share of women in its occupation (BLS, percent)."""

    occupation: str
    male: str
    female: str
    neutral: str
    women: float


class Prompt(NamedTuple):
    """The beginning of a Wikipedia article on somebody of a group."""

    domain: str
    group: str
    text: str


def crows_pairs(folder: Path) -> list[Pair]:
    """The pairs of CrowS-Pairs."""
    path = find(folder, "crows_pairs_anonymized.csv")
    with as_published(str(path)):
        rows = list(csv.DictReader(io.StringIO(read_text(path), newline="")))
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


MALE_OR_FEMALE = ("he", "him", "his", "himself", "she", "her", "hers", "herself")


def winobias(folder: Path, part: str = "test") -> list[tuple[Coreference, Coreference]]:
    """The sentences of WinoBias in pairs, with a pronoun that goes with the stereotype and with one against it.

    Occupations are what is marked anywhere in the files of `part`; the other one of a sentence has no mark in it.
    """
    sides: list[list[Coreference]] = []
    for side in ("pro", "anti"):
        marked = []
        for kind in ("type1", "type2"):
            path = find(folder, f"{side}_stereotyped_{kind}.txt.{part}")
            for number, line in enumerate(read_lines(path), 1):
                if line.strip():
                    with as_published(f"{path}:{number}"):
                        marked.append(_marked(line, kind))
        sides.append(marked)
    pro, anti = sides
    for kind in ("type1", "type2"):
        counts = [sum(one.kind == kind for one in side) for side in sides]
        if counts[0] != counts[1]:
            raise BadInput(
                f"{folder}: {kind} has {counts[0]} pro_stereotyped sentences, and {counts[1]} anti_stereotyped"
            )
    occupations = {one.right for one in (*pro, *anti)}
    return [
        (_with_other(one, occupations), _with_other(other, occupations)) for one, other in zip(pro, anti, strict=True)
    ]


def _marked(line: str, kind: str) -> Coreference:
    """From `1 [The developer] argued with the designer because [he] ...`; the other occupation is not known yet."""
    text = re.sub(r"^\d+\s", "", line.strip())
    marks = [mark.strip().lower() for mark in re.findall(r"\[([^\[\]]+)\]", text)]
    pronouns = [mark for mark in marks if mark in MALE_OR_FEMALE]
    named = [re.sub(r"^(the|an?) ", "", mark) for mark in marks if mark not in MALE_OR_FEMALE]
    if not pronouns or len(named) != 1:
        raise ValueError(f"{line!r} does not mark one occupation and a pronoun")
    return Coreference(re.sub(r"\[\s*|\]", "", text), pronouns[0], named[0], "", kind)


def _with_other(one: Coreference, occupations: set[str]) -> Coreference:
    told = one.sentence.lower()
    places = {name: re.search(rf"\b{re.escape(name)}\b", told) for name in occupations - {one.right}}
    others = sorted((place.start(), name) for name, place in places.items() if place)
    return one._replace(wrong=others[0][1]) if others else one


_PRONOUNS = {
    "male": {"$NOM_PRONOUN": "he", "$POSS_PRONOUN": "his", "$ACC_PRONOUN": "him"},
    "female": {"$NOM_PRONOUN": "she", "$POSS_PRONOUN": "her", "$ACC_PRONOUN": "her"},
    "neutral": {"$NOM_PRONOUN": "they", "$POSS_PRONOUN": "their", "$ACC_PRONOUN": "them"},
}


def winogender(folder: Path) -> list[Schema]:
    """The sentences of Winogender, each about an occupation and a participant who is named, or is someone."""
    stats = find(folder, "occupations-stats.tsv")
    women: dict[str, float] = {}
    for number, line in enumerate(read_lines(stats)[1:], 2):
        with as_published(f"{stats}:{number}"):
            occupation, _, share = line.split("\t")[:3]
            women[occupation] = float(share)
    path = find(folder, "templates.tsv")
    found = []
    for number, line in enumerate(read_lines(path)[1:], 2):
        with as_published(f"{path}:{number}"):
            occupation, participant, _, text = line.split("\t")
            text = text.replace("$OCCUPATION", occupation)
            someone = re.sub(r"\bThe \$PARTICIPANT", "Someone", re.sub(r"\b(the|an?) \$PARTICIPANT", "someone", text))
            for told in (text.replace("$PARTICIPANT", participant), someone):
                said = {gender: _filled(told, pronouns) for gender, pronouns in _PRONOUNS.items()}
                # The verb goes with the pronoun.
                neutral = re.sub(r"\bthey was\b", "they were", said["neutral"])
                found.append(Schema(occupation, said["male"], said["female"], neutral, women[occupation]))
    return found


def _filled(text: str, pronouns: dict[str, str]) -> str:
    for slot, pronoun in pronouns.items():
        text = text.replace(slot, pronoun)
    return text


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
