"""Metrics on their way from the device to W&B."""

import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from vishwam.tracking import metrics as names
from vishwam.tracking.run import Run

MEMORY_SECONDS = 10.0


class Diverged(Exception):
    """The loss or its gradient is no longer a number; the message says at which step."""


class Rows:
    """One row a step, strictly increasing. Metrics of a dispatch are fetched when the next one is under way, so the
    device never waits for the host.
    """

    def __init__(self, run: Run, log_every: int, peak_flops: float | None, tokens: int = 0):
        """peak_flops: FLOP/s of the device at its best, None where that is not known; tokens: those trained on before
        a resume, padding apart.
        """
        self._run = run
        self._log_every = log_every
        self._pending: tuple[int, dict[str, jax.Array], int, float] | None = None
        self._step = -1
        self._losses: list[float] = []
        self._latest: dict[str, float] = {}
        self.tokens = tokens  # By the newest dispatch taken in.
        self._tokens = 0
        self._flops = 0.0
        self._waited = 0.0
        self._peak_flops = peak_flops
        # When the window that is being measured began; None while the first dispatch compiles.
        self._since: float | None = None
        self._until = 0.0

    def device_is_done(self) -> bool:
        """Whether the newest dispatch has ended: if so, the device waits for the next."""
        return self._pending is None or self._pending[1]["loss"].is_ready()  # type: ignore[attr-defined]

    def collect(self, step: int, metrics: dict[str, jax.Array], tokens: int, flops: float, waited: float = 0.0) -> None:
        """Takes what the dispatch that ends at `step` returned, [steps a dispatch] each, how many tokens and
        floating-point operations it was, padding apart, and for how many seconds at most the device waited for its
        batches; writes the row of the dispatch before, if one is due.

        Raises:
            Diverged: the dispatch before was not finite.
        """
        self.flush()
        self.write_if_due()
        self._pending = (step, metrics, tokens, flops)
        if self._since is not None:
            self._waited += waited

    def flush(self) -> None:
        """Waits for the newest dispatch and takes its metrics in.

        Raises:
            Diverged: it was not finite.
        """
        if self._pending is None:
            return
        step, metrics, tokens, flops = self._pending
        self._pending = None
        values = jax.device_get(metrics)
        finite = np.asarray(values["finite"])
        if not finite.all():
            bad = step - len(finite) + int(np.argmin(finite)) + 1
            raise Diverged(
                f"diverged at step {bad}: the loss or its gradient is no longer a number "
                f"(learning rate {values['learning_rate'][np.argmin(finite)]:.3g}); try a lower learning_rate"
            )
        self._until = time.perf_counter()
        self._step = step
        self.tokens += tokens
        self._tokens += tokens
        self._flops += flops
        self._losses.extend(values["loss"].tolist())
        self._latest = {
            names.LEARNING_RATE: float(values["learning_rate"][-1]),
            names.GRADIENT_NORM: float(values["gradient_norm"][-1]),
        }

    @property
    def loss(self) -> float:
        """Mean train loss since the last row; NaN where there was no step."""
        return float(np.mean(self._losses)) if self._losses else float("nan")

    def write_if_due(self) -> None:
        """Writes the row of the newest step taken in, if one belongs there and is not written yet."""
        if self._losses and self._step % self._log_every == 0:
            self.write(self._step)

    def write(self, step: int, more: Mapping[str, Any] | None = None) -> None:
        """Writes a row: train metrics since the last one, and `more`."""
        row: dict[str, Any] = {names.TOKENS: self.tokens}
        if self._losses:
            row |= {names.TRAIN_LOSS: self.loss, **self._latest}
            if self._since is not None:
                seconds = max(self._until - self._since, 1e-9)
                row[names.TOKENS_PER_SECOND] = self._tokens / seconds
                row[names.FLOPS_PER_SECOND] = self._flops / seconds
                row[names.INPUT_WAIT] = min(1.0, self._waited / seconds)
                if self._peak_flops:
                    row[names.MFU] = row[names.FLOPS_PER_SECOND] / self._peak_flops
        self._run.log(step, row | dict(more or {}))
        self._losses, self._latest, self._tokens, self._flops, self._waited = [], {}, 0, 0.0, 0.0
        self._since = time.perf_counter()
