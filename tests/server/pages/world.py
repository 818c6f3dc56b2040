"""Projects, sweeps, runs and reports put straight into the server's database, for looking at pages."""

import json
import math
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from vishwam.server import history
from vishwam.server.pages.report import view_name
from vishwam.server.store import Store

SWEEP_YAML = """\
name: sums
method: bayes
metric: {name: validation/loss, goal: minimize}
early_terminate: {type: hyperband, min_iter: 3}
parameters:
  position: {values: [place, rope]}
  learning_rate: {distribution: log_uniform_values, min: 0.0005, max: 0.02}
  weight_decay: {values: [0.0, 0.01, 0.1]}
"""
SWEEP = {
    "name": "sums",
    "method": "bayes",
    "metric": {"name": "validation/loss", "goal": "minimize"},
    "parameters": {
        "position": {"values": ["place", "rope"]},
        "learning_rate": {"distribution": "log_uniform_values", "min": 0.0005, "max": 0.02},
        "weight_decay": {"values": [0.0, 0.01, 0.1]},
    },
}
# As `define_metric("*", step_metric="train/step")` leaves it in a run's configuration.
STEP_METRICS = {"m": [{"1": "train/step", "6": [3]}, {"2": "*", "5": 1, "6": [1]}]}


class World:
    """Everything below writes on the calling thread: call it on the server's event loop once that runs."""

    def __init__(self, store: Store, project: str = "maths", entity: str = "local") -> None:
        self.store, self.entity, self.project = store, entity, project
        with store.transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO projects (entity, name, created_at) VALUES (?, ?, ?)",
                (entity, project, time.time()),
            )
        row = store.writer.execute("SELECT id FROM projects WHERE entity = ? AND name = ?", (entity, project))
        self.project_id: int = row.fetchone()["id"]

    def sweep(
        self, name: str = "abcd1234", state: str = "RUNNING", config: dict = SWEEP, yaml: str = SWEEP_YAML
    ) -> int:
        with self.store.transaction() as db:
            cursor = db.execute(
                """INSERT INTO sweeps (project_id, name, config, config_json, method, state, created_at, updated_at)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
                (self.project_id, name, yaml, json.dumps(config), config["method"], state, time.time(), time.time()),
            )
            return int(cursor.lastrowid or 0)

    def run(self, name: str, config: dict[str, Any], sweep: int | None = None, **columns: Any) -> int:
        stored = {key: {"value": value} for key, value in config.items()} | {"_wandb": {"value": STEP_METRICS}}
        now = time.time()
        values = {
            "project_id": self.project_id,
            "name": name,
            "state": "running",
            "sweep_id": sweep,
            "config_json": json.dumps(stored),
            "created_at": now,
            "started_at": now,
            "heartbeat_at": now,
        } | columns
        with self.store.transaction() as db:
            cursor = db.execute(
                f"INSERT INTO runs ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})",
                tuple(values.values()),
            )
            number = int(cursor.lastrowid or 0)
        self.store.changes.publish(self.project_id, number)
        return number

    def number_of(self, run: str) -> int:
        found = "SELECT id FROM runs WHERE project_id = ? AND name = ?"
        return self.store.writer.execute(found, (self.project_id, run)).fetchone()["id"]

    def log(self, run: int, rows: list[dict], **summary: Any) -> None:
        """Appends history rows, keeps the summary as the last values, and tells the pages."""
        with self.store.transaction() as db:
            row = db.execute("SELECT * FROM runs WHERE id = ?", (run,)).fetchone()
            count = row["history_lines"]
            start = row["started_at"]
            lines = [
                json.dumps({"_step": i, "_runtime": i / 10, "_timestamp": start + i / 10, **one})
                for i, one in enumerate(rows, count)
            ]
            _, count = history.append(db, run, history.HISTORY, count, count, lines)
            kept = json.loads(row["summary_json"])
            for one in rows:
                kept.update(one)
            kept.update(summary)
            db.execute(
                "UPDATE runs SET history_lines = ?, summary_json = ?, heartbeat_at = ? WHERE id = ?",
                (count, json.dumps(kept), time.time(), run),
            )
        self.store.changes.publish(self.project_id, run)

    def set(self, run: int, **columns: Any) -> None:
        with self.store.transaction() as db:
            assignments = ", ".join(f"{name} = ?" for name in columns)
            db.execute(f"UPDATE runs SET {assignments} WHERE id = ?", (*columns.values(), run))
        self.store.changes.publish(self.project_id, run)

    def console(self, run: int, lines: list[str], level: str = "") -> None:
        with self.store.transaction() as db:
            start = db.execute("SELECT log_lines FROM runs WHERE id = ?", (run,)).fetchone()[0]
            for i, text in enumerate(lines):
                db.execute("INSERT INTO console VALUES (?, ?, ?, NULL, ?)", (run, start + i, level, text))
            db.execute("UPDATE runs SET log_lines = ? WHERE id = ?", (start + len(lines), run))
        self.store.changes.publish(self.project_id, run)

    def agent(self, sweep: str, host: str, runs: list[int]) -> None:
        now = time.time()
        with self.store.transaction() as db:
            number = db.execute(
                "INSERT INTO agents (sweep_id, name, host, created_at, heartbeat_at) "
                "SELECT id, ?, ?, ?, ? FROM sweeps WHERE project_id = ? AND name = ?",
                (f"{self.project} {host}", host, now, now, self.project_id, sweep),
            ).lastrowid
            db.executemany("UPDATE runs SET agent_id = ? WHERE id = ?", [(number, run) for run in runs])

    def alert(self, run: int, title: str, text: str) -> None:
        with self.store.transaction() as db:
            db.execute(
                "INSERT INTO alerts (run_id, title, text, severity, created_at) VALUES (?, ?, ?, 'ERROR', ?)",
                (run, title, text, time.time()),
            )

    def file(self, run: int, name: str, data: bytes) -> None:
        with self.store.transaction() as db:
            blob = self.store.blob_from_bytes(data)
            db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", (run, name, blob.sha256, time.time()))

    def table(self, run: int, key: str, columns: list[str], data: list[list]) -> None:
        path = f"media/table/{key}_0.table.json"
        self.file(run, path, json.dumps({"columns": columns, "data": data}).encode())
        self.log(run, [], **{key: {"_type": "table-file", "path": path, "ncols": len(columns), "nrows": len(data)}})

    def artifact(
        self,
        name: str,
        kind: str,
        run: int | None,
        files: dict[str, bytes],
        aliases: Sequence[str] = (),
        **columns: Any,
    ) -> int:
        """Another version of an artifact, as a commit leaves it; returns its row id."""
        now = time.time()
        with self.store.transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO artifact_collections (project_id, kind, type, name, created_at, updated_at) "
                "VALUES (?, 'sequence', ?, ?, ?, ?)",
                (self.project_id, kind, name, now, now),
            )
            found = "SELECT id FROM artifact_collections WHERE project_id = ? AND name = ?"
            collection = db.execute(found, (self.project_id, name)).fetchone()[0]
            count = "SELECT COUNT(*) FROM memberships WHERE collection_id = ?"
            version = db.execute(count, (collection,)).fetchone()[0]
            blobs = {path: self.store.blob_from_bytes(data) for path, data in files.items()}
            values = {
                "collection_id": collection,
                "version_index": version,
                "digest": f"{name} {version}",
                "state": "COMMITTED",
                "run_id": run,
                "size": sum(blob.size for blob in blobs.values()),
                "file_count": len(files),
                "created_at": now,
                "updated_at": now,
            } | columns
            marks = ", ".join("?" * len(values))
            number = db.execute(
                f"INSERT INTO artifacts ({', '.join(values)}) VALUES ({marks})", tuple(values.values())
            ).lastrowid
            for path, blob in blobs.items():
                row = (number, path, blob.md5, blob.size, blob.sha256)
                db.execute("INSERT INTO artifact_files VALUES (?, ?, ?, ?, ?, NULL)", row)
            db.execute(
                "INSERT INTO memberships (collection_id, artifact_id, version_index, created_at) VALUES (?, ?, ?, ?)",
                (collection, number, version, now),
            )
            for alias in ("latest", *aliases):
                db.execute("INSERT OR REPLACE INTO aliases VALUES (?, ?, ?)", (collection, alias, number))
        self.store.changes.publish(self.project_id, run or 0)
        return int(number or 0)

    def use(self, run: int, artifact: int) -> None:
        with self.store.transaction() as db:
            db.execute("INSERT INTO artifact_uses VALUES (?, ?, ?)", (run, artifact, time.time()))

    def report(self, title: str, spec: dict, description: str = "") -> str:
        """Stores a report as `upsertView` does; returns its slug."""
        now = time.time()
        with self.store.transaction() as db:
            number = db.execute(
                """INSERT INTO views (project_id, type, name, display_name, description, spec_json, created_at,
                                      updated_at) VALUES (?, 'runs', 'r', ?, ?, ?, ?, ?)""",
                (self.project_id, title, description, json.dumps(spec), now, now),
            ).lastrowid
        return f"{title.replace(' ', '-')}--{view_name(int(number or 0))}"


def trial_rows(config: dict[str, Any], steps: range, seed: int) -> list[dict]:
    """History of a made-up trial: loss falls faster with places, and exact match follows."""
    noise = random.Random(seed)
    speed = (1.0 if config["position"] == "place" else 0.22) * math.exp(
        -((math.log10(config["learning_rate"]) + 2.5) ** 2)
    )
    rows = []
    for step in steps:
        loss = 2.4 * math.exp(-speed * step / 130) + 0.004
        row: dict[str, Any] = {
            "train/step": step,
            "train/loss": loss * (1 + 0.12 * noise.gauss(0, 1)),
            "train/learning_rate": config["learning_rate"] * 0.5 * (1 + math.cos(math.pi * step / 900)),
            "train/gradient_norm": 0.4 + loss * abs(noise.gauss(1, 0.3)),
            "memory/host_rss": 6.1e8 + 2e5 * step,
        }
        if step % 60 == 0:
            accuracy = 1 / (1 + math.exp(6 * (loss - 0.45)))
            row |= {"validation/loss": loss * 1.04, "interpolate/exact_match": min(0.995, accuracy)}
            row |= {"extrapolate/exact_match": max(0.0, min(0.97, accuracy * 1.2 - 0.25))}
        rows.append(row)
    return rows


def final_metrics(config: dict[str, Any]) -> dict[str, float]:
    good = config["position"] == "place" and 0.0015 < config["learning_rate"] < 0.012
    return {
        "exact_match/interpolate/arithmetic__add_or_sub": 0.992 if good else 0.31,
        "exact_match/extrapolate/50_digits": 0.978 if good else 0.02,
        "exact_match/extrapolate/100_digits": 0.941 if good else 0.0,
    }


def fill_sweep(
    world: World, trials: int, steps: int = 900, running: int = 1, publish: Callable | None = None
) -> list[int]:
    """A sweep of `trials`, the last `running` of them still going and one early-stopped; returns the runs' row ids."""
    sweep = world.sweep()
    rng = random.Random(3)
    found = []
    for i in range(trials):
        config = {
            "position": "rope" if i % 3 == 2 else "place",
            "learning_rate": float(f"{10 ** rng.uniform(-3.3, -1.7):.3g}"),
            "weight_decay": rng.choice([0.0, 0.01, 0.1]),
            "steps": steps,
            "num_layers": 2,
            "model_dim": 64,
        }
        run = world.run(f"run{i:05d}", config, sweep, display_name=f"quiet-sweep-{i + 1}", host="workstation")
        still = i >= trials - running
        stopped = config["position"] == "rope" and i == 2
        end = steps // 2 if still else steps // 3 if stopped else steps + 1
        world.log(run, trial_rows(config, range(0, end, 5 if steps > 400 else 1), i))
        world.console(run, [f"step {step}: loss {2.4 * math.exp(-step / 300):.4f}" for step in range(0, end, 20)])
        if not still:
            if not stopped:
                world.log(run, [{"train/step": end, **final_metrics(config)}])
                world.table(
                    run,
                    "samples/extrapolate",
                    ["question", "answer", "prediction", "correct"],
                    [
                        [f"{a}+{b}", str(a + b), str(a + b + (k % 5 == 4)), k % 5 != 4]
                        for k, (a, b) in enumerate((rng.randrange(10**30), rng.randrange(10**30)) for _ in range(20))
                    ],
                )
            now = time.time()
            world.set(run, state="finished", early_stopped=int(stopped), ended_at=now + (60 if not stopped else 22))
        found.append(run)
    return found
