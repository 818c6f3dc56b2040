"""Benchmarks of bias from the Hugging Face hub: the copies that lm-evaluation-harness asks, as records of ours.

Of CrowS-Pairs that is the revised English set (Névéol et al. 2022), and Winogender's has no shares of women in
occupations. Only what the extra `benchmarks` installs makes this importable.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import nan
from pathlib import Path
from typing import Any, NamedTuple

import datasets

from data_pipelines.benchmarks.bbq import Choice, choice
from data_pipelines.benchmarks.bias import Pair, Schema
from data_pipelines.benchmarks.files import as_published

from . import harness

Row = Mapping[str, Any]


def crows_pairs(rows: Iterable[Row]) -> list[Pair]:
    return [Pair(row["sent_more"].strip(), row["sent_less"].strip(), row["bias_type"]) for row in rows]


def winogender(rows: Iterable[Row]) -> list[Schema]:
    """Of each sentence the three genders, which stand in rows of their own."""
    sentences: dict[tuple[str, str, int], dict[str, str]] = {}
    for row in rows:
        of = sentences.setdefault((row["occupation"], row["participant"], row["label"]), {})
        of[row["gender"]] = row["sentence"]
    return [
        Schema(occupation, said["male"], said["female"], said["neutral"], nan)
        for (occupation, *_), said in sentences.items()
    ]


def bbq(rows: Iterable[Row]) -> list[Choice]:
    return [choice(row) for row in rows]


class Copy(NamedTuple):
    """config: of the harness's task, which names the copy; published: where the official files are."""

    config: str
    published: str
    read: Callable[[Iterable[Row]], Sequence[Any]]


COPIES = {
    "crows_pairs": Copy("crows_pairs/crows_pairs_english.yaml", "github.com/nyu-mll/crows-pairs", crows_pairs),
    "winogender": Copy("winogender/winogender.yaml", "github.com/rudinger/winogender-schemas", winogender),
    "bbq": Copy("bbq/bbq_multiple_choice.yaml", "github.com/nyu-mll/BBQ", bbq),
}


def records(name: str, place: Path) -> Sequence[Any]:
    """All records of one of COPIES; place: the folder that might have held its official files, for the message.

    Raises:
        BadInput: the hub cannot be reached, or its copy is not as it was.
    """
    copy = COPIES[name]
    config = harness.load_yaml(harness.TASKS / copy.config, resolve_func=False)
    asked = functools.partial(
        datasets.load_dataset, config["dataset_path"], config["dataset_name"], split=config["test_split"]
    )
    datasets.disable_progress_bars()
    try:
        try:
            rows = asked()
        except RuntimeError:  # A copy that is a program, which `datasets` no longer runs: the hub has made files of it.
            rows = asked(revision="refs/convert/parquet")
    except Exception as error:  # whatever the hub's client, its cache or the network say
        raise harness.not_to_be_had(name, place, copy.published, error) from None
    with as_published(f"{config['dataset_path']} on the Hugging Face hub"):
        return copy.read(rows)
