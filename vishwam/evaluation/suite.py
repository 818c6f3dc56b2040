"""The evaluations of a maths experiment, the same in a trial and in `vishwam evaluate`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from flax import nnx

from data_pipelines.loader import evaluation_batches
from data_pipelines.modular_math.source import ModularMath
from data_pipelines.planted_bias import PlantedBias
from data_pipelines.tokenizer import MathTokenizer
from vishwam.decoding.greedy import greedy_decode
from vishwam.decoding.repetition import Repetition
from vishwam.model.programs import call, of_shapes
from vishwam.tracking.metrics import exact_match as metric_of
from vishwam.training.step import evaluation_step

from .exact_match import ExactMatch, exact_match, pooled
from .likelihood import of_texts, rows_at

SPLITS = ("interpolate", "extrapolate")

# Rows decoded together: enough to keep a CPU's cores busy, few enough that a signal is answered within seconds.
DECODE_BATCH = 128


@dataclass(frozen=True)
class Suite:
    """Held-out questions of `data` put to a model. Where `params` are shapes, none is answered: the programs that it
    takes are compiled.

    check: called between batches; raises when the trial is to end.
    """

    data: ModularMath | PlantedBias
    tokenizer: MathTokenizer
    graphdef: nnx.GraphDef
    max_answer_tokens: int
    length_buckets: tuple[int, ...]
    check: Callable[[], None]

    def validation_loss(self, params: Any, count: int) -> float:
        """Mean loss (nats an answer token) over the first `count` validation questions of all modules together."""
        totals = []
        for batch in evaluation_batches(
            self.data.mixture("validation"), self.tokenizer, DECODE_BATCH, count, self.length_buckets
        ):
            self.check()
            totals.append(call(evaluation_step, self.graphdef, params, jax.device_put(batch)))
        if of_shapes(totals):
            return float("nan")
        sums = jax.device_get(totals)
        return float(sum(t["loss_sum"] for t in sums) / sum(t["tokens"] for t in sums))

    def exact_match(
        self,
        params: Any,
        count: int,
        data: ModularMath | PlantedBias | None = None,
        splits: Sequence[str] = SPLITS,
    ) -> Iterator[tuple[str, str, ExactMatch]]:
        """(split, set, result) over the first `count` questions of each evaluation set of `splits`, by greedy decoding;
        of `data` instead of the suite's own where given.
        """

        def answer(questions: Sequence[str]) -> list[str]:
            return self.answer(params, questions)

        for split in splits:
            for name, source in (data or self.data).sets(split).items():
                yield split, name, exact_match(answer, [source[i] for i in range(count)])

    def log_likelihoods(
        self,
        params: Any,
        pairs: Sequence[tuple[str, str]],
        progress: Callable[[float], None] = lambda share: None,
    ) -> list[float]:
        """Of each continuation after its context, in nats; progress: told after every batch of the share read."""
        found = of_texts(self.tokenizer, self.graphdef, params, pairs, self.check, progress=progress)
        return [likelihood.total for likelihood in found]

    def answer(self, params: Any, questions: Sequence[str]) -> list[str]:
        """The model's greedy answer to each question, as text."""
        return self.generate(params, [f"{question}\n" for question in questions], self.max_answer_tokens)

    def generate(
        self,
        params: Any,
        texts: Sequence[str],
        max_new_tokens: int,
        rules: Repetition | None = None,
        longest: int | None = None,
        progress: Callable[[float], None] = lambda share: None,
    ) -> list[str]:
        """What greedy decoding writes after each text, up to the end token; under `rules` where given.

        longest: tokens of a text that the model is shown at most, the last ones; progress: told after every batch what
        share of all texts has been answered.
        """
        prompts = [prompt[-longest:] if longest else prompt for prompt in self.tokenizer.encode_batch(texts)]
        # Prompts of a like length share a batch, so little is spent on padding.
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        answers = [""] * len(prompts)
        start = 0
        while start < len(order):
            self.check()
            width = max(len(prompts[i]) for i in order[start : start + DECODE_BATCH])
            rows = order[start : start + min(DECODE_BATCH, rows_at(width))]
            start += len(rows)
            lengths_B = np.array([len(prompts[i]) for i in rows])
            tokens_BT = np.full((len(rows), lengths_B.max()), self.tokenizer.pad_id, np.int32)
            for row, i in enumerate(rows):
                tokens_BT[row, : lengths_B[row]] = prompts[i]
            said = greedy_decode(
                self.graphdef, params, tokens_BT, lengths_B, max_new_tokens, self.tokenizer.eos_id, rules
            )
            for i, ids in zip(rows, said, strict=True):
                answers[i] = self.tokenizer.decode(ids.tolist())
            progress(start / len(order))
        return answers


def figures(results: Sequence[tuple[str, str, ExactMatch]]) -> dict[str, float]:
    """Metrics by their names in W&B: each set, each split pooled, and the 95% interval and count of the latter."""
    metrics: dict[str, float] = {metric_of(split, name): result.value for split, name, result in results}
    for split in SPLITS:
        parts = [result for of, _, result in results if of == split]
        if parts:
            whole = pooled(parts)
            metrics[f"{split}/exact_match"] = whole.value
            metrics[f"{split}/exact_match_low"], metrics[f"{split}/exact_match_high"] = whole.interval
            metrics[f"{split}/exact_match_count"] = whole.count
    return metrics
