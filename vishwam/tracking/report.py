"""The report of a sweep, built by wandb-workspaces on whichever W&B is in use; its panels are live from the first step.

It is made when the sweep is, so nothing here needs a trial; made again, it replaces what it was, with the results so
far.
"""

import base64
import contextlib
import io
import os
import re
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import wandb
import wandb_workspaces.reports.v2 as wr
from wandb.errors import CommError
from wandb_workspaces import expr

from data_pipelines.planted_bias import PlantedBias
from vishwam import config
from vishwam.errors import BadInput
from vishwam.knobs import nearest
from vishwam.monitoring import driver
from vishwam.tracking import fairness, metrics, panels, repetition, saxton, sweeps
from vishwam.tracking.run import api_key

SPLITS = ("interpolate", "extrapolate")
MEMORY_SAID = (
    "Predicted is what XLA said the arrays of the phase that takes most would take, training or evaluating, before it "
    "ran; measured is the allocator's peak while it did, or on a CPU the arrays and what the process grew by, tens of "
    "megabytes more. The largest batch is by proportion: what would have fitted."
)


def resolve(text: str) -> tuple[str, str, str]:
    """entity, project and id of `entity/project/id`, `project/id` or the id alone.

    Raises:
        BadInput: more than three parts, or an empty one.
    """
    parts = text.strip("/").split("/")
    if len(parts) > 3 or not all(parts):
        raise BadInput(f"'{text}' is no sweep: write entity/project/id, or the id alone")
    entity = parts[-3] if len(parts) == 3 else os.environ.get("WANDB_ENTITY") or str(wandb.Api().default_entity)
    project = parts[-2] if len(parts) > 1 else os.environ.get("WANDB_PROJECT", "vishwam")
    return entity, project, parts[-1]


def build(entity: str, project: str, sweep_id: str) -> str:
    """Makes the report of a sweep, or replaces the one there is; returns its address.

    Raises:
        BadInput: there is no such sweep.
    """
    sweep = _sweep(entity, project, sweep_id)
    marker = f"Sweep {entity}/{project}/{sweep_id}"
    name = " ".join(re.findall(r"[\w.-]+", str(sweep.get("name") or sweep_id)))
    report = wr.Report(
        entity=entity,
        project=project,
        title=f"{name} {sweep_id}" if name != sweep_id else sweep_id,
        description=marker,
        blocks=_blocks(entity, project, sweep_id, sweep),
        width="fluid",
    )
    # The description says which sweep a report is of, wherever it was written.
    for known in wandb.Api().reports(f"{entity}/{project}"):
        if known.description == marker:
            report.id = known.id
            break
    # Saving prints the address among the client's other words; the caller has it from here.
    with contextlib.redirect_stderr(io.StringIO()):
        report.save()
    return report.url


def export(address: str, file: Path) -> None:
    """Writes the report at `address` to `file`, as one page with all it needs inside.

    Raises:
        BadInput: the server is not an embedded one, or the file cannot be written.
    """
    parts = urlsplit(address)
    entity, project, _, slug = parts.path.strip("/").split("/", 3)
    coded = unquote(slug).rsplit("--", 1)[-1]
    number = base64.b64decode(coded + "=" * (-len(coded) % 4)).decode().removeprefix("View:")
    source = f"{parts.scheme}://{parts.netloc}/-/export/{entity}/{project}/{number}"
    key = base64.b64encode(f"api:{api_key(f'{parts.scheme}://{parts.netloc}')}".encode()).decode()
    try:
        with urllib.request.urlopen(urllib.request.Request(source, headers={"Authorization": f"Basic {key}"})) as reply:
            page = reply.read()
    except urllib.error.HTTPError as error:
        raise BadInput(f"--html: {parts.netloc} answered {error.code}; only the embedded server writes pages") from None
    try:
        file.write_bytes(page)
    except OSError as error:
        raise BadInput(f"--html: {file}: {error.strerror}") from None


def _sweep(entity: str, project: str, sweep_id: str) -> dict[str, Any]:
    api = wandb.Api()
    try:
        return api.sweep(f"{entity}/{project}/{sweep_id}").config
    except (CommError, ValueError):
        pass
    try:
        others = [sweep.id for sweep in api.project(project, entity).sweeps()]
    except (CommError, ValueError, TypeError):
        others = []
    raise BadInput(f"no sweep {entity}/{project}/{sweep_id} on {api.settings['base_url']}{nearest(sweep_id, others)}")


def _blocks(entity: str, project: str, sweep_id: str, sweep: Mapping[str, Any]) -> list[Any]:
    trials = sweeps.trials(f"{entity}/{project}/{sweep_id}")
    knobs = varied_knobs(sweep)
    sets = evaluation_sets(sweep, trials)
    of_repetition = any(knob in repetition.OFF for knob in knobs)
    of_bias = bool(fairness.measured(trials)) or (not trials and plants_bias(sweep))
    if of_repetition and not any(knob in fairness.AGAINST_BIAS for knob in knobs):
        of_bias = False  # It is measured, but nothing of the sweep is about it.
    watched = metrics.STEREOTYPE_GAP if of_bias else repetition.REPEATED if of_repetition else None

    shown = (metrics.INTERPOLATE, watched or metrics.EXTRAPOLATE)

    def grid(*drawn: Any, table: bool = False) -> Any:
        runs = wr.Runset(
            entity=entity,
            project=project,
            name="Trials",
            filters=expr.And(expr.Metric("Sweep") == sweep_id),
            order=[wr.OrderBy(wr.SummaryMetric(metrics.INTERPOLATE), ascending=False)],
            pinned_columns=["run:displayName", "run:state", *(f"config:{knob}.value" for knob in knobs)],
            visible_columns=[f"summary:{name}" for name in shown],
        )
        return wr.PanelGrid(runsets=[runs], panels=list(drawn), hide_run_sets=not table)

    exact = [metrics.exact_match(split, name) for split in SPLITS for name in sets[split]]
    told = (fairness.headline(trials) if of_bias else "", repetition.headline(trials) if of_repetition else "")
    return [
        wr.MarkdownBlock(text=_introduction(sweep, knobs)),
        wr.H1(text="Results"),
        wr.MarkdownBlock(text="\n\n".join(filter(None, (*told, _results(trials))))),
        grid(*panels.headlines(bool(sets["extrapolate"]), watched)),
        *([wr.CodeBlock(code=sweeps.table(trials), language=None)] if trials else []),
        wr.H1(text="Which knobs matter"),
        grid(*panels.search(knobs, watched), table=True),
        *(fairness.blocks(trials, grid) if of_bias else []),
        *(repetition.blocks(trials, grid) if of_repetition else []),
        wr.H1(text="Learning"),
        wr.P(text="Loss is in nats an answer token; exact match is character for character on the whole answer."),
        grid(
            panels.curve(metrics.VALIDATION_LOSS, "Validation loss", 0, 0, log=True),
            panels.curve(metrics.TRAIN_LOSS, "Training loss", panels.HALF, 0, log=True),
            panels.curve(metrics.INTERPOLATE, "Exact match in range", 0, 8, top=1.0),
            *(
                [panels.curve(metrics.EXTRAPOLATE, "Exact match beyond the range of training", panels.HALF, 8, top=1.0)]
                if sets["extrapolate"]
                else []
            ),
        ),
        *panels.by_set(exact, grid),
        *_beside_the_published(trials, sets),
        *panels.when_logged(trials, grid),
        wr.H1(text="Questions, answers and what the model said"),
        grid(wr.WeavePanelSummaryTable(table_name=metrics.SAMPLES, layout=wr.Layout(0, 0, panels.FULL, 14))),
        wr.H1(text="Where they err"),
        wr.P(text="Exact match by what a question is like, and the mistakes themselves with their kind."),
        grid(
            wr.WeavePanelSummaryTable(table_name=metrics.ERRORS, layout=wr.Layout(0, 0, panels.HALF, 14)),
            wr.WeavePanelSummaryTable(table_name=metrics.CONFUSIONS, layout=wr.Layout(panels.HALF, 0, panels.HALF, 14)),
        ),
        wr.H1(text="Memory and speed"),
        *(
            [wr.P(text=MEMORY_SAID), wr.CodeBlock(code=memory, language=None)]
            if (memory := sweeps.memory_table(trials))
            else []
        ),
        grid(*panels.resources(_on_device(trials))),
        wr.H1(text="Trials side by side"),
        grid(wr.RunComparer(diff_only="split", layout=wr.Layout(0, 0, panels.FULL, 14))),
        wr.H1(text="Using the best checkpoint"),
        wr.MarkdownBlock(text=_usage(entity, project, trials)),
    ]


def varied_knobs(sweep: Mapping[str, Any]) -> list[str]:
    """The knobs that differ between trials; W&B has put them in order of their names."""
    parameters = sweep.get("parameters") or {}
    return [name for name, spec in parameters.items() if "value" not in spec and len(spec.get("values", (0, 0))) > 1]


def evaluation_sets(sweep: Mapping[str, Any], trials: Sequence[sweeps.Trial]) -> dict[str, list[str]]:
    """The evaluation sets of each split: what the trials logged, else what the sweep's Gin file will make them log."""
    logged = {name for trial in trials for name in trial.summary}
    found = {
        split: sorted(
            (name.split("/", 2)[2] for name in logged if name.startswith(f"exact_match/{split}/")), key=_digits_first
        )
        for split in SPLITS
    }
    if any(found.values()):
        return found
    data = _data(sweep)
    return {split: list(data.sets(split)) for split in SPLITS} if data else found


def plants_bias(sweep: Mapping[str, Any]) -> bool:
    """Whether the trials of a sweep will learn from a corpus with a planted bias."""
    return isinstance(_data(sweep), PlantedBias)


def _data(sweep: Mapping[str, Any]) -> Any:
    """What a sweep's Gin file trains on; None for a foreign sweep, or one whose files are elsewhere."""
    arguments = [word for word in map(str, sweep.get("command") or []) if word.endswith(".gin")]
    try:
        return config.load(arguments).experiment.data
    except BadInput:
        return None


def _digits_first(name: str) -> tuple[int, str]:
    """`100_digits` stands behind `50_digits`, and both behind plain modules."""
    return metrics.digits_of(name) or -1, name


def _introduction(sweep: Mapping[str, Any], knobs: Sequence[str]) -> str:
    parameters = sweep.get("parameters") or {}
    rows = [f"| `{name}` | {_values(parameters[name])} |" for name in knobs]
    fixed = [f"`{name}` = {spec['value']}" for name, spec in parameters.items() if "value" in spec]
    metric = sweep.get("metric") or {}
    lines = [f"**{sweep['description']}**", ""] if sweep.get("description") else []
    lines += ["| knob | values |", "|---|---|", *rows, ""]
    if fixed:
        lines += [f"The same in all trials: {', '.join(fixed)}.", ""]
    said = f"Search: {sweep.get('method')}"
    if metric:
        said += f", to {metric.get('goal', 'minimize')} `{metric['name']}`"
    if sweep.get("early_terminate"):
        said += ". Trials that fall behind are stopped early (hyperband), so their curves are shorter"
    return "\n".join([*lines, said + "."])


def _values(spec: Mapping[str, Any]) -> str:
    if "values" in spec:
        return ", ".join(map(str, spec["values"]))
    return ", ".join(f"{name} {value}" for name, value in spec.items())


def _results(trials: Sequence[sweeps.Trial]) -> str:
    best = sweeps.best(trials)
    if best is None:
        return "No trial has been evaluated yet; the panels below fill as trials run."
    setting = ", ".join(f"`{name}` = {value}" for name, value in best.knobs.items()) or f"run {best.id}"
    said = [
        f"{value:.1%}{_bounds(best, f'{split}/exact_match')} of the questions of the {split} sets"
        for split in SPLITS
        if isinstance(value := best.summary.get(f"{split}/exact_match"), int | float)
    ]
    return (
        f"The best of {len(trials)} trials so far, {setting}, answers {' and '.join(said)} exactly. The table is as of "
        "when this report was last built (`vishwam report` builds it anew); square brackets are 95% intervals over "
        "questions. The panels below are live."
    )


def _bounds(trial: sweeps.Trial, name: str) -> str:
    low, high = (trial.summary.get(f"{name}_{end}") for end in ("low", "high"))
    return f" [{low:.1%}, {high:.1%}]" if isinstance(low, int | float) and isinstance(high, int | float) else ""


def _beside_the_published(trials: Sequence[sweeps.Trial], sets: Mapping[str, Sequence[str]]) -> list[Any]:
    best = sweeps.best(trials)
    if best is None or not saxton.covers(sets):
        return []
    return [wr.H1(text="Beside the published"), wr.MarkdownBlock(text=saxton.comparison(best.summary, sets))]


def _on_device(trials: Sequence[sweeps.Trial]) -> bool:
    """Whether trials log memory of a device, or will."""
    if trials:
        return any(metrics.DEVICE_USED in trial.summary for trial in trials)
    return driver.present()


def _usage(entity: str, project: str, trials: Sequence[sweeps.Trial]) -> str:
    best = sweeps.best(trials)
    run = best.id if best else "RUN"
    which = "" if best else " `RUN` is the id of a trial, the last part of its address."
    artifact = f"{entity}/{project}/checkpoint-{run}:best"
    return (
        "A trial stores a checkpoint at each evaluation, as artifact `checkpoint-RUN` with the aliases `latest` and "
        "`best`, the latter for the lowest validation loss among them. Each holds weights, optimizer, tokeniser and "
        f"configuration: nothing else is needed to evaluate it again, or to continue.{which}\n\n"
        f"```\nvishwam evaluate {artifact}\n```\n\n"
        f'From Python: `wandb.Api().artifact("{artifact}").download()`.'
    )
