import dataclasses
import shutil

import jax
import numpy as np
import pytest

from data_pipelines.modular_math.source import ModularMath
from data_pipelines.packing import pack
from data_pipelines.tokenizer import load_tokenizer, make_character_tokenizer
from vishwam import check
from vishwam.errors import BadInput
from vishwam.fairness.bias import BiasConfig
from vishwam.model.config import DecoderConfig
from vishwam.training import loop as training_loop
from vishwam.training.checkpoint import Checkpoints
from vishwam.training.experiment import Experiment, LoopConfig, PackingConfig, TokenizerConfig
from vishwam.training.interruption import Interrupted, Interruption
from vishwam.training.optimizer import Knobs
from vishwam.training.rows import Diverged

pytestmark = pytest.mark.usefixtures("quickly_compiled")

STEPS = 24
UNPACKED = PackingConfig()
ADDITION = {"operations": "add", "max_digits": 2, "phrasing": "bare"}


class Journal:
    """What a run would send to W&B, kept in memory."""

    id = "journal"

    def __init__(self, logged_to=-1, held=(), told=False):
        self.rows = {}
        self.held = held
        self.told = told  # the server would answer that the run is to stop
        self.stored = []
        self.summary = {}
        self.stop = False
        self._logged_to = logged_to

    def log(self, step, metrics):
        if step > self._logged_to:
            assert step not in self.rows
            self.rows[step] = dict(metrics)

    def logged(self, step):
        return step <= self._logged_to or step in self.rows

    def ask_stop_requested(self):
        return self.told

    def has_checkpoint(self, step):
        return step in self.held

    def summarise(self, values):
        self.summary.update(values)

    def samples(self, rows):
        return {name: len(samples) for name, samples in rows.items()}

    def table(self, columns, rows):
        assert all(len(row) == len(columns) for row in rows)
        return len(rows)

    def checkpoint(self, folder, step, best, evaluation):
        assert (folder / "state").is_dir()
        self.stored.append((step, best, evaluation))

    def stop_requested(self):
        return self.stop


class Alarm(Interruption):
    """An interruption that comes when it has been asked for so many times since a line was said, or from the start."""

    def __init__(self, line, times):
        super().__init__()
        self._line, self._times = line, times
        self._left = 10**9 if line else times

    def hear(self, line):
        if self._line and self._line in line:
            self._left = self._times

    def check(self):
        self._left -= 1
        if self._left < 0:
            raise Interrupted("the test")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return load_tokenizer(make_character_tokenizer(tmp_path_factory.mktemp("tokenizer")), reverse_digits=True)


def experiment(packing=UNPACKED, until=0.0, **knobs):
    return Experiment(
        data=ModularMath(settings={"arithmetic__add_or_sub": ADDITION}),
        packing=packing,
        tokenizer=TokenizerConfig(),
        model=DecoderConfig(num_layers=1, model_dim=16, num_heads=2, mlp_dim=16, place_heads=1),
        knobs=Knobs(warmup_steps=4, **knobs),
        loop=LoopConfig(
            steps=STEPS, batch_size=8, length_buckets=(12, 120), steps_per_dispatch=4, log_every=4, validate_every=8,
            evaluate_every=16, validation_questions=16, evaluation_questions=4, final_questions=8, max_answer_tokens=8,
            until_exact_match=until,
        ),
        bias=BiasConfig(axes=("gender",), templates=3, generations=4),
    )  # fmt: skip


def train(tokenizer, folder, journal, alarm=("", 10**9), **settings):
    checkpoints, alarm = Checkpoints(folder), Alarm(*alarm)
    try:
        training_loop.train(experiment(**settings), tokenizer, journal, checkpoints, alarm, alarm.hear)
    finally:
        checkpoints.close()


def final_state(folder):
    from vishwam.model import decoder
    from vishwam.training.checkpoint import read_state
    from vishwam.training.step import init_state

    config = dataclasses.replace(experiment().model, vocab_size=256, digit_token_ids=tuple(range(18, 28)))
    _, params = decoder.init(config, jax.random.key(0))
    return read_state(folder / str(STEPS), init_state(params))


@pytest.fixture(scope="module")
def whole(tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    journal = Journal()
    train(tokenizer, folder, journal)
    return folder, journal


def test_rows_and_checkpoints_of_a_whole_trial(whole):
    _, journal = whole
    assert list(journal.rows) == [4, 8, 12, 16, 20, 24]
    assert {step for step, row in journal.rows.items() if "validation/loss" in row} == {8, 16, 24}
    assert {step for step, row in journal.rows.items() if "interpolate/exact_match" in row} == {16, 24}
    assert all(np.isfinite(row["train/loss"]) for row in journal.rows.values())
    assert journal.rows[24]["interpolate/exact_match_count"] == 8
    assert [(step, evaluation["questions"]) for step, _, evaluation in journal.stored] == [(16, 4), (24, 8)]
    losses = {step: row["validation/loss"] for step, row in journal.rows.items() if "validation/loss" in row}
    assert [best for _, best, _ in journal.stored] == [True, losses[24] <= losses[16]]
    assert journal.summary["parameters"] > 0


# A trial asks before each of two dispatches and in the validation at 8, before two dispatches, in the validation and
# the evaluation at 16, before two dispatches, in the validation and the evaluation at 24. Where it looks up it asks as
# often as that has parts, and more where it waits for a program; it says the validation before the evaluation begins.
AT_4, AT_8, AT_12 = ("", 1), ("step  8/24", 0), ("step  8/24", 1)
DECODING_16, AT_20, DECODING_24 = ("step 16/24", 0), ("exact match", 1), ("step 24/24", 0)


@pytest.mark.parametrize("alarm", [AT_4, AT_8, AT_12, DECODING_16, AT_20])
def test_resumed_equals_uninterrupted_bit_for_bit(whole, tokenizer, tmp_path, alarm):
    before = Journal()
    with pytest.raises(Interrupted):
        train(tokenizer, tmp_path, before, alarm)
    assert len(before.rows) < 6
    after = Journal(max(before.rows), [step for step, *_ in before.stored])
    train(tokenizer, tmp_path, after)
    assert sorted([*before.rows, *after.rows]) == list(whole[1].rows)
    for step, row in (before.rows | after.rows).items():
        for name in ("train/tokens", "validation/loss", "interpolate/exact_match"):
            assert row.get(name) == whole[1].rows[step].get(name)
    assert before.stored + after.stored == whole[1].stored
    for resumed, uninterrupted in zip(
        jax.tree.leaves(final_state(tmp_path)), jax.tree.leaves(final_state(whole[0])), strict=True
    ):
        np.testing.assert_array_equal(resumed, uninterrupted)


def test_a_trial_that_goes_on_calls_the_programs_that_it_began_with(whole, tokenizer, tmp_path):
    """A restored array is bound to no device, as those are of which programs were compiled, and rehearsed."""
    from vishwam.training.data import training_data
    from vishwam.training.step import init_state

    config = training_loop.model_config(experiment(), tokenizer)
    state = init_state(training_loop.decoder.init(config, jax.random.key(0))[1])
    checkpoints = Checkpoints(shutil.copytree(whole[0], tmp_path / "run"))
    restored, *_ = checkpoints.restore(state, training_data(experiment(), tokenizer))
    checkpoints.close()
    assert int(restored.step) == STEPS
    assert not any(leaf.committed for leaf in jax.tree.leaves(restored))


def test_a_trial_ends_when_it_is_right_often_enough(whole, tokenizer, tmp_path, monkeypatch):
    right = iter([0, 2, 4])  # of four questions at 8, at 16 and at what would be 24
    pooled = training_loop.pooled
    monkeypatch.setattr(training_loop, "pooled", lambda parts: dataclasses.replace(pooled(parts), correct=next(right)))
    journal = Journal()
    train(tokenizer, tmp_path, journal, until=0.5)
    assert list(journal.rows) == [4, 8, 12, 16]
    assert journal.rows[16]["validation/loss"] == whole[1].rows[16]["validation/loss"]
    assert [journal.rows[step]["until/reached"] for step in (8, 16)] == [0, 1]
    assert [(step, evaluation["questions"]) for step, _, evaluation in journal.stored] == [(16, 8)], "all of the last"
    # Begun again when all that was left was to say goodbye, it does not go on.
    again = Journal(16, [16])
    train(tokenizer, tmp_path, again, until=0.5)
    assert not again.rows
    assert not again.stored


def test_a_trial_that_is_never_right_often_enough_takes_all_its_steps(tokenizer, tmp_path):
    journal = Journal()
    train(tokenizer, tmp_path, journal, until=1.0)
    assert list(journal.rows) == [4, 8, 12, 16, 20, 24]
    assert [journal.rows[step]["until/reached"] for step in (8, 16, 24)] == [0, 0, 0]


def test_a_trial_on_packed_rows_resumes_bit_for_bit(tokenizer, tmp_path):
    source = experiment().data.train_source()
    pack(source, 300, tokenizer, 48, tmp_path / "rows", "sums")
    packing = PackingConfig(48, (str(tmp_path / "rows"),))
    whole, before = Journal(), Journal()
    train(tokenizer, tmp_path / "whole", whole, packing=packing)
    with pytest.raises(Interrupted):
        train(tokenizer, tmp_path / "cut", before, AT_12, packing=packing)
    after = Journal(max(before.rows), [step for step, *_ in before.stored])
    train(tokenizer, tmp_path / "cut", after, packing=packing)
    for step, row in whole.rows.items():
        again = (before.rows | after.rows)[step]
        assert all(again.get(name) == row.get(name) for name in ("train/tokens", "validation/loss"))
    # 8 rows of 48 tokens a step, hardly any of them padding.
    assert 0.9 < whole.rows[24]["train/tokens"] / (24 * 8 * 48) < 1


@pytest.mark.parametrize(
    ("packing", "words"),
    [
        (PackingConfig(48, ("nowhere",)), "no packed rows in nowhere: `vishwam prepare` makes them"),
        (PackingConfig(6), "tokens, a row only 6"),
    ],
)
def test_rows_that_are_not_to_be_had_are_named_before_a_trial_begins(packing, words, monkeypatch, tmp_path):
    monkeypatch.setenv("VISHWAM_HOME", str(tmp_path))
    with pytest.raises(BadInput, match=words):
        check.prove(experiment(packing))


def test_batches_of_a_dispatch_keep_their_segments(tokenizer):
    short, long = (
        {name: np.ones((2, length), np.int32) for name in ("tokens_BT", "segments_BT", "loss_mask_BT")}
        for length in (3, 5)
    )
    stacked = training_loop.stack(iter([short, long]), 2, pad_id=7)
    assert {name: array.shape for name, array in stacked.items()} == dict.fromkeys(short, (2, 2, 5))
    assert stacked["tokens_BT"][0, 0].tolist() == [1, 1, 1, 7, 7]
    assert stacked["segments_BT"][0, 0].tolist() == stacked["loss_mask_BT"][0, 0].tolist() == [1, 1, 1, 0, 0]


def test_killed_while_it_decodes_goes_on_with_the_evaluation(whole, tokenizer, tmp_path):
    before = Journal()
    with pytest.raises(Interrupted):
        train(tokenizer, tmp_path, before, alarm=DECODING_24)
    assert max(before.rows) == 20, "a row is written when it is whole"
    after = Journal(logged_to=20, held=[16])
    train(tokenizer, tmp_path, after)
    assert list(after.rows) == [24]
    assert after.rows[24]["interpolate/exact_match"] == whole[1].rows[24]["interpolate/exact_match"]
    assert after.stored == whole[1].stored[1:]


def test_stopped_early_while_it_decodes_leaves_the_loss_it_was_stopped_for(whole, tokenizer, tmp_path):
    journal = Journal(told=True)
    with pytest.raises(training_loop.Stopped):
        train(tokenizer, tmp_path, journal, alarm=DECODING_24)
    assert journal.rows[24]["validation/loss"] == whole[1].rows[24]["validation/loss"]


def test_an_upload_cut_short_by_a_kill_is_made_again(whole, tokenizer, tmp_path):
    folder = shutil.copytree(whole[0], tmp_path / "run")
    after = Journal(logged_to=24, held=[24])
    train(tokenizer, folder, after)
    assert not after.rows
    step, _, evaluation = whole[1].stored[0]
    assert after.stored == [(step, False, evaluation)], "24 has become the best since"


def test_stop_by_the_server_stores_and_leaves(tokenizer, tmp_path):
    journal = Journal()
    journal.stop = True
    with pytest.raises(training_loop.Stopped):
        train(tokenizer, tmp_path, journal)
    assert (tmp_path / "0" / "state").is_dir()


def test_divergence_names_the_step_and_stores_nothing(tokenizer, tmp_path):
    with pytest.raises(Diverged, match=r"diverged at step \d+: .* try a lower learning_rate"):
        train(tokenizer, tmp_path, Journal(), learning_rate=1e30)
    assert not [path for path in tmp_path.iterdir() if path.name.isdigit()]


@pytest.mark.parametrize("alarm", [DECODING_16, DECODING_24])  # the first evaluation that is stored, and the last
def test_damaged_newest_checkpoint_falls_back_to_the_one_before_or_to_the_start(whole, tokenizer, tmp_path, alarm):
    with pytest.raises(Interrupted):
        train(tokenizer, tmp_path, Journal(), alarm=alarm)
    newest = max(int(path.name) for path in tmp_path.iterdir() if path.name.isdigit())
    for file in (tmp_path / str(newest) / "state").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    journal = Journal(logged_to=16)
    train(tokenizer, tmp_path, journal)
    assert min(journal.rows) == 20
    assert list(tmp_path.glob(f"damaged-{newest}-*"))
    assert journal.rows[24]["validation/loss"] == whole[1].rows[24]["validation/loss"]


def test_a_checkpoint_that_does_not_read_is_said_in_one_line(whole, tmp_path):
    folder = shutil.copytree(whole[0], tmp_path / "run")
    for file in (folder / str(STEPS) / "state").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    with pytest.raises(BadInput, match="does not read"):
        final_state(folder)
