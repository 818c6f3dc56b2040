"""What a training step needs in memory: by arithmetic, an answer in milliseconds, and by XLA, which compiles for it."""

import contextlib
import ctypes
import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import jax

from vishwam.model import decoder
from vishwam.model.attention import share_of_scores
from vishwam.model.config import WRITTEN_OUT
from vishwam.monitoring import memory
from vishwam.sizes import size
from vishwam.tracking.metrics import LARGEST_BATCH, PREDICTED_PEAK

# Copies of the parameters: themselves, their average, Adam's two moments, the gradient and the update.
COPIES = 6

# Floats kept for the backward pass, fitted to XLA's memory analysis of `train_step` over sixteen shapes.
PER_LAYER_WIDTH = 8
PER_LAYER_HIDDEN = 3
PER_LAYER_ATTENTION = 1.7  # of what is computed of each head's row of the attention matrix
PER_LAYER_PLACE = 1.7  # of the same, where heads look by place
LOOPED = 1.4  # times that where layers are a loop, which copies what it keeps
ONCE_WIDTH = 5
ONCE_VOCABULARY = 2


def parameter_count(config: decoder.DecoderConfig) -> int:
    """Parameters of the model, which is traced and not made.

    Raises:
        ValueError, TypeError: these numbers make no model.
    """
    shapes = jax.eval_shape(lambda key: decoder.init(config, key)[1], jax.eval_shape(lambda: jax.random.key(0)))
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))


def estimate(config: decoder.DecoderConfig, parameters: int, batch_size: int, length: int) -> int:
    """Bytes that a training step on a batch of `batch_size` rows of `length` tokens needs, good to about a third."""
    attention = PER_LAYER_ATTENTION + PER_LAYER_PLACE * (config.position == "place")
    layer = (
        PER_LAYER_WIDTH * config.model_dim
        + PER_LAYER_HIDDEN * config.mlp_dim
        + int(attention * config.num_heads * length * share_of_scores(length))
    )
    whole = int(layer * (LOOPED if config.depth > WRITTEN_OUT else 1))
    # What is computed again is there for one layer at a time; the others keep their input or their products.
    kept = {"none": whole, "products": 5 * config.model_dim + 2 * config.mlp_dim, "all": config.model_dim}[config.remat]
    token = layer + (config.depth - 1) * kept + ONCE_WIDTH * config.model_dim
    logits = ONCE_VOCABULARY * config.vocab_size
    parts = config.micro_batches
    copies = COPIES + (parts > 1)  # the sum of gradients
    if config.loss_chunk:
        return 4 * (copies * parameters + config.loss_chunk * logits + batch_size * length * token // parts)
    return 4 * (copies * parameters + batch_size * length * (token + logits) // parts)


def largest_batch(config: decoder.DecoderConfig, parameters: int, length: int, limit: int) -> int:
    """Rows of `length` tokens that a step may have within `limit` bytes, by `estimate`; 0 where not even one fits."""
    fixed = estimate(config, parameters, 0, length)
    return max(0, (limit - fixed) // (estimate(config, parameters, 1, length) - fixed))


# How far `estimate` may lie below XLA's own figure, as a factor.
ESTIMATE_OFF = 1.5

# What JAX's allocators round a buffer up to, bytes.
GRAIN = 256


class NoRoom(Exception):
    """The trial does not fit; the message has the figures and the largest batch that does."""


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Bytes that the arrays of training take at most: state, batches, and what the compiled step keeps meanwhile.

    fixed: those that do not depend on the batch. batch: rows. limit: bytes that there are for arrays, of what.
    """

    peak: int
    fixed: int
    batch: int
    limit: int
    limit_of: str

    @property
    def largest_batch(self) -> int:
        """Rows that would fit, by proportion: activations grow with them, parameters and optimizer do not."""
        return max(0, int((self.limit - self.fixed) * self.batch / max(self.peak - self.fixed, 1)))

    def insist(self) -> None:
        """Raises NoRoom where it does not fit."""
        if self.peak > self.limit:
            raise NoRoom(no_room(self.peak, self.limit, self.limit_of, self.batch, self.largest_batch))


def no_room(needed: float, limit: float, limit_of: str, batch: int, largest: int) -> str:
    """For a person: figures, and what to do."""
    remedy = f"the largest batch that fits is about {largest:,}" if largest else "not even a batch of 1 fits"
    lower = "lower batch_size or the model's size" if largest else "lower the model's size"
    return (
        f"a step on a batch of {batch:,} needs about {size(needed)}, more than the {size(limit)} of {limit_of}; "
        f"{remedy}: {lower}"
    )


def no_room_to_evaluate(needed: float, limit: float, limit_of: str, rows: int) -> str:
    """For a person, where the training step would fit."""
    return (
        f"an evaluation of {rows} questions at once needs about {size(needed)}, more than the {size(limit)} of "
        f"{limit_of}: lower the model's size, LoopConfig.max_answer_tokens or the questions' length"
    )


def predict(step: Any, graphdef: Any, state: Any, batches: Any, knobs: Any, limit: int, limit_of: str) -> Prediction:
    """Compiles `step`, a jitted function, for these arguments and reads XLA's memory analysis of it.

    A later call with such arguments does not compile again. batches: a tree of [steps, batch, length] arrays or shapes.
    """
    analysis = step.lower(graphdef, state, batches, knobs).compile().memory_analysis()
    arguments = jax.tree.leaves((state, batches, knobs))
    rounding = sum(-size_of(leaf) % GRAIN for leaf in arguments)
    # The next batches are on the device already while these are trained on.
    ahead = sum(map(size_of, jax.tree.leaves(batches)))
    inside = analysis.temp_size_in_bytes + analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    peak = analysis.argument_size_in_bytes + inside + analysis.generated_code_size_in_bytes + rounding + ahead
    # Of what the step keeps, gradients are the size of the parameters whatever the batch.
    fixed = sum(map(size_of, jax.tree.leaves(state))) + sum(map(size_of, jax.tree.leaves(state.params)))
    return Prediction(peak, min(fixed, peak - 1), jax.tree.leaves(batches)[0].shape[1], limit, limit_of)


class Writer(Protocol):
    def summarise(self, values: Mapping[str, Any]) -> None: ...


def insist(run: Writer, config: decoder.DecoderConfig, batch: int, length: int) -> None:
    """What is far beyond the device is refused by arithmetic, for even to compile it may take more than there is; the
    figures are left in the run.

    Raises:
        NoRoom: a step on `batch` rows of `length` tokens needs more by a factor that no estimate is wrong by.
    """
    parameters = parameter_count(config)
    needed = estimate(config, parameters, batch, length)
    limit, limit_of = room()
    if needed > ESTIMATE_OFF * limit:
        largest = largest_batch(config, parameters, length, limit)
        run.summarise({PREDICTED_PEAK: needed, LARGEST_BATCH: largest})
        raise NoRoom(no_room(needed, limit, limit_of, batch, largest))


def exhausted(config: decoder.DecoderConfig, batch: int, length: int, phase: str, error: str) -> str:
    """Why a trial ran out of memory all the same, in figures. phase: what it was at. error: what JAX said."""
    said = error.splitlines()[0][:200]
    limit, limit_of = room()
    if phase == "evaluate":
        return (
            f"out of memory in an evaluation, of the {size(limit)} of {limit_of}; lower the model's size, "
            f"LoopConfig.max_answer_tokens or the questions' length ({said})"
        )
    needed = estimate(config, parameter_count(config), batch, length)
    return (
        f"out of memory: a step on a batch of {batch} was estimated to need {size(needed)} of the {size(limit)} of "
        f"{limit_of}; lower batch_size, to {max(batch // 2, 1)} say ({said})"
    )


def room(live: int = 0) -> tuple[int, str]:
    """Bytes there are for arrays here, and of what; `live` of them are taken by arrays already. JAX has started."""
    limits = [stats.get("bytes_limit") for stats in map(memory.allocator, jax.local_devices())]
    known = [limit for limit in limits if limit]
    if known:
        return min(known), "device memory that JAX may take"
    give_back()
    own = max(0, host_status("VmRSS") - live)
    return max(0, memory.host_limit() - own), "host memory that is left to arrays"


def size_of(leaf: Any) -> int:
    dtype = leaf.dtype
    return math.prod(leaf.shape) * (dtype.itemsize if hasattr(dtype, "itemsize") else 4)


def host_status(name: str) -> int:
    """A line of Linux's /proc/self/status, bytes; 0 elsewhere."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0


def give_back() -> None:
    """What this process has freed and kept, as compiling leaves it in plenty, goes back to the system, where it can."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
