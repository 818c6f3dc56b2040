"""A sweep as TensorBoard's HParams page reads it: run by TensorBoard's own Python, not ours.

`python _tensorboard_events.py FOLDER CURVES.npz`: arrays `steps` [N] and `values` [trials, metrics, N]; JSON texts
`metrics`, their names, and `knobs`, the settings of every trial.
"""

import json
import sys
from pathlib import Path

import numpy as np
from tensorboard.compat.proto import event_pb2
from tensorboard.plugins.hparams import summary_v2
from tensorboard.summary.writer.record_writer import RecordWriter


def main(folder: Path, source: Path) -> None:
    data = np.load(source)
    steps, metrics, knobs = data["steps"], json.loads(str(data["metrics"])), json.loads(str(data["knobs"]))
    shown = [summary_v2.Metric(name) for name in metrics]
    columns = [summary_v2.HParam(name) for name in knobs[0]]
    write(folder, [event_pb2.Event(summary=summary_v2.hparams_config_pb(hparams=columns, metrics=shown))])
    for place, (settings, curves) in enumerate(zip(knobs, data["values"], strict=True)):
        start = summary_v2.hparams_pb(settings, trial_id=f"t{place:03d}")
        write(folder / f"t{place:03d}", [event_pb2.Event(summary=start), *points(steps, metrics, curves)])


def points(steps, metrics, curves):
    for i, step in enumerate(steps):
        event = event_pb2.Event(step=int(step), wall_time=1.7e9 + float(step))
        for name, curve in zip(metrics, curves, strict=True):
            event.summary.value.add(tag=name, simple_value=float(curve[i]))
        yield event


def write(folder: Path, events) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "events.out.tfevents.1700000000.benchmark", "wb") as file:
        records = RecordWriter(file)
        records.write(event_pb2.Event(wall_time=1.7e9, file_version="brain.Event:2").SerializeToString())
        for event in events:
            records.write(event.SerializeToString())
        records.flush()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
