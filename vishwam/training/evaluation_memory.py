"""What an evaluation takes in memory: validation's loss, and greedy decoding of the longest questions there will be."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from data_pipelines.loader import evaluation_batches
from data_pipelines.tokenizer import MathTokenizer
from vishwam.decoding import greedy
from vishwam.evaluation.suite import DECODE_BATCH, SPLITS
from vishwam.model.attention import share_of_scores
from vishwam.model.config import DecoderConfig
from vishwam.model.programs import compiled

from . import memory
from .experiment import Experiment
from .step import evaluation_step

# Of a trial's state, copies of the parameters: themselves, their average and Adam's two moments.
STATE = 4
LOOKED_AT = 32  # questions of each evaluation set


@dataclass(frozen=True)
class Asked:
    """The largest batches of an evaluation, of `DECODE_BATCH` rows: tokens of validation's longest row, of the longest
    question, and of an answer at most.
    """

    row: int
    question: int
    answer: int


def asked(experiment: Experiment, tokenizer: MathTokenizer) -> Asked:
    """What this experiment's first evaluation sets ask, by their first questions."""
    loop, data = experiment.loop, experiment.data
    batches = evaluation_batches(
        data.mixture("validation"), tokenizer, DECODE_BATCH, loop.validation_questions, loop.length_buckets
    )
    sources = [source for split in SPLITS for source in data.sets(split).values()]
    questions = [
        f"{source[i].question}\n" for source in sources for i in range(min(LOOKED_AT, loop.evaluation_questions))
    ]
    return Asked(
        row=max(batch["tokens_BT"].shape[1] for batch in batches),
        question=greedy.bucket(max(map(len, tokenizer.encode_batch(questions)), default=1)),
        answer=greedy.bucket(loop.max_answer_tokens),
    )


def estimate(config: DecoderConfig, parameters: int, asked: Asked) -> int:
    """Bytes, by arithmetic: fitted to XLA's analysis of both programs over eight shapes, good to about a third."""
    rows = DECODE_BATCH
    loss = _layer(config, asked.row)
    tokens = min(config.loss_chunk or rows * asked.row, rows * asked.row)
    loss = max(loss, 2 * tokens * config.vocab_size + rows * asked.row * config.model_dim)
    slots = asked.question + asked.answer
    cache = 2 * config.depth * rows * config.kv_heads * config.head_width * slots
    # Decoding unrolls the layers, and takes each one's parameters out of the stack.
    taken = max(0, parameters - config.vocab_size * config.model_dim) // config.num_layers
    # While it grows it is there twice; and the questions are read when it holds no answers yet.
    read = cache * asked.question // slots + _layer(config, asked.question)
    decoding = max(read, 2 * cache) + taken
    return 4 * (STATE * parameters + max(loss, decoding))


def _layer(config: DecoderConfig, length: int) -> int:
    """Floats that one layer takes over `DECODE_BATCH` rows, forward alone."""
    width, hidden = length * config.model_dim, length * config.mlp_dim
    attention = int(config.num_heads * length * length * share_of_scores(length))
    by_place = config.position == "place"
    most = width + max((2 + by_place) * attention + 3 * by_place * width, 2 * hidden + 4 * width)
    return int(DECODE_BATCH * most * (0.75 if config.compute_dtype == "bfloat16" else 1))


def predict(graphdef: Any, state: Any, asked: Asked) -> int:
    """Bytes by XLA's own analysis of the programs, which are compiled for it; the evaluation then finds them there.

    `state` may be made of shapes.
    """
    shape = (DECODE_BATCH, asked.row)
    batch = {
        name: jax.ShapeDtypeStruct(shape, kind)
        for name, kind in (("tokens_BT", np.int32), ("loss_mask_BT", np.float32))
    }
    loss = evaluation_step.lower(graphdef, state.averages, batch)
    read, answer = greedy.lower(graphdef, state.averages, DECODE_BATCH, asked.question, asked.answer)
    evaluated = _bytes(state.averages)
    needs = []
    for program in (loss, read, answer):
        analysis: Any = compiled(program).memory_analysis()
        own = max(0, analysis.argument_size_in_bytes - evaluated)
        inside = analysis.temp_size_in_bytes + analysis.output_size_in_bytes - analysis.alias_size_in_bytes
        # What is given to `answer` is the cache, which was copied there from a smaller one.
        needs.append(own + max(inside, own if program is answer else 0))
    return _bytes(state) + max(needs)


def _bytes(tree: Any) -> int:
    return sum(map(memory.size_of, jax.tree.leaves(tree)))
