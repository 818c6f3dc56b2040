"""The one writer of a trial to W&B."""

import atexit
import base64
import functools
import json
import logging
import os
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wandb
from wandb.sdk.lib import wbauth
from wandb.sdk.lib.runid import generate_id

from vishwam.evaluation.exact_match import Sample

from .metrics import BIAS, BY_DIGITS, CONFUSIONS, DIGITS, ERRORS, INTERPOLATE, SAMPLES, STEP, VALIDATION_LOSS, digits_of
from .outbox import Outbox, Work

log = logging.getLogger(__name__)

# Everything over the step but memory, which W&B draws over wall time: a device's memory does not know of steps.
OVER_STEPS = ("train/*", "validation/*", "interpolate/*", "extrapolate/*", "exact_match/*", "equivalent/*", "bias/*",
              "repetition/*", "benchmark/*", SAMPLES, ERRORS, CONFUSIONS, BIAS)  # fmt: skip

# Rows of memory are given up first where the client takes none: an hour of them is kept.
MOST_WAITING = 1800
# For what is still to be said where a trial ends by force.
LAST_SECONDS = 3.0

# The client's own query for this.
RUN_STOPPED_STATUS = """
query RunStoppedStatus($entity: String!, $project: String!, $run: String!) {
    project(name: $project, entityName: $entity) { run(name: $run) { stopped } }
}
"""


class Run:
    """A W&B run that a trial writes to, new or resumed under the same id.

    Steps increase strictly: after a resume, rows up to the last one that W&B already has are dropped, so the replayed
    steps between the checkpoint and the kill are not drawn twice.

    Nobody who writes waits for the client, which encodes rows, talks to a process of its own and may be slow: it is
    called by one thread, in the order in which things were said.
    """

    def __init__(self, run: "wandb.Run", stop: threading.Event):
        self._run = run
        self._stop = stop
        self.id = run.id
        self.resumed = bool(run.resumed)
        self._key = api_key(run.settings.base_url)
        self._by_digits: dict[int, float] = {}
        self._logged_to = int(run.summary.get(STEP, -1)) if self.resumed else -1
        self._outbox = Outbox("writer")
        # Where a trial ends by an error nobody thought of, before the client ends the run.
        atexit.register(self._outbox.flush, LAST_SECONDS)
        self._monitoring_failed = False

    @property
    def path(self) -> str:
        """entity/project/id"""
        return self._run.path

    @property
    def url(self) -> str | None:
        return self._run.url

    def config(self, values: Mapping[str, Any]) -> None:
        """Adds to the run's config. What the sweep itself has set stays as the sweep wrote it."""
        missing = {name: value for name, value in values.items() if name not in self._run.config}
        self._run.config.update(missing)

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        """One row at `step`. A row at or before the last one logged is dropped (see the class).

        Raises what the client has raised at a row before: a trial that leaves no curve is none.
        """
        if self._outbox.failure:
            raise self._outbox.failure
        if step <= self._logged_to:
            return
        self._logged_to = step
        row = {"_timestamp": time.time(), STEP: step, **metrics}
        self._outbox.put(functools.partial(self._run.log, row))
        by_digits = {digits: value for name, value in metrics.items() if (digits := digits_of(name))}
        if by_digits and INTERPOLATE in metrics and "max_digits" in self._run.config:
            by_digits[int(self._run.config["max_digits"])] = metrics[INTERPOLATE]
        self._by_digits = by_digits or self._by_digits

    def log_memory(self, metrics: Mapping[str, float]) -> None:
        """One row of its own instant, whatever the step; dropped when the run has ended. Any thread may call it."""
        row = {"_timestamp": time.time(), **metrics}
        if len(self._outbox) < MOST_WAITING:
            self._aside(functools.partial(self._run.log, row))

    def alert(self, title: str, text: str, level: str) -> None:
        """level: INFO, WARN or ERROR. Any thread may call it."""
        self._aside(functools.partial(self._run.alert, title=title, text=text, level=level))

    def attach(self, name: str, kind: str, file: str, content: bytes) -> None:
        """A file as an artifact `name-<run id>` of type `kind`, uploaded in the background. Any thread may call it."""

        def send() -> None:
            artifact = wandb.Artifact(f"{name}-{self.id}", type=kind)
            with artifact.new_file(file, mode="wb") as opened:
                opened.write(content)
            self._run.log_artifact(artifact)

        self._aside(send)

    def _aside(self, work: Work) -> None:
        """Hands over what a trial can do without: what goes wrong there is said once and ends nothing."""

        def guarded() -> None:
            try:
                work()
            except Exception:
                if not self._monitoring_failed:
                    self._monitoring_failed = True
                    log.exception("W&B's client did not take what was measured of memory")

        self._outbox.put(guarded)

    def logged(self, step: int) -> bool:
        """Whether W&B has the row of `step` already."""
        return step <= self._logged_to

    def summarise(self, values: Mapping[str, Any]) -> None:
        values = dict(values)
        self._outbox.put(lambda: self._run.summary.update(values))

    def samples(self, rows: Mapping[str, Sequence[Sample]]) -> "wandb.Table":
        """A table of questions, answers and predictions by evaluation set, to be logged with a row."""
        return wandb.Table(
            columns=["set", "question", "answer", "prediction", "correct"],
            data=[
                [name, sample.question, sample.answer, sample.prediction, sample.answer == sample.prediction]
                for name, samples in rows.items()
                for sample in samples
            ],
        )

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> "wandb.Table":
        """Any other table, to be logged with a row."""
        return wandb.Table(columns=list(columns), data=[list(row) for row in rows])

    def checkpoint(self, folder: Path, step: int, best: bool, metadata: Mapping[str, Any]) -> None:
        """Uploads a step's folder, with what lies beside it, in the background."""
        # W&B takes at most 100 keys; what single sets came to is in the folder's evaluation.json.
        headlines = {name: value for name, value in metadata.items() if name.count("/") < 2}
        artifact = wandb.Artifact(f"checkpoint-{self.id}", type="model", metadata=headlines)
        artifact.add_dir(str(folder))
        artifact.add_dir(str(folder.parent / "tokenizer"), name="tokenizer")
        for name in ("config.gin", "operative_config.gin"):
            artifact.add_file(str(folder.parent / name))
        self._run.log_artifact(artifact, aliases=["latest", f"step-{step}", *(["best"] if best else [])])

    def checkpoint_name(self, alias: str) -> str:
        """entity/project/checkpoint-id:alias"""
        return f"{self._run.entity}/{self._run.project}/checkpoint-{self.id}:{alias}"

    def has_checkpoint(self, step: int) -> bool:
        """Whether W&B holds the checkpoint of `step`, whole and evaluated; False where it does not say."""
        if self._run.offline:
            return False
        try:
            artifact = wandb.Api(timeout=10).artifact(self.checkpoint_name(f"step-{step}"), type="model")
        except (wandb.errors.CommError, ValueError):
            return False
        # A trial that is interrupted while it decodes sends the step as it is, and again when it is evaluated.
        return VALIDATION_LOSS in artifact.metadata

    def stop_requested(self) -> bool:
        """Whether W&B asked this run to stop: early termination by the sweep, or a person's click.

        Early termination reaches a trial twice: in the stream's reply, and as SIGTERM from the agent, which may come
        first and which preemption sends too. `ask_stop_requested` tells them apart.
        """
        return self._stop.is_set()

    def ask_stop_requested(self) -> bool:
        """Asks the server whether this run was told to stop; False when it does not answer within 3 s."""
        if self._stop.is_set():
            return True
        if self._run.offline:
            return False
        variables = {"entity": self._run.entity, "project": self._run.project, "run": self._run.id}
        body = json.dumps({"query": RUN_STOPPED_STATUS, "variables": variables}).encode()
        key = base64.b64encode(f"api:{self._key}".encode()).decode()
        request = urllib.request.Request(
            f"{self._run.settings.base_url.rstrip('/')}/graphql",
            body,
            {"Content-Type": "application/json", "Authorization": f"Basic {key}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=3) as reply:
                return bool(json.load(reply)["data"]["project"]["run"]["stopped"])
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def announce_preemption(self) -> None:
        """Tells W&B that this run ends for a reason that is not its own, and is to be handed out again."""
        self._run.mark_preempting()

    def last_words(self) -> int:
        """Says what is left to say where a trial ends by force; returns its exit code."""
        if self.ask_stop_requested():
            self.summarise({"stopped_early": True})
            self._outbox.flush(LAST_SECONDS)
            return 0
        self._outbox.flush(LAST_SECONDS)
        self.announce_preemption()
        return 1

    def fail(self, reason: str) -> None:
        """Ends the run as failed, with the reason where a person looks for it."""
        self.summarise({"failure": reason})
        self.alert("Trial failed", reason, "ERROR")
        self._end(exit_code=1)

    def finish(self, exit_code: int = 0) -> None:
        """Ends the run; one that is not to go on leaves its last exact match by digits as a curve."""
        if exit_code == 0:
            for digits, value in sorted(self._by_digits.items()):
                self._outbox.put(functools.partial(self._run.log, {DIGITS: digits, BY_DIGITS: value}))
        self._end(exit_code)

    def _end(self, exit_code: int) -> None:
        self._outbox.close()
        failure = self._outbox.failure if exit_code == 0 else None
        self._run.finish(exit_code=1 if failure else exit_code)
        if failure:
            raise failure


def new_id() -> str:
    """The id of the run that the environment names, as an agent does, or a fresh one."""
    return os.environ.get("WANDB_RUN_ID") or generate_id()


def api_key(base_url: str) -> str:
    """The key that the client uses there: the environment's, or that of an earlier `wandb login`."""
    return os.environ.get("WANDB_API_KEY") or wbauth.read_netrc_auth(host=base_url) or ""


def checkpoint_name(id: str, alias: str) -> str:
    """Of a run that is not begun: entity/project/checkpoint-id:alias, as `start` would have it."""
    entity = os.environ.get("WANDB_ENTITY") or wandb.Api().default_entity
    return f"{entity}/{os.environ['WANDB_PROJECT']}/checkpoint-{id}:{alias}"


def start(id: str, job_type: str = "train") -> Run:
    """Begins the run `id`, or continues it where W&B has it already.

    Under an agent the run is named by the knobs its sweep varies, which say more than random words.
    """
    stop = threading.Event()

    def note_stop() -> (
        None
    ):  # A plain function: the client deep-copies its settings, which a bound method's lock refuses.
        stop.set()

    run = wandb.init(
        id=id,
        job_type=job_type,
        resume="allow",
        # Without a stop_fn the client raises KeyboardInterrupt wherever the main thread happens to be.
        settings=wandb.Settings(stop_fn=note_stop),
    )
    swept = swept_knobs()
    if swept and not run.resumed:
        run.name = " ".join(f"{name}={value}" for name, value in swept.items())
    if run.resumed:  # How it ended before is not how it ends now.
        run.summary.update({name: None for name in ("failure", "stopped_early") if run.summary.get(name)})
    run.define_metric(STEP)
    for names in OVER_STEPS:
        run.define_metric(names, step_metric=STEP)
    run.define_metric(DIGITS)
    run.define_metric(BY_DIGITS, step_metric=DIGITS)
    return Run(run, stop)


def swept_knobs() -> dict[str, Any]:
    """The knobs that the sweep set for this trial, as the agent left them for the client; empty without an agent."""
    import yaml

    path = os.environ.get("WANDB_SWEEP_PARAM_PATH")
    if not path or not Path(path).exists():
        return {}
    values = yaml.safe_load(Path(path).read_text()) or {}
    return {name: entry["value"] for name, entry in values.items() if isinstance(entry, dict) and "value" in entry}
