import contextlib
import dataclasses

import jax
import pytest

from data_pipelines.modular_math.source import ModularMath
from data_pipelines.tokenizer import load_tokenizer, make_character_tokenizer
from vishwam.evaluation.suite import Suite
from vishwam.fairness.bias import BiasConfig
from vishwam.model import decoder, programs
from vishwam.model.config import DecoderConfig
from vishwam.training import evaluation_memory, examination
from vishwam.training.experiment import Experiment, LoopConfig
from vishwam.training.interruption import Interrupted
from vishwam.training.loop import model_config
from vishwam.training.rehearsal import EVALUATE, LAST, VALIDATE, Rehearsal, stage_at
from vishwam.training.step import init_state

pytestmark = pytest.mark.usefixtures("quickly_compiled")

LOOP = LoopConfig(
    steps=24,
    batch_size=8,
    length_buckets=(24, 256),
    steps_per_dispatch=4,
    log_every=4,
    validate_every=4,
    evaluate_every=12,
    validation_questions=16,
    evaluation_questions=4,
    final_questions=12,
    max_answer_tokens=8,
)


def experiment(width, **loop):
    """Of a width that no other test compiles anything for."""
    return Experiment(
        data=ModularMath(modules=("words__change",)),
        model=DecoderConfig(num_layers=1, model_dim=width, num_heads=2, mlp_dim=16, place_heads=1),
        loop=dataclasses.replace(LOOP, **loop),
        bias=BiasConfig(axes=("gender",), templates=3, generations=4),
    )


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return load_tokenizer(make_character_tokenizer(tmp_path_factory.mktemp("tokenizer")), reverse_digits=True)


@pytest.fixture
def compiled():
    """Names of what is compiled from here on."""
    names = []

    def listen(event, duration, **about):
        if event == "/jax/core/compile/backend_compile_duration":
            names.append(about.get("fun_name", "")[4:-1])

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield names
    jax.monitoring.unregister_event_duration_listener(listen)


def rehearsed(experiment, tokenizer):
    graphdef, params = decoder.init(model_config(experiment, tokenizer), jax.random.key(0))
    state, loop = init_state(params), experiment.loop
    suite = Suite(experiment.data, tokenizer, graphdef, loop.max_answer_tokens, loop.length_buckets, lambda: None)
    asked = evaluation_memory.asked(experiment, tokenizer)
    rehearsal = Rehearsal(experiment, suite, graphdef, state, asked)
    return contextlib.closing(rehearsal), suite, state, asked


def test_what_is_due_at_a_step():
    due = experiment(16, validate_every=8)
    assert {step: stage_at(due, step) for step in (4, 8, 12, 16, 20, 24)} == {
        4: None, 8: VALIDATE, 12: EVALUATE, 16: VALIDATE, 20: None, 24: LAST,
    }  # fmt: skip


def test_an_evaluation_compiles_nothing_that_was_rehearsed(tokenizer, compiled):
    of = experiment(36)
    closing, suite, state, asked = rehearsed(of, tokenizer)
    with closing as rehearsal:
        rehearsal.finish(LAST, lambda: None)
        assert {"evaluation_step", "_begin", "_advance", "_score"} <= set(compiled)
        done = len(compiled)
        suite.validation_loss(state.averages, of.loop.validation_questions)
        evaluation_memory.predict(suite.graphdef, state, asked)
        seen = examination.examine(suite, state.averages, of.loop.final_questions, True, of.bias, lambda line: None)
        assert compiled[done:] == []
    assert {"bias/gap", "bias/maths/flip_rate", "interpolate/exact_match"} <= set(seen.metrics)


def test_where_a_trial_may_end_at_a_validation_that_is_decoded_too(tokenizer, compiled):
    of = experiment(44, until_exact_match=0.5)
    closing, suite, state, _ = rehearsed(of, tokenizer)
    with closing as rehearsal:
        rehearsal.finish(VALIDATE, lambda: None)
        assert "_advance" in compiled and "_score" not in compiled
        done = len(compiled)
        list(suite.exact_match(state.averages, of.loop.evaluation_questions, splits=("interpolate",)))
        assert compiled[done:] == []


def test_an_evaluation_is_rehearsed_once_a_validation_was_seen(tokenizer, compiled):
    closing, *_ = rehearsed(experiment(52), tokenizer)
    with closing as rehearsal:
        rehearsal.after(2)
        rehearsal.finish(VALIDATE, lambda: None)
        assert "evaluation_step" in compiled and "_begin" not in compiled and not rehearsal.busy()
        rehearsal.after(4)
        assert rehearsal.busy()
        rehearsal.finish(EVALUATE, lambda: None)
        assert "_advance" in compiled


def test_who_waits_can_be_interrupted_and_then_nothing_more_is_compiled(tokenizer, compiled):
    def interrupt():
        raise Interrupted("the test")

    closing, *_ = rehearsed(experiment(60), tokenizer)
    with closing as rehearsal, pytest.raises(Interrupted):
        rehearsal.finish(EVALUATE, interrupt)
    rehearsal.finish(EVALUATE, lambda: None)
    assert "_score" not in compiled


def test_what_goes_wrong_in_a_rehearsal_is_left_to_the_trial(tokenizer):
    closing, suite, *_ = rehearsed(experiment(16), tokenizer)
    suite_without_room = dataclasses.replace(suite, length_buckets=(4,))
    with closing as rehearsal:
        rehearsal._suite = suite_without_room
        rehearsal.finish(EVALUATE, lambda: None)
        assert not rehearsal.busy()


def test_the_last_evaluation_waits_for_no_other(tokenizer, monkeypatch):
    """A trial may be right often enough before the evaluation that is being rehearsed."""
    begun = []

    def rehearse(suite, shapes, questions, last, asked_of_bias):
        begun.append(last)
        while not last:
            programs.call(jax.jit(lambda x: x), jax.ShapeDtypeStruct((), int))

    monkeypatch.setattr(examination, "rehearse", rehearse)
    closing, *_ = rehearsed(experiment(16), tokenizer)
    with closing as rehearsal:
        rehearsal.after(4)
        assert not rehearsal.finished(EVALUATE)
        rehearsal.finish(LAST, lambda: None)
        assert rehearsal.finished(EVALUATE) and rehearsal.finished(LAST) and begun in ([False, True], [True])
