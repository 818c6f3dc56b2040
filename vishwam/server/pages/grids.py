"""The runs and values that the panels of a report's grid draw."""

import sqlite3

from vishwam.server.pages import curves, queries, report, runsets


def grid_runs(db: sqlite3.Connection, project: dict, grid: dict) -> dict:
    """The runs of one panel grid: every run of its enabled run sets once, oldest first (for its colour).

    {'runs', 'order' (ids as the run sets sort them), 'metrics', 'elsewhere' (run sets of other projects)}.
    """
    sets = [one for one in grid.get("runSets") or [] if one.get("enabled", True)]
    rows = queries.run_rows(db, project["id"])
    every = queries.runs(rows)
    chosen = {
        run["id"]: run for one in sets if _here(one.get("project"), project) for run in runsets.select(every, one)
    }
    found = list(chosen.values())
    swept = {run["sweep"] for run in found}
    sweep = sweep_of(db, project, swept.pop()) if len(swept) == 1 else None
    knobs = queries.varied_knobs(found, sweep["config"] if sweep else None)
    for run in found:
        run["label"] = queries.label(run, knobs)
    return {
        "runs": [queries.brief(run) for run in sorted(found, key=lambda run: run["created"])],
        "order": [run["id"] for run in found],
        "metrics": curves.metric_keys(db, [row for row in rows if row["name"] in chosen]),
        "elsewhere": [one["name"] for one in sets if not _here(one.get("project"), project)],
    }


def page_grids(spec: dict) -> list[dict]:
    """What the page itself holds of every grid: its panels, colours and columns."""
    return [
        {
            "panels": report.panels(grid),
            "colors": grid.get("customRunColors") or {},
            "columns": report.columns(grid),
            "hidden": bool(grid.get("hideRunSets")),
        }
        for grid in report.grids(spec)
    ]


def sweep_of(db: sqlite3.Connection, project: dict, name: str | None) -> dict | None:
    found = queries.sweeps(db, project["id"], name) if name else []
    return found[0] if found else None


def _here(wanted: dict | None, project: dict) -> bool:
    """A run set without a project means the report's own."""
    if not wanted or not wanted.get("name"):
        return True
    return wanted["name"] == project["name"] and wanted.get("entityName") in ("", None, project["entity"])
