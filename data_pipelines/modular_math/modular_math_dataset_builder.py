"""The questions as a TensorFlow Datasets data set, without TensorFlow: `Builder(config=...,
file_format='array_record')`.
"""

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from array_record.python import array_record_module

from data_pipelines.modular_math import registry
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

    def sets(self, split: str) -> dict[str, QuestionSource]:
        """What stands in a split, one set after the other: the mixture in train, elsewhere each set by its name."""
        return {"": self.math.train_source()} if split == "train" else self.math.sets(split)

    def count(self, split: str) -> int:
        """Questions a set."""
        return self.train_count if split == "train" else self.held_out_count


def record(name: str, source: QuestionSource, index: int) -> dict[str, Any]:
    """A question as it is stored: with the name of its set, which is not its module's where a module has several."""
    question = source[index]
    return question._asdict() | {"set": name or question.module}


class Builder(tfds.core.GeneratorBasedBuilder):
    """Questions with their answers in the order of their index; only array_record is written and read without
    TensorFlow.
    """

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.1.0": "Each question has the name of its set."}
    BUILDER_CONFIGS = (
        MathConfig(name="sums_100k", description="Sums and differences in Saxton et al.'s phrasings."),
        MathConfig(
            name="saxton_100k",
            math=ModularMath(registry.saxton()),
            description="All 56 modules of Saxton et al., mixed.",
        ),
        MathConfig(
            name="words_100k",
            math=ModularMath(tuple(name for name in registry.names() if name.startswith("words__"))),
            description="Word problems with people and objects.",
        ),
        MathConfig(
            name="chains_100k",
            math=ModularMath(("chains__add_or_sub",)),
            description="Sums and differences of which each is an operand of the next.",
        ),
    )

    def __init__(self, *, file_format: str = "array_record", **arguments: Any):
        super().__init__(file_format=file_format, **arguments)

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict(
            {
                "module": tfds.features.Text(),
                "question": tfds.features.Text(),
                "answer": tfds.features.Text(),
                "index": tfds.features.Scalar(np.int64),
                "set": tfds.features.Text(),
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
        return {
            split: self._generate_examples(sets, config.count(split))
            for split in SPLITS
            if (sets := config.sets(split))
        }

    def _generate_examples(self, sets: Mapping[str, QuestionSource], count: int) -> Iterator:
        for place, (name, source) in enumerate(sets.items()):
            for index in range(count):
                yield place * count + index, record(name, source, index)


def shard_path(builder: Builder, split: str, number: int, shards: int) -> Path:
    """Where TFDS looks for a shard."""
    return Path(_template(builder, split).sharded_filepath(shard_index=number, num_shards=shards))


def serialize(builder: Builder, records: Iterable[Mapping[str, Any]]) -> list[bytes]:
    """Records as TFDS stores them, but with their fields in one order: its own differs from process to process."""
    features = builder.info.features
    serializer = tfds.core.example_serializer.ExampleSerializer(features.get_serialized_info())
    examples = (serializer.get_tf_example(features.encode_example(each)) for each in records)
    return [example.SerializeToString(deterministic=True) for example in examples]


def write_shard(path: Path, serialized: Iterable[bytes]) -> None:
    """Writes an array_record file through to the disk."""
    writer = array_record_module.ArrayRecordWriter(str(path), "group_size:1")
    for each in serialized:
        writer.write(each)
    writer.close()
    with path.open("rb") as file:
        os.fsync(file.fileno())


def read_shard(builder: Builder, path: Path) -> list[dict[str, Any]]:
    """All records of a file, texts as `str`."""
    reader = array_record_module.ArrayRecordReader(str(path))
    records = [builder.info.features.deserialize_example_np(each) for each in reader.read_all()]
    reader.close()
    return [
        {name: value.decode() if isinstance(value, bytes) else int(value) for name, value in each.items()}
        for each in records
    ]


def write_metadata(builder: Builder, splits: Mapping[str, tuple[list[int], int]]) -> None:
    """Makes shards that were written one by one a data set that TFDS reads: of each split the records of its shards,
    and their bytes in all.
    """
    infos = [
        tfds.core.SplitInfo(
            name=split, shard_lengths=lengths, num_bytes=size, filename_template=_template(builder, split)
        )
        for split, (lengths, size) in splits.items()
    ]
    builder.info.set_splits(tfds.core.splits.SplitDict(infos))
    builder.info.write_to_directory(builder.data_dir)


def _template(builder: Builder, split: str) -> Any:
    return tfds.core.ShardedFileTemplate(
        data_dir=builder.data_path, dataset_name=builder.name, split=split, filetype_suffix="array_record"
    )


class _RecordShards(tfds.core.utils.shard_utils.ShardConfig):
    def calculate_number_shards(self, total_size: int, num_examples: int, *_: bool, **__: bool) -> int:
        return -(-num_examples // RECORDS_A_SHARD)


class _ShardsByRecords(tfds.download.DownloadConfig):
    def get_shard_config(self) -> _RecordShards:
        return _RecordShards()
