import sys

import pytest

from data_pipelines.modular_math import ModularMath, registry
from data_pipelines.modular_math import modular_math_dataset_builder as builder_module


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    config = builder_module.MathConfig(
        name="two", math=ModularMath(("numbers__gcd", "arithmetic__mul"), seed=5), train_count=250, held_out_count=20
    )
    patch = pytest.MonkeyPatch()
    patch.setattr(builder_module, "RECORDS_A_SHARD", 100)
    builder = builder_module.Builder(data_dir=tmp_path_factory.mktemp("tfds"), config=config)
    builder.download_and_prepare()
    patch.undo()
    return builder


def test_written_questions_are_those_of_the_source(built):
    source = built.builder_config.math.train_source()
    read = built.as_data_source("train")
    assert len(read) == 250
    for index in (0, 99, 100, 249):
        record = {key: value.decode() if isinstance(value, bytes) else int(value) for key, value in read[index].items()}
        assert record == source[index]._asdict() | {"set": source[index].module}


def test_splits_and_shards(built):
    splits = {name: (split.num_examples, split.num_shards) for name, split in built.info.splits.items()}
    # Two modules are validated and interpolated, one extrapolates; at most 100 records a shard.
    assert splits == {"train": (250, 3), "validation": (40, 1), "interpolate": (40, 1), "extrapolate": (20, 1)}
    assert builder_module.RECORDS_A_SHARD == 10_000


def test_a_question_has_the_name_of_its_set(built):
    read = built.as_data_source("extrapolate")
    assert {(record["module"], record["set"]) for record in read} == {(b"arithmetic__mul", b"arithmetic__mul_big")}


def test_configs_hold_every_module():
    configs = {config.name: config for config in builder_module.Builder.BUILDER_CONFIGS}
    assert configs["saxton_100k"].math.modules == registry.saxton()
    held = {name for kind in ("saxton", "words", "chains") for name in configs[f"{kind}_100k"].math.modules}
    assert held == set(registry.names())
    assert len(configs["saxton_100k"].sets("extrapolate")) == 15
    assert list(configs["saxton_100k"].sets("interpolate")) == list(registry.saxton())


def test_no_tensorflow(built):
    assert "tensorflow" not in sys.modules
