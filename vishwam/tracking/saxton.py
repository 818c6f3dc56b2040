"""Exact match by module of Saxton et al. (2019), beside what is published."""

from collections.abc import Mapping, Sequence
from typing import Any

from data_pipelines.modular_math import registry
from vishwam.evaluation.statistics import wilson_interval
from vishwam.tracking.metrics import exact_match

# Model, accuracy averaged over the interpolation and over the extrapolation sets, source. By module the paper draws
# bars and prints no figures.
PUBLISHED = (
    ("Transformer, 30M parameters", 0.76, 0.50, "Saxton et al. 2019, arXiv:1904.01557"),
    ("TP-Transformer, 49M parameters", 0.819, None, "Schlag et al. 2019, arXiv:1910.06611"),
)


def covers(sets: Mapping[str, Sequence[str]]) -> bool:
    """Whether these evaluation sets are those of the whole data set, so that averages compare."""
    return set(registry.saxton()) <= set(sets["interpolate"])


def comparison(summary: Mapping[str, Any], sets: Mapping[str, Sequence[str]]) -> str:
    """Markdown: averages over modules of the run with this summary beside the published, and its figures by module with
    95% Wilson intervals over questions.
    """
    means = {split: _mean(summary, split, names) for split, names in sets.items()}
    lines = [
        "| model | interpolation | extrapolation | |",
        "|---|---|---|---|",
        f"| the best trial here | {_percent(means['interpolate'])} | {_percent(means['extrapolate'])} | |",
    ]
    for model, interpolation, extrapolation, source in PUBLISHED:
        lines.append(f"| {model} | {_percent(interpolation)} | {_percent(extrapolation)} | {source} |")
    lines += ["", "The published models are encoder-decoders, scored on their own draw of the questions.", ""]
    for split, names in sets.items():
        lines += [f"| {split} | exact match | 95% interval |", "|---|---|---|"]
        for name in sorted(names):
            value = summary.get(metric := exact_match(split, name))
            count = summary.get(f"{metric}_count") or summary.get(f"{split}/exact_match_count", 0) / max(len(names), 1)
            interval = "-"
            if isinstance(value, int | float) and count:
                interval = "{:.1%} to {:.1%}".format(*wilson_interval(round(value * count), round(count)))
            lines.append(f"| {name} | {_percent(value)} | {interval} |")
        lines.append("")
    return "\n".join(lines)


def _mean(summary: Mapping[str, Any], split: str, names: Sequence[str]) -> float | None:
    values = [summary.get(exact_match(split, name)) for name in names]
    known = [value for value in values if isinstance(value, int | float)]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _percent(value: Any) -> str:
    return f"{value:.1%}" if isinstance(value, int | float) else "-"
