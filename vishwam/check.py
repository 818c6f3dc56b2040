"""`vishwam check SWEEP.yaml`: proves, before anything is launched, that every trial of a sweep can begin.

Of the sweep file: its vocabulary, and that it steers by a metric that trials log. Of each knob: that the experiment has
it, and that every value is of its type and in its range. Of the corners of the space: that the model builds
(`jax.eval_shape`, which computes nothing), that questions fit its length buckets, and that its memory fits the device.
"""

import argparse
import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_pipelines import BadInput as BadData
from vishwam import config
from vishwam.errors import BadInput
from vishwam.knobs import Knob, nearest, unknown
from vishwam.monitoring.memory import device_limit
from vishwam.sizes import size
from vishwam.tokenizers import open_tokenizer
from vishwam.tracking import metrics, sweep_file
from vishwam.tracking.sweep_file import Parameter, SweepFile

if TYPE_CHECKING:
    from data_pipelines.tokenizer import MathTokenizer

# The agent puts the trial's knobs here, as name=value.
KNOBS_HERE = "${args_no_hyphens}"
MOST_COMBINATIONS = 256
QUESTIONS_TRIED = 512
CORNERS_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Report:
    """What is to be launched."""

    file: str
    trials: int | None
    method: str
    knobs: dict[str, tuple[Any, ...]]  # name -> values, or the ends of their range
    metric: str | None
    first_stop: int | None
    parameters: tuple[int, int]  # of the smallest and largest model
    needs: list["Need"]  # of the corners of the space whose models or batches differ, ascending
    limit: int
    limit_of: str

    def text(self) -> str:
        """A few lines for people."""
        low, high = self.parameters
        trials = f"{self.trials} ({self.method})" if self.trials else f"until it is stopped ({self.method}, no run_cap)"
        rows = {"trials": trials}
        for name, values in self.knobs.items():
            rows[name] = ", ".join(map(str, values))
        if self.metric:
            early = f"; hyperband compares from value {self.first_stop} on" if self.first_stop else ""
            rows["metric"] = self.metric + early
        rows["parameters"] = f"{high:,}" if low == high else f"{low:,} to {high:,}"
        most = self.needs[-1]
        rows["memory"] = f"about {size(most.bytes)} of {size(self.limit)} {self.limit_of}, for {most.what}"
        width = max(map(len, rows))
        lines = [f"{self.file} is sound", *(f"  {name:<{width}}  {value}" for name, value in rows.items())]
        return "\n".join([*lines, *self._corners(width)])

    def _corners(self, width: int) -> list[str]:
        """The memory of each corner, where they differ: the least, the most, and some between."""
        if size(self.needs[0].bytes) == size(self.needs[-1].bytes):
            return []
        last = len(self.needs) - 1
        shown = sorted({round(i * last / (CORNERS_SHOWN - 1)) for i in range(CORNERS_SHOWN)})
        varied = [name for name in self.needs[0].knobs if len({need.knobs[name] for need in self.needs}) > 1]
        words = [" ".join(f"{name}={self.needs[i].knobs[name]}" for name in varied) for i in shown]
        widest = max(map(len, words))
        indent = " " * (width + 4)
        needs = [self.needs[i] for i in shown]
        return [
            f"{indent}{text:<{widest}}  {size(need.bytes):>6}  largest batch about {need.largest_batch:,}"
            for need, text in zip(needs, words, strict=True)
        ]


@dataclasses.dataclass(frozen=True)
class Need:
    """What one corner of the space needs in memory, by estimate, and for what; the largest batch that would fit its
    device.
    """

    knobs: dict[str, Any]
    bytes: int
    what: str
    largest_batch: int


def main(args: argparse.Namespace) -> int:
    """The command; `args.file` is the sweep file."""
    print(check(args.file).text())
    return 0


def check(path: str | Path) -> Report:
    """Checks a sweep file and everything it would launch.

    Raises:
        BadInput: the first thing that is wrong: file and line, what is wrong, the nearest right name.
    """
    sweep = sweep_file.read(Path(path))
    gin_files, fixed = _command(sweep)
    base = _load(sweep, gin_files, fixed)
    for parameter in sweep.parameters.values():
        _check_parameter(parameter, base, fixed)
    _check_metric(sweep, base)
    limit, limit_of = device_limit()
    corners = _corners(sweep, gin_files, fixed)
    asked: dict[str, Any] = {}
    found = [_prove(sweep, values, experiment, asked, limit, limit_of) for values, experiment in corners]
    counts = [parameters for parameters, _ in found]
    return Report(
        file=sweep.file,
        trials=sweep.trials,
        method=sweep.method,
        knobs={name: parameter.values for name, parameter in sweep.parameters.items()},
        metric=f"{sweep.goal} {sweep.metric}" if sweep.metric else None,
        first_stop=sweep.first_stop,
        parameters=(min(counts), max(counts)),
        needs=sorted((need for _, need in found), key=lambda need: need.bytes),
        limit=limit,
        limit_of=limit_of,
    )


def _command(sweep: SweepFile) -> tuple[list[str], list[str]]:
    """The Gin files and the fixed knobs of the sweep's command."""
    words, place = sweep.command, sweep.command_place
    example = f"[vishwam, train, gin/math.gin, {KNOBS_HERE}]"
    start = next((i for i, word in enumerate(words) if Path(word).name == "vishwam"), None)
    if start is None or words[start + 1 : start + 2] != ("train",):
        raise BadInput(f"{place}: the command does not run `vishwam train`; write command: {example}")
    arguments = words[start + 2 :]
    if KNOBS_HERE not in arguments:
        raise BadInput(f"{place}: the command lacks {KNOBS_HERE}, where W&B puts the knobs; write command: {example}")
    try:
        return config.split_arguments([word for word in arguments if word != KNOBS_HERE])
    except BadInput as error:
        raise BadInput(f"{place}: {error}") from None


def _load(
    sweep: SweepFile, gin_files: Sequence[str], fixed: Sequence[str], values: Mapping[str, Any] | None = None
) -> config.Loaded:
    """Loads one trial; a complaint about a knob that the sweep sets points into the sweep file."""
    values = values or {}
    try:
        return config.load(gin_files, [*fixed, *(f"{name}={value}" for name, value in values.items())])
    except BadInput as error:
        # `config` begins with the knob where an override is at fault, with file and line where a Gin file is.
        blamed = re.match(r"(\w+)=|unknown knob", str(error))
        if not blamed:
            raise
        place = sweep.command_place
        if blamed[1] in values:
            parameter = sweep.parameters[blamed[1]]
            place = parameter.places[parameter.values.index(values[blamed[1]])]
        raise BadInput(f"{place}: {error}") from None


def _check_parameter(parameter: Parameter, base: config.Loaded, fixed: Sequence[str]) -> None:
    name = parameter.name
    if name not in base.declared:
        raise BadInput(f"{parameter.place}: {unknown(name, base.declared)}")
    if any(override.startswith(f"{name}=") for override in fixed):
        raise BadInput(f"{parameter.place}: '{name}' is already set in the command")
    knob = base.declared[name]
    for value, place in zip(parameter.values, parameter.places, strict=True):
        _check_value(knob, value, place)
    if parameter.is_choice:
        return
    if knob.kind is int and not parameter.is_whole:
        raise BadInput(
            f"{parameter.place}: {name} takes whole numbers, but {parameter.distribution} draws fractions; "
            "write min and max as whole numbers, or distribution: q_uniform"
        )
    if knob.kind is float and parameter.distribution == "int_uniform":
        low, high = parameter.values
        raise BadInput(
            f"{parameter.place}: between {low} and {high} W&B draws whole numbers alone; write min: {low}.0 if {name} "
            "may be a fraction, else values"
        )


def _check_value(knob: Knob, value: Any, place: str) -> None:
    if isinstance(value, str) and knob.kind in (int, float):
        hint = sweep_file.number_hint(value)
        if hint:
            raise BadInput(f"{place}: {knob.name}: '{value}' is no number{hint}")
    if isinstance(value, bool | int | float) and knob.kind is str:
        raise BadInput(f"{place}: {knob.name}: YAML reads {value!r} here, where text is expected; put it in quotes")
    try:
        knob.read(str(value))  # the very text that ${args_no_hyphens} will make of it
    except BadInput as error:
        raise BadInput(f"{place}: {error}") from None


def _check_metric(sweep: SweepFile, base: config.Loaded) -> None:
    if sweep.metric is None:
        return
    data = base.experiment.data
    goals = metrics.goals({split: data.sets(split) for split in ("interpolate", "extrapolate")})
    if sweep.metric not in goals:
        if sweep.metric in metrics.OTHERS:
            raise BadInput(f"{sweep.metric_place}: {sweep.metric} is logged, but nothing to steer a sweep by")
        raise BadInput(f"{sweep.metric_place}: trials log no metric '{sweep.metric}'{nearest(sweep.metric, goals)}")
    if sweep.goal != goals[sweep.metric]:
        raise BadInput(f"{sweep.metric_place}: the goal of {sweep.metric} is {goals[sweep.metric]}, not {sweep.goal}")


def _corners(sweep: SweepFile, gin_files: Sequence[str], fixed: Sequence[str]) -> list[tuple[dict[str, Any], Any]]:
    """Knobs and experiment at the corners of the space, one for each shape of model and batch."""
    distinct: dict[str, tuple[dict[str, Any], Any]] = {}
    for values in sweep.combinations(MOST_COMBINATIONS):
        experiment = _load(sweep, gin_files, fixed, values).experiment
        shape = repr((experiment.model, experiment.data, experiment.tokenizer, experiment.loop))
        distinct.setdefault(shape, (values, experiment))
    return list(distinct.values())


def _prove(
    sweep: SweepFile, values: Mapping[str, Any], experiment: Any, asked: dict[str, Any], limit: int, limit_of: str
) -> tuple[int, Need]:
    """Parameters of a corner of the space and its memory; complains with the line of the knob that is mentioned.

    asked: what evaluations ask, of the corners so far; most corners ask the same.
    """
    from vishwam.evaluation.suite import DECODE_BATCH
    from vishwam.training import evaluation_memory, memory

    try:
        model, parameters = prove(experiment)
        batch, length = experiment.loop.batch_size, experiment.longest_row
        step = memory.estimate(model, parameters, batch, length)
        largest = memory.largest_batch(model, parameters, length, limit)
        if step > limit:
            raise BadInput(memory.no_room(step, limit, limit_of, batch, largest))
        questions = repr((experiment.data, experiment.tokenizer, experiment.loop))
        if questions not in asked:
            asked[questions] = evaluation_memory.asked(experiment, open_tokenizer(experiment.tokenizer))
        evaluation = evaluation_memory.estimate(model, parameters, asked[questions])
        if evaluation > limit:
            raise BadInput(memory.no_room_to_evaluate(evaluation, limit, limit_of, DECODE_BATCH))
        needed, what = max((step, "a training step"), (evaluation, "an evaluation"))
        return parameters, Need(dict(values), needed, what, largest)
    except BadInput as error:
        for name, value in values.items():
            if re.search(rf"\b{name}\b", str(error)) or (isinstance(value, str) and repr(value) in str(error)):
                parameter = sweep.parameters[name]
                place = parameter.places[parameter.values.index(value)]
                raise BadInput(f"{place}: {name}={value}: {error}") from None
        raise BadInput(f"{sweep.file}: {error}") from None


def prove(experiment: Any) -> tuple[Any, int]:
    """Proves that one trial can begin: tokeniser, length buckets, shapes. Nothing is computed.

    Returns:
        The model's configuration, and the number of its parameters.

    Raises:
        BadInput: it can't.
    """
    from vishwam.training import loop, memory

    try:
        tokenizer = open_tokenizer(experiment.tokenizer)
        _check_lengths(experiment, tokenizer)
        model = loop.model_config(experiment, tokenizer)
        return model, memory.parameter_count(model)
    except (BadData, ValueError, TypeError, OverflowError) as error:
        raise BadInput(str(error).splitlines()[0]) from None


def _check_lengths(experiment: Any, tokenizer: "MathTokenizer") -> None:
    """Raises BadData when one of the first questions, which a trial will meet, is longer than every bucket or than a
    packed row, or when packed rows are not there.
    """
    from data_pipelines.loader import make_batch
    from vishwam.training.data import training_data

    packed = bool(experiment.packing.row_length)
    if packed:
        data = training_data(experiment, tokenizer)
        next(data)
        data.close()
    for split in ("validation",) if packed else ("train", "validation"):
        source = experiment.data.mixture(split)
        make_batch([source[index] for index in range(QUESTIONS_TRIED)], tokenizer, experiment.loop.length_buckets)


def _size(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"
