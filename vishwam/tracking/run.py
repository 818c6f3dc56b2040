"""The one writer of a trial to W&B."""

import base64
import json
import logging
import os
import threading
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wandb
from wandb.sdk.lib import wbauth
from wandb.sdk.lib.runid import generate_id

from vishwam.evaluation.exact_match import Sample

from .metrics import BIAS, BY_DIGITS, CONFUSIONS, DIGITS, ERRORS, INTERPOLATE, SAMPLES, STEP, VALIDATION_LOSS, digits_of

log = logging.getLogger(__name__)

# Everything over the step but memory, which W&B draws over wall time: a device's memory does not know of steps.
OVER_STEPS = ("train/*", "validation/*", "interpolate/*", "extrapolate/*", "exact_match/*", "equivalent/*", "bias/*",
              "repetition/*", "benchmark/*", SAMPLES, ERRORS, CONFUSIONS, BIAS)  # fmt: skip

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
    """

    def __init__(self, run: "wandb.Run", stop: threading.Event):
        self._run = run
        self._stop = stop
        self.id = run.id
        self.resumed = bool(run.resumed)
        self._key = api_key(run.settings.base_url)
        self._by_digits: dict[int, float] = {}
        self._logged_to = int(run.summary.get(STEP, -1)) if self.resumed else -1
        # Rows of memory come from a thread of their own, and the client counts rows.
        self._writing = threading.RLock()
        self._ended = False

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
        """One row at `step`. A row at or before the last one logged is dropped (see the class)."""
        if step <= self._logged_to:
            return
        self._logged_to = step
        with self._writing:
            self._run.log({STEP: step, **metrics})
        by_digits = {digits: value for name, value in metrics.items() if (digits := digits_of(name))}
        if by_digits and INTERPOLATE in metrics and "max_digits" in self._run.config:
            by_digits[int(self._run.config["max_digits"])] = metrics[INTERPOLATE]
        self._by_digits = by_digits or self._by_digits

    def log_memory(self, metrics: Mapping[str, float]) -> None:
        """One row of its own instant, whatever the step; dropped when the run has ended. Any thread may call it."""
        with self._writing:
            if not self._ended:
                self._run.log(dict(metrics))

    def alert(self, title: str, text: str, level: str) -> None:
        """level: INFO, WARN or ERROR. Any thread may call it."""
        with self._writing:
            if not self._ended:
                self._run.alert(title=title, text=text, level=level)

    def attach(self, name: str, kind: str, file: str, content: bytes) -> None:
        """A file as an artifact `name-<run id>` of type `kind`, uploaded in the background. Any thread may call it."""
        artifact = wandb.Artifact(f"{name}-{self.id}", type=kind)
        with artifact.new_file(file, mode="wb") as opened:
            opened.write(content)
        with self._writing:
            if not self._ended:
                self._run.log_artifact(artifact)

    def logged(self, step: int) -> bool:
        """Whether W&B has the row of `step` already."""
        return step <= self._logged_to

    def summarise(self, values: Mapping[str, Any]) -> None:
        self._run.summary.update(dict(values))

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
            return 0
        self.announce_preemption()
        return 1

    def fail(self, reason: str) -> None:
        """Ends the run as failed, with the reason where a person looks for it."""
        self._run.summary["failure"] = reason
        self.alert("Trial failed", reason, "ERROR")
        self._end(exit_code=1)

    def finish(self, exit_code: int = 0) -> None:
        """Ends the run; one that is not to go on leaves its last exact match by digits as a curve."""
        if exit_code == 0:
            for digits, value in sorted(self._by_digits.items()):
                with self._writing:
                    self._run.log({DIGITS: digits, BY_DIGITS: value})
        self._end(exit_code)

    def _end(self, exit_code: int) -> None:
        with self._writing:
            self._ended = True
        self._run.finish(exit_code=exit_code)


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
