"""The card of a prepared data set, in Markdown."""

from typing import Any

from data_pipelines.modular_math import table
from data_pipelines.splits import SPLITS


def markdown(facts: dict[str, Any]) -> str:
    """What the data are, how many, from what ranges, what was looked for and found; `facts` is dataset.json."""
    plan, splits, sets = facts["plan"], facts["splits"], facts["sets"]
    names = sorted({name for split in SPLITS for name in sets[split]})
    lines = [
        f"# {plan['name']}",
        "",
        "Mathematics questions with their answers, generated in the manner of Saxton et al. 2019, *Analysing "
        "Mathematical Reasoning Abilities of Neural Models* (arXiv:1904.01557).",
        "",
        f"- seed: {plan['seed']}; another seed draws other questions and moves none to another split",
        f"- settings: `{plan['settings'] or 'defaults'}`",
        f"- version of the builder: {plan['version']}",
        "- licence: Apache-2.0, as the generator's",
        "",
        "Training, validation and interpolation are apart by a keyed hash of the numbers of a question, extrapolation "
        "by its ranges.",
        "",
        "## How many",
        "",
        f"| set | {' | '.join(SPLITS)} |",
        f"|---|{'---|' * len(SPLITS)}",
        *(f"| `{name}` | {' | '.join(str(sets[split].get(name, '')) for split in SPLITS)} |" for name in names),
        f"| all | {' | '.join(str(splits[split]) for split in SPLITS)} |",
        "",
        *_packed(facts),
        "## Leaks",
        "",
        f"Near-duplicates have a Jaccard similarity of {facts['threshold']} or more over runs of three words, found by "
        "MinHash and decided exactly. A question is contaminated by 13 numbers in a row of an evaluation question, or, "
        "where that has fewer, by all of its words.",
        "",
        "| looked through | for | questions | near-duplicates | contaminated |",
        "|---|---|---|---|---|",
        _leaks("train", "all other sets", facts),
        _leaks("validation", "the sets of interpolation and extrapolation", facts),
        "",
        f"Of training, {facts['removed']} were removed; of validation they are only counted.",
        *_found(facts),
        "",
        "## Ranges",
        "",
        "".join(table.markdown(plan["modules"]).partition("*Size*")[1:]).strip(),
        "",
        "## Reading it",
        "",
        "```python",
        "import tensorflow_datasets as tfds",
        "",
        f'builder = tfds.builder_from_directory("modular_math/{plan["name"]}/{plan["version"]}")',
        'print(builder.as_data_source("train")[0])',
        "```",
        "",
    ]
    return "\n".join(lines)


def _packed(facts: dict[str, Any]) -> list[str]:
    if "packed" not in facts:
        return []
    packed, length = facts["packed"], facts["plan"]["row_length"]
    filled = f"{packed['filled']:.2%} of the room"
    return [f"Packed: {packed['rows']} rows of {length} tokens, {packed['tokens']} tokens in all ({filled}).", ""]


def _leaks(split: str, others: str, facts: dict[str, Any]) -> str:
    leaks = facts["leaks"][split]
    return f"| {split} | {others} | {leaks['documents']} | {leaks['near_duplicates']} | {leaks['contaminated']} |"


def _found(facts: dict[str, Any]) -> list[str]:
    found = [
        f"| {split} | `{name}` | {count} |"
        for split in ("train", "validation")
        for name, count in facts["leaks"][split]["by_set"].items()
    ]
    return ["", "| in | found of | questions |", "|---|---|---|", *found] if found else []
