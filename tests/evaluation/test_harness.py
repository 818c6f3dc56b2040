"""Our model in lm-evaluation-harness, and that both judge the same items alike."""

from pathlib import Path

import jax
import numpy as np
import pytest

pytest.importorskip("lm_eval", reason="the extra `benchmarks` is not installed")

import lm_eval
from lm_eval.api.instance import Instance

from data_pipelines.modular_math.source import ModularMath
from data_pipelines.tokenizer import load_tokenizer, make_character_tokenizer
from tests.evaluation import official
from vishwam.errors import BadInput
from vishwam.evaluation import harness
from vishwam.evaluation.likelihood import of_texts
from vishwam.evaluation.suite import Suite
from vishwam.fairness import benchmarks
from vishwam.model import decoder

pytestmark = pytest.mark.usefixtures("quickly_compiled")

SUMS = {"operations": "add", "max_digits": 1, "phrasing": "bare"}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return load_tokenizer(make_character_tokenizer(tmp_path_factory.mktemp("tokenizer")), reverse_digits=True)


@pytest.fixture(scope="module")
def model(tokenizer):
    """A suite and random parameters, sharp enough to say different things."""
    config = decoder.DecoderConfig(
        num_layers=1, model_dim=16, num_heads=2, mlp_dim=16, position="rope",
        vocab_size=tokenizer.vocab_size, pad_id=tokenizer.pad_id, digit_token_ids=tokenizer.digit_token_ids,
    )  # fmt: skip
    graphdef, params = decoder.init(config, jax.random.key(0))
    random = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: leaf + 0.5 * random.normal(size=leaf.shape).astype(np.float32), params)
    data = ModularMath(settings={"arithmetic__add_or_sub": SUMS})
    return Suite(data, tokenizer, graphdef, 8, (16,), lambda: None), params


def asked(kind, *arguments):
    return [Instance(kind, {}, args, i) for i, args in enumerate(arguments)]


def test_likelihoods_are_ours(model, tokenizer):
    suite, params = model
    pairs = [("What is 12 + 3?", " 15"), ("", "alone"), ("ab", "c")]
    found = harness.StoredModel(*model).loglikelihood(asked("loglikelihood", *pairs))
    for (total, greedy), ours in zip(found, of_texts(tokenizer, suite.graphdef, params, pairs), strict=True):
        assert (total, greedy) == (pytest.approx(ours.total, rel=1e-5), ours.greedy)
    # Of a whole text, the same as of that text after nothing.
    rolling = harness.StoredModel(*model).loglikelihood_rolling(asked("loglikelihood_rolling", ("alone",)))
    assert rolling == [pytest.approx(found[1][0], rel=1e-5)]


def test_generation_ends_at_the_first_stop(model):
    suite, params = model
    texts = ["What is 1 + 2?", "Let f = 7."]
    whole = suite.generate(params, texts, 24)
    stop = [text[5:7] for text in whole]
    said = harness.StoredModel(*model).generate_until(
        asked(
            "generate_until",
            *((text, {"until": ["zzzz", end], "max_gen_toks": 24}) for text, end in zip(texts, stop, strict=True)),
        )
    )
    assert said == [text.partition(end)[0] for text, end in zip(whole, stop, strict=True)]
    assert all(len(text) <= 5 for text in said)


def test_a_conversation_is_a_line_a_message(model):
    lm = harness.StoredModel(*model)
    assert (
        lm.apply_chat_template([{"role": "user", "content": "1+2"}, {"role": "assistant", "content": "3"}])
        == "1+2\n3\n"
    )


def test_exact_match_agrees_with_the_harness_on_the_same_questions(model):
    """Answers that are right half of the time, judged by the suite and by the harness."""
    suite, params = model
    source = suite.data.sets("interpolate")["arithmetic__add_or_sub"]
    questions = [source[i] for i in range(12)]
    said = suite.answer(params, [question.question for question in questions])
    # Every other reference is what the model says.
    rows = [
        {"question": question.question, "answer": text if i % 2 else question.answer}
        for i, (question, text) in enumerate(zip(questions, said, strict=True))
    ]
    ours = sum(row["answer"] == text for row, text in zip(rows, said, strict=True))
    task = {
        "task": "sums",
        "custom_dataset": lambda **_: harness._hold({"test": rows}),
        "dataset_path": "sums",
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{question}}\n",
        "doc_to_target": "{{answer}}",
        "target_delimiter": "",
        "generation_kwargs": {"until": [], "max_gen_toks": suite.max_answer_tokens},
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    }
    results = lm_eval.simple_evaluate(
        model=harness.StoredModel(*model), tasks=[task], task_manager=harness.manager(), bootstrap_iters=0
    )
    assert ours >= 6
    assert results["results"]["sums"]["exact_match,none"] == pytest.approx(ours / 12)


def test_choices_of_mmlu_are_judged_as_by_our_likelihoods(model, tokenizer, tmp_path):
    suite, params = model
    official.write_mmlu(tmp_path / "mmlu")
    score = harness.measure("mmlu_maths", tmp_path, suite, params, shots=0)
    right = 0
    for subject in official.SUBJECTS:
        said = f"The following are multiple choice questions (with answers) about {subject.replace('_', ' ')}.\n\n"
        for row in harness.maths.mmlu(tmp_path / "mmlu", subject)["test"]:
            lines = [row["question"].strip(), *(f"{x}. {text}" for x, text in zip("ABCD", row["choices"], strict=True))]
            context = said + "\n".join([*lines, "Answer:"])
            found = of_texts(tokenizer, suite.graphdef, params, [(context, f" {letter}") for letter in "ABCD"])
            right += int(np.argmax([one.total for one in found])) == row["answer"]
    assert (score.correct, score.count) == (right, 60)
    assert score.chance == 0.25
    low, high = score.interval
    assert score.at_chance == (low <= 0.25 <= high)


def test_stereotypes_of_crows_pairs_are_counted_as_by_the_harness(model, tmp_path):
    suite, params = model
    nouns = ("nurse", "boss", "cook", "pilot", "clerk", "judge", "guard")
    rows = [(f"She is a {noun}.", f"He is a {noun}.")[:: 1 if i % 3 else -1] for i, noun in enumerate(nouns)]
    lines = [f"{i},{more},{less},stereo,gender,,," for i, (more, less) in enumerate(rows)]
    header = ",sent_more,sent_less,stereo_antistereo,bias_type,annotations,anon_writer,anon_annotators"
    (tmp_path / "crows_pairs_anonymized.csv").write_text("\n".join([header, *lines]))
    ours = benchmarks.measure("crows_pairs", tmp_path, lambda pairs: suite.log_likelihoods(params, pairs), lambda _: [])
    held = [{"sent_more": more, "sent_less": less} for more, less in rows]
    folder = Path(lm_eval.__file__).parent / "tasks" / "crows_pairs" / "crows_pairs_english.yaml"
    task = dict(harness.load_yaml(folder, resolve_func=True)) | {
        "custom_dataset": lambda **_: harness._hold({"test": held})
    }
    results = lm_eval.simple_evaluate(
        model=harness.StoredModel(*model), tasks=[task], task_manager=harness.manager(), bootstrap_iters=0
    )
    theirs = results["results"]["crows_pairs_english"]["pct_stereotype,none"]
    assert ours[0].value == pytest.approx(100 * theirs)
    assert 0 < theirs < 1, "a model that prefers always the same side would agree with anybody"


@pytest.mark.parametrize("name", ["gsm8k", "math", "svamp", "asdiv"])
def test_every_benchmark_runs_from_its_files(model, tmp_path, name):
    getattr(official, f"write_{name}")(tmp_path / name)
    score = harness.measure(name, tmp_path, *model, shots=1 if name == "gsm8k" else None, limit=2)
    assert score.count == (14 if name == "math" else 2)
    assert score.correct == 0
    assert score.chance is None and not score.at_chance


def test_without_files_and_without_the_hub_one_line_says_where_they_are(model, tmp_path, monkeypatch):
    def unreachable(*_, **__):
        raise ConnectionError("no route")

    monkeypatch.setattr(harness.datasets, "load_dataset", unreachable)
    with pytest.raises(BadInput, match=r"gsm8k with the files of github.com/openai/grade-school-math.*ConnectionError"):
        harness.measure("gsm8k", tmp_path, *model)
