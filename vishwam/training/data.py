"""The batches that a trial trains on."""

import json
from pathlib import Path
from typing import Any

import grain

from data_pipelines import BadInput
from data_pipelines.loader import Batch, row_batches, training_batches
from data_pipelines.mixture import Mixture
from data_pipelines.packing import PackedRows, RowsOnTheFly
from data_pipelines.tokenizer import MathTokenizer

from .carried import carried
from .experiment import Experiment


def training_data(experiment: Experiment, tokenizer: MathTokenizer) -> grain.DatasetIterator[Batch]:
    """Endless batches from the first step on, each a pure function of the experiment and its step.

    Raises:
        BadInput: a folder of packed rows is missing, unfinished, of another length or for another tokeniser.
    """
    loop, packing, beside = experiment.loop, experiment.packing, carried(experiment, tokenizer)
    if not packing.row_length:
        source = experiment.data.train_source()
        return training_batches(source, tokenizer, loop.batch_size, loop.seed, 0, loop.length_buckets, beside=beside)
    if not packing.folders:
        source = experiment.data.train_source()
        rows = RowsOnTheFly(source, len(source), tokenizer, packing.row_length, seed=loop.seed)
        return row_batches(rows, loop.batch_size, 0, beside=beside)
    packed = [PackedRows(folder, tokenizer) for folder in packing.folders]
    for each in packed:
        if each.length != packing.row_length:
            raise BadInput(f"{each.folder} holds rows of {each.length} tokens, and row_length is {packing.row_length}")
    return row_batches(Mixture(packed, packing.weights, loop.seed), loop.batch_size, 0, beside=beside)


def prepared(experiment: Experiment) -> list[dict[str, Any]]:
    """For a run's config: of each folder that `vishwam prepare` wrote, how many questions, leaks found and removed."""
    facts = []
    for folder in experiment.packing.folders:
        path = Path(folder) / "dataset.json"  # rows that other code packed have none
        if path.exists():
            said = json.loads(path.read_bytes())
            leaks = {split: said["leaks"][split] for split in ("train", "validation")}
            facts.append({"name": said["plan"]["name"], "splits": said["splits"], "removed": said["removed"], **leaks})
    return facts
