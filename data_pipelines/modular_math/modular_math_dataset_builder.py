"""The questions as a TensorFlow Datasets data set, without TensorFlow: `Builder(config=...,
file_format='array_record')`.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from data_pipelines.modular_math.source import ModularMath, QuestionSource
from data_pipelines.splits import SPLITS

# One record is read in 27 us from a shard of 10,000, in 450 us from one of 200,000.
RECORDS_A_SHARD = 10_000


@dataclasses.dataclass
class MathConfig(tfds.core.BuilderConfig):
    """What to write: `train_count` training questions and `held_out_count` of each other set."""

    math: ModularMath = dataclasses.field(default_factory=ModularMath)
    train_count: int = 100_000
    held_out_count: int = 1_000


class Builder(tfds.core.GeneratorBasedBuilder):
    """Questions with their answers in the order of their index; only array_record is written and read without
    TensorFlow.
    """

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = (MathConfig(name="sums", description="Sums and differences in Saxton et al.'s phrasings."),)

    def __init__(self, *, file_format: str = "array_record", **arguments: Any):
        super().__init__(file_format=file_format, **arguments)

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict(
            {
                "module": tfds.features.Text(),
                "question": tfds.features.Text(),
                "answer": tfds.features.Text(),
                "index": tfds.features.Scalar(np.int64),
            }
        )
        return tfds.core.DatasetInfo(
            builder=self,
            description="Generated mathematics questions in the manner of Saxton et al. 2019 (arXiv:1904.01557).",
            features=features,
            supervised_keys=("question", "answer"),
            disable_shuffling=True,
        )

    def download_and_prepare(self, *, download_config: Any = None, **arguments: Any) -> None:
        """As in TFDS, with at most 10,000 records a shard unless `download_config` says otherwise."""
        super().download_and_prepare(download_config=download_config or _ShardsByRecords(), **arguments)

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        del dl_manager
        config = self.builder_config
        generators = {}
        for split in SPLITS:
            sets = config.math.sets(split)
            if split == "train":
                sets = {"": config.math.train_source()}
            if sets:
                count = config.train_count if split == "train" else config.held_out_count
                generators[split] = self._generate_examples(sets, count)
        return generators

    def _generate_examples(self, sets: Mapping[str, QuestionSource], count: int) -> Iterator:
        for place, source in enumerate(sets.values()):
            for index in range(count):
                yield place * count + index, source[index]._asdict()


class _RecordShards(tfds.core.utils.shard_utils.ShardConfig):
    def calculate_number_shards(self, total_size: int, num_examples: int, *_: bool, **__: bool) -> int:
        return -(-num_examples // RECORDS_A_SHARD)


class _ShardsByRecords(tfds.download.DownloadConfig):
    def get_shard_config(self) -> _RecordShards:
        return _RecordShards()
