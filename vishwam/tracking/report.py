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
from typing import Any, Literal
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
from vishwam.tracking import fairness, metrics, repetition, saxton, sweeps
from vishwam.tracking.run import api_key

# Prefix of the metrics, the section's title, and what a reader must know.
OPTIONAL = (
    ("bias/", "Bias", "A model that knows nothing scores as unbiased: read these beside the exact match above."),
    ("repetition/", "Repetition", "How much of what a model writes it has written before."),
    (
        metrics.BENCHMARK,
        "Benchmarks",
        "Public test sets, by `vishwam evaluate --tasks`. Dashed is what guessing gets: a bar whose 95% interval holds "
        "it is at chance.",
    ),
)
KNOWS_NOTHING = (
    "No trial tells sentences from the same words in reverse order: these models know nothing of the language, and "
    "figures of their bias would say nothing, fair or unfair."
)
WATCHED = {
    metrics.STEREOTYPE_GAP: "Lowest stereotype gap, nats (0 is none)",
    repetition.REPEATED: "Least repetition, seq-rep-4",
}
SPLITS = ("interpolate", "extrapolate")
MEMORY_SAID = (
    "Predicted is what XLA said the arrays of the phase that takes most would take, training or evaluating, before it "
    "ran; measured is the allocator's peak while it did, or on a CPU the arrays and what the process grew by, tens of "
    "megabytes more. The largest batch is by proportion: what would have fitted."
)
# W&B's grid is 24 columns wide.
THIRD, HALF, FULL = 8, 12, 24


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

    def grid(*panels: Any, table: bool = False) -> Any:
        runs = wr.Runset(
            entity=entity,
            project=project,
            name="Trials",
            filters=expr.And(expr.Metric("Sweep") == sweep_id),
            order=[wr.OrderBy(wr.SummaryMetric(metrics.INTERPOLATE), ascending=False)],
            pinned_columns=["run:displayName", "run:state", *(f"config:{knob}.value" for knob in knobs)],
            visible_columns=[f"summary:{name}" for name in shown],
        )
        return wr.PanelGrid(runsets=[runs], panels=list(panels), hide_run_sets=not table)

    exact = [metrics.exact_match(split, name) for split in SPLITS for name in sets[split]]
    told = (fairness.headline(trials) if of_bias else "", repetition.headline(trials) if of_repetition else "")
    return [
        wr.MarkdownBlock(text=_introduction(sweep, knobs)),
        wr.H1(text="Results"),
        wr.MarkdownBlock(text="\n\n".join(filter(None, (*told, _results(trials))))),
        grid(*_headlines(bool(sets["extrapolate"]), watched)),
        *([wr.CodeBlock(code=sweeps.table(trials), language=None)] if trials else []),
        wr.H1(text="Which knobs matter"),
        grid(*_search(knobs, watched), table=True),
        *(fairness.blocks(trials, grid) if of_bias else []),
        *(repetition.blocks(trials, grid) if of_repetition else []),
        wr.H1(text="Learning"),
        wr.P(text="Loss is in nats an answer token; exact match is character for character on the whole answer."),
        grid(
            _curve(metrics.VALIDATION_LOSS, "Validation loss", 0, 0, log=True),
            _curve(metrics.TRAIN_LOSS, "Training loss", HALF, 0, log=True),
            _curve(metrics.INTERPOLATE, "Exact match in range", 0, 8, top=1.0),
            *(
                [_curve(metrics.EXTRAPOLATE, "Exact match beyond the range of training", HALF, 8, top=1.0)]
                if sets["extrapolate"]
                else []
            ),
        ),
        *_by_set(exact, grid),
        *_beside_the_published(trials, sets),
        *_when_logged(trials, grid),
        wr.H1(text="Questions, answers and what the model said"),
        grid(wr.WeavePanelSummaryTable(table_name=metrics.SAMPLES, layout=wr.Layout(0, 0, FULL, 14))),
        wr.H1(text="Where they err"),
        wr.P(text="Exact match by what a question is like, and the mistakes themselves with their kind."),
        grid(
            wr.WeavePanelSummaryTable(table_name=metrics.ERRORS, layout=wr.Layout(0, 0, HALF, 14)),
            wr.WeavePanelSummaryTable(table_name=metrics.CONFUSIONS, layout=wr.Layout(HALF, 0, HALF, 14)),
        ),
        wr.H1(text="Memory and speed"),
        *(
            [wr.P(text=MEMORY_SAID), wr.CodeBlock(code=memory, language=None)]
            if (memory := sweeps.memory_table(trials))
            else []
        ),
        grid(*_resources(_on_device(trials))),
        wr.H1(text="Trials side by side"),
        grid(wr.RunComparer(diff_only="split", layout=wr.Layout(0, 0, FULL, 14))),
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


def _search(knobs: Sequence[str], watched: str | None = None) -> list[Any]:
    targets = [metrics.INTERPOLATE, metrics.VALIDATION_LOSS, *([watched] if watched else [])]
    width = FULL // len(targets)
    columns_of = (metrics.VALIDATION_LOSS, watched or metrics.EXTRAPOLATE)
    columns = [wr.ParallelCoordinatesPlotColumn(metric=wr.Config(knob), display_name=knob) for knob in knobs]
    columns += [
        wr.ParallelCoordinatesPlotColumn(metric=wr.SummaryMetric(name), display_name=name)
        for name in (*columns_of, metrics.INTERPOLATE)
    ]
    return [
        wr.ParallelCoordinatesPlot(
            title="From knobs to what they do" if watched else "From knobs to exact match",
            columns=columns,
            layout=wr.Layout(0, 0, FULL, 10),
        ),
        *(
            wr.ParameterImportancePlot(with_respect_to=name, layout=wr.Layout(width * i, 10, width, 8))
            for i, name in enumerate(targets)
        ),
    ]


def _headlines(extrapolates: bool, watched: str | None) -> list[Any]:
    """The best of all trials, in figures."""
    shown: list[tuple[str, str, Literal["max", "min"]]] = [("Best exact match in range", metrics.INTERPOLATE, "max")]
    if extrapolates:
        shown.append(("Best exact match beyond it", metrics.EXTRAPOLATE, "max"))
    shown.append(("Lowest validation loss", metrics.VALIDATION_LOSS, "min"))
    if watched:
        shown.append((WATCHED[watched], watched, "min"))
    return [
        wr.ScalarChart(
            title=title,
            metric=wr.SummaryMetric(name),
            groupby_aggfunc=how,
            layout=wr.Layout(FULL // len(shown) * i, 0, FULL // len(shown), 4),
        )
        for i, (title, name, how) in enumerate(shown)
    ]


def _when_logged(trials: Sequence[sweeps.Trial], grid: Any) -> list[Any]:
    """Sections for bias and benchmarks, where trials log such metrics."""
    logged = sorted(
        {name for trial in trials for name, value in trial.summary.items() if isinstance(value, int | float)}
    )
    blocks: list[Any] = []
    for prefix, title, caution in OPTIONAL:
        # Bounds are drawn with what they bound; signed gaps of every group stand in the table with theirs.
        names = [
            name
            for name in logged
            if name.startswith(prefix)
            and not name.endswith(("_low", "_high", "_chance"))
            and not name.startswith(("bias/signed/", metrics.KNOWS_LANGUAGE))
        ]
        if not names:
            continue
        knows = [trial.summary[metrics.KNOWS_LANGUAGE] for trial in trials if metrics.KNOWS_LANGUAGE in trial.summary]
        if prefix == "bias/" and knows and not any(knows):
            blocks += [wr.H1(text=title), wr.P(text=KNOWS_NOTHING)]
            continue
        height = max(8, len(names))
        bars = wr.BarPlot(title=f"{title}, last value", metrics=[*names], layout=wr.Layout(0, 0, FULL, height))
        curves = [
            _curve(name, name.removeprefix(prefix), THIRD * (i % 3), height + 6 * (i // 3), size=(THIRD, 6))
            for i, name in enumerate(names)
        ]
        blocks += [wr.H1(text=title), wr.P(text=caution), grid(bars, *curves)]
    return blocks


def _by_set(exact: Sequence[str], grid: Any) -> list[Any]:
    """Exact match of every evaluation set: their last values side by side, and each one's curve."""
    if len(exact) < 2:
        return []
    # Names of many sets stand beside their bars, where there is room for them.
    many = len(exact) > 12
    height = len(exact) // 2 if many else 8
    bars = wr.BarPlot(
        title="Exact match by evaluation set, last value",
        metrics=list(exact),
        orientation="h" if many else "v",
        range_x=(0.0, 1.0),
        layout=wr.Layout(0, 0, FULL, height),
    )
    by_digits = _curve(
        metrics.BY_DIGITS,
        "Exact match by digits, one line a trial that ended",
        0,
        height,
        top=1.0,
        over=metrics.DIGITS,
        size=(FULL, 8),
    )
    lengths = [by_digits] if any(metrics.digits_of(name) for name in exact) else []
    below = height + 8 * len(lengths)
    curves = lengths + [
        _curve(name, name.removeprefix("exact_match/"), THIRD * (i % 3), below + 6 * (i // 3), top=1.0, size=(THIRD, 6))
        for i, name in enumerate(exact)
    ]
    caution = "A trial that has not learnt the range it trained on says nothing about what it could do beyond it."
    return [wr.H1(text="Every evaluation set"), wr.P(text=caution), grid(bars, *curves)]


def _beside_the_published(trials: Sequence[sweeps.Trial], sets: Mapping[str, Sequence[str]]) -> list[Any]:
    best = sweeps.best(trials)
    if best is None or not saxton.covers(sets):
        return []
    return [wr.H1(text="Beside the published"), wr.MarkdownBlock(text=saxton.comparison(best.summary, sets))]


def _curve(
    name: str,
    title: str,
    x: int,
    y: int,
    *,
    log: bool = False,
    top: float | None = None,
    over: str = metrics.STEP,
    size: tuple[int, int] = (HALF, 8),
) -> Any:
    return wr.LinePlot(
        title=title,
        x=over,
        y=[name],
        log_y=log or None,
        range_y=(None if top is None else 0.0, top),
        smoothing_factor=0.0,
        layout=wr.Layout(x, y, *size),
    )


def _on_device(trials: Sequence[sweeps.Trial]) -> bool:
    """Whether trials log memory of a device, or will."""
    if trials:
        return any(metrics.DEVICE_USED in trial.summary for trial in trials)
    return driver.present()


def _resources(on_device: bool) -> list[Any]:
    since_start = "RelativeTime(Process)"
    shown = [
        (metrics.TOKENS_PER_SECOND, "Tokens a second", metrics.STEP),
        (metrics.HOST_RSS, "Host memory of each trial, bytes", since_start),
        (metrics.HEADROOM, "Memory never used, fraction", since_start),
    ]
    device = [metrics.DEVICE_USED, metrics.DEVICE_RESERVED, metrics.ALLOCATOR_PEAK] if on_device else []
    # The phase is no amount of memory: the embedded server's page draws it as bands behind the others.
    course = wr.LinePlot(
        title="Memory of the best trial, bytes",
        x=since_start,
        y=[*device, metrics.HOST_RSS, metrics.MEMORY_LIMIT, metrics.PHASE],
        max_runs_to_show=1,
        smoothing_factor=0.0,
        layout=wr.Layout(0, 0, FULL, 9),
    )
    return [course] + [
        _curve(name, title, THIRD * i, 9, over=over, size=(THIRD, 6)) for i, (name, title, over) in enumerate(shown)
    ]


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
