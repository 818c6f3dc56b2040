"""What W&B's custom charts (wandb.plot, CustomChart in reports) ask for: a specification, and where its data is."""

import json
from typing import Any


def chart(config: Any) -> dict | None:
    """{'spec', 'fields', 'strings', 'table', 'summary'} of a Vega panel's settings; None where they are no such.

    `table`: the key of the table that the runs logged; `summary`: keys of their summaries, one row a run. Both None
    when it asks for something else.
    """
    if not isinstance(config, dict):
        return None
    asked: dict[str, dict[str, Any]] = {}
    for query in _dicts(_dict(config.get("userQuery")).get("queryFields")):
        for field in _dicts(query.get("fields")):
            arguments = {str(one.get("name")): one.get("value") for one in _dicts(field.get("args"))}
            asked[str(field.get("name"))] = arguments
    table, summary = asked.get("summaryTable", {}).get("tableKey"), asked.get("summary", {}).get("keys")
    return {
        "spec": str(config.get("panelDefId") or ""),
        "fields": _texts(config.get("fieldSettings")),
        "strings": _texts(config.get("stringSettings")),
        "table": table if isinstance(table, str) else None,
        "summary": [str(key) for key in summary] if isinstance(summary, list) else None,
    }


def of_run(config_json: str) -> dict[str, dict]:
    """The charts that a run logged with wandb.plot, by key: the client writes them into the run's configuration."""
    internal = _dict(_dict(json.loads(config_json or "{}")).get("_wandb"))
    logged = _dict(_dict(internal.get("value")).get("visualize"))
    found = {key: chart(_dict(one).get("panel_config")) for key, one in logged.items()}
    return {key: one for key, one in found.items() if one and one["table"]}


def _dict(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[dict]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _texts(value: Any) -> dict[str, str]:
    return {str(name): one for name, one in _dict(value).items() if isinstance(one, str)}
