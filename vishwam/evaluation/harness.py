"""A stored model as a model of EleutherAI's lm-evaluation-harness, and its tasks on official files.

Only what the extra `benchmarks` installs makes this importable, and nothing but `vishwam evaluate --tasks` imports it.
"""

import functools
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import lm_eval
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml

from data_pipelines.benchmarks import maths
from vishwam.errors import BadInput

from .likelihood import of_texts
from .statistics import wilson_interval
from .suite import Suite

Reader = Callable[[Path], maths.Splits]

GENERATED = 256  # tokens of an answer at most, where a task does not say
LONGEST = 4096  # tokens of a context: what attention makes of them in memory grows with their square
TASKS = Path(lm_eval.__file__).parent / "tasks"
_FOLDERS = [TASKS / name for name in ("mmlu/default", "gsm8k", "hendrycks_math", "asdiv")]
_HARNESS_MATH = {
    "counting_and_probability": "counting_and_prob",
    "number_theory": "num_theory",
    "precalculus": "precalc",
}


class StoredModel(LM):
    """Answers the harness's requests by a checkpoint's model, text in and text out.

    Context and continuation are tokenised apart, as in training, where a question ends before its answer begins. Of a
    context and its continuation only the last `LONGEST` tokens are read.

    Attributes:
      cut: the items (task and number) whose contexts were longer.
    """

    def __init__(self, suite: Suite, params: Any, progress: Callable[[float], None] = lambda share: None):
        super().__init__()
        self._suite, self._params, self._progress = suite, params, progress
        self.cut: set[tuple[str | None, int | None]] = set()

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Nats of each continuation after its context, and whether greedy decoding would say it."""
        pairs = [one.args for one in requests]
        found = of_texts(
            self._suite.tokenizer,
            self._suite.graphdef,
            self._params,
            pairs,
            longest=LONGEST,
            progress=self._progress,
        )
        self.cut |= {_item(one) for one, likelihood in zip(requests, found, strict=True) if likelihood.cut}
        return [(likelihood.total, likelihood.greedy) for likelihood in found]

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """Nats of each whole text, the first token after an end token."""
        texts = [("", one.args[0]) for one in requests]
        found = of_texts(self._suite.tokenizer, self._suite.graphdef, self._params, texts)
        return [likelihood.total for likelihood in found]

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """What greedy decoding writes after each context, up to the first of its stop texts."""
        said = [""] * len(requests)
        prompts = self._suite.tokenizer.encode_batch([one.args[0] for one in requests])
        self.cut |= {_item(one) for one, prompt in zip(requests, prompts, strict=True) if len(prompt) > LONGEST}
        alike: dict[int, list[int]] = defaultdict(list)
        for i, one in enumerate(requests):
            alike[int(one.args[1].get("max_gen_toks", GENERATED))].append(i)
        for tokens, places in alike.items():
            contexts = [requests[i].args[0] for i in places]
            texts = self._suite.generate(self._params, contexts, tokens, longest=LONGEST, progress=self._progress)
            for i, text in zip(places, texts, strict=True):
                said[i] = until(text, requests[i].args[1].get("until", ()))
        return said

    @property
    def tokenizer_name(self) -> str:
        return self._suite.tokenizer.fingerprint()

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The tokeniser's own template; without one, every message on a line of its own, as questions and answers are
        trained on.
        """
        return self._suite.tokenizer.chat(chat_history, add_generation_prompt)

    def chat_template(self, chat_template: bool | str = False) -> str:
        return ""


def _item(request: Instance) -> tuple[str | None, int | None]:
    return request.task_name, request.doc_id


def until(text: str, stops: str | Sequence[str]) -> str:
    """`text` up to the first of `stops` in it."""
    for stop in [stops] if isinstance(stops, str) else stops:
        if stop:
            text = text.partition(stop)[0]
    return text


@dataclass(frozen=True)
class Benchmark:
    """A task as people name it.

    tasks: the harness's own, each with the reader of its official files; shots: worked examples before a question, as
    published; chance: what guessing gets, None where there is nothing to guess among.
    """

    folder: str
    published: str
    metric: str
    tasks: dict[str, Reader]
    shots: int = 0
    chance: float | None = None


_MATHS_SUBJECTS = (
    "abstract_algebra",
    "college_mathematics",
    "elementary_mathematics",
    "high_school_mathematics",
    "high_school_statistics",
)
# The harness has no such task. The hub's copy has the official file's names, and 300 of its 1,000 problems for testing.
SVAMP = {
    "task": "svamp",
    "dataset_path": "ChilleD/SVAMP",
    "test_split": "test",
    "output_type": "generate_until",
    "doc_to_text": "Question: {{Body}} {{Question}}\nAnswer:",
    "doc_to_target": "{{Answer}}",
    "generation_kwargs": {"until": ["\n"], "do_sample": False},
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    "filter_list": [
        {
            "name": "number",
            "filter": [
                {"function": "regex", "regex_pattern": "(-?[0-9]+(?:\\.[0-9]+)?)", "group_select": -1},
                {"function": "take_first"},
            ],
        }
    ],
    "metadata": {"version": 1.0},
}


@functools.cache
def manager() -> TaskManager:
    # They tell at length what they do, and every attempt to reach the hub.
    for name in ("lm_eval", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return TaskManager(include_path=_FOLDERS, include_defaults=False)


@functools.cache
def benchmarks() -> dict[str, Benchmark]:
    """All that `--tasks` takes, by name; each of MMLU's subjects under its own, too."""
    prefix = "mmlu_"
    subjects = sorted(
        name.removeprefix(prefix)
        for name in manager().all_subtasks
        if name.startswith(prefix) and name.count("flan") == 0
    )

    def mmlu(names: Sequence[str]) -> Benchmark:
        tasks: dict[str, Reader] = {prefix + name: functools.partial(maths.mmlu, subject=name) for name in names}
        return Benchmark("mmlu", "github.com/hendrycks/test", "acc,none", tasks, shots=5, chance=0.25)

    math: dict[str, Reader] = {
        f"hendrycks_math_{_HARNESS_MATH.get(name, name)}": functools.partial(maths.math, subject=name)
        for name in maths.MATH_SUBJECTS
    }
    return {
        "mmlu_maths": mmlu(_MATHS_SUBJECTS),
        "mmlu": mmlu(subjects),
        **{prefix + name: mmlu([name]) for name in subjects},
        "gsm8k": Benchmark(
            "gsm8k",
            "github.com/openai/grade-school-math",
            "exact_match,flexible-extract",
            {"gsm8k": maths.gsm8k},
            shots=5,
        ),
        "math": Benchmark("math", "github.com/hendrycks/math", "exact_match,none", math),
        "svamp": Benchmark("svamp", "github.com/arkilpatel/SVAMP", "exact_match,number", {"svamp": maths.svamp}),
        "asdiv": Benchmark("asdiv", "github.com/chaochun/nlu-asdiv-dataset", "acc,none", {"asdiv": maths.asdiv}),
    }


@dataclass(frozen=True)
class Score:
    """How many of `count` items were right by a task's own metric; of `cut` of them the beginning was not read."""

    benchmark: str
    metric: str
    correct: float
    count: int
    chance: float | None
    cut: int

    @property
    def value(self) -> float:
        return self.correct / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% Wilson interval of `value`."""
        return wilson_interval(self.correct, self.count)

    @property
    def at_chance(self) -> bool:
        """Whether guessing may have got it."""
        low, high = self.interval
        return self.chance is not None and low <= self.chance <= high


def measure(
    name: str,
    folder: Path,
    suite: Suite,
    params: Any,
    shots: int | None = None,
    limit: int | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Score:
    """One benchmark by the harness: from official files in `folder`/mmlu, `folder`/gsm8k and so on, else from the hub.

    shots: worked examples before a question, as published unless given; limit: items a task, all unless given;
    progress: told what share has been asked.

    Raises:
        BadInput: there are no such files and the hub cannot be reached, or a file is not as published.
    """
    asked = benchmarks()[name]
    place = folder / asked.folder
    datasets.disable_progress_bars()
    specs: list[Any] = []
    for task, read in asked.tasks.items():
        spec: dict[str, Any] = dict(SVAMP) if task == "svamp" else _harness_config(task)
        if place.is_dir():
            spec["custom_dataset"] = functools.partial(_hold, read(place))
        specs.append(spec)
    try:
        loaded = [task for spec in specs for task in manager().load(spec)["tasks"].values()]
    except BadInput:
        raise
    except Exception as error:  # whatever the hub's client, its cache or the network say
        if place.is_dir():
            raise
        raise not_to_be_had(name, place, asked.published, error) from None
    model = StoredModel(suite, params, progress)
    results = lm_eval.simple_evaluate(
        model=model,
        tasks=loaded,
        num_fewshot=asked.shots if shots is None else shots,
        limit=limit,
        bootstrap_iters=0,
        task_manager=manager(),
    )
    correct, count = 0.0, 0
    metric, _, chosen = asked.metric.partition(",")
    for samples in results["samples"].values():
        of_filter = [sample for sample in samples if sample["filter"] == chosen]
        correct += sum(float(sample[metric]) for sample in of_filter)
        count += len(of_filter)
    return Score(name, metric, correct, count, asked.chance, len(model.cut))


def not_to_be_had(name: str, place: Path, published: str, error: Exception) -> BadInput:
    """For a benchmark that is neither in `place` nor to be had from the hub."""
    return BadInput(
        f"--tasks {name}: no folder {place} with the files of {published}, and the Hugging Face hub does not give them "
        f"({type(error).__name__})"
    )


def _harness_config(task: str) -> dict[str, Any]:
    """The harness's own settings of a task: its prompt, its metrics, its filters."""
    return dict(load_yaml(manager().task_index[task].yaml_path, resolve_func=True))


def _hold(splits: maths.Splits, **_: Any) -> datasets.DatasetDict:
    return datasets.DatasetDict({name: datasets.Dataset.from_list(rows) for name, rows in splits.items()})
