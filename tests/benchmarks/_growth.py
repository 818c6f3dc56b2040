"""How the cost of a training step grows with the model, the length and the batch, beside the count of FLOPs."""

from pathlib import Path
from typing import Any

BASE = {"vocab_size": 264, "num_layers": 2, "model_dim": 128, "num_heads": 4, "mlp_dim": 344, "position": "rope"}
# Of each axis: what changes, tokens a row, rows a batch.
AXES: dict[str, list[tuple[dict[str, int], int, int]]] = {
    "width": [({"model_dim": n, "mlp_dim": 43 * n // 16}, 64, 16) for n in (64, 128, 192, 256, 384)],
    "layers": [({"num_layers": n}, 64, 16) for n in (1, 2, 4, 8, 12)],
    "length": [({}, n, 16) for n in (32, 64, 128, 256, 512)],
    "batch": [({}, 64, n) for n in (4, 8, 16, 32, 64)],
}


def tasks() -> list[dict[str, Any]]:
    """Every point, as a worker takes it."""
    return [
        {"config": {**BASE, **change}, "length": length, "batch": batch}
        for points in AXES.values()
        for change, length, batch in points
    ]


def rows(measured: list[dict[str, Any]], png: Path) -> list[dict[str, Any]]:
    """CPU-ms of a step beside what the FLOPs foretell from the middle point of each axis, and the picture of it;
    a ratio above 1 is cheaper than foretold.
    """
    found: list[dict[str, Any]] = []
    panels: dict[str, list[tuple[float, float, float]]] = {}
    results = iter(measured)
    for axis, points in AXES.items():
        here = [next(results) for _ in points]
        middle = here[len(here) // 2]
        name = "parameters" if axis in ("width", "layers") else f"tokens a row, {points[0][2]} rows"
        panels[f"{axis}: {name if axis != 'batch' else f'rows of {points[0][1]} tokens'}"] = panel = []
        for (change, length, batch), point in zip(points, here, strict=True):
            size = next(iter(change.values()), length if axis == "length" else batch)
            ms = 1000 * point["cpu_s"]
            foretold = 1000 * middle["cpu_s"] * point["flops"] / middle["flops"]
            panel.append((point["parameters"] if change else size, ms, foretold))
            found.append(
                {
                    "what": f"{axis} {size} ({point['parameters']:,} parameters, {batch} x {length}); by FLOPs",
                    "ours": ms,
                    "peer": foretold,
                    "ratio": foretold / ms,
                    "unit": "CPU-ms/step",
                    "compile s": point["compile_s"],
                    "peak MB": point["planned_mb"],
                }
            )
    _draw(panels, png)
    return found


def _draw(panels: dict[str, list[tuple[float, float, float]]], png: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import NullLocator

    figure, axes = pyplot.subplots(1, len(panels), figsize=(4 * len(panels), 3.6), layout="constrained")
    for axis, (title, panel) in zip(axes, panels.items(), strict=True):
        sizes, took, foretold = zip(*panel, strict=True)
        axis.loglog(sizes, foretold, "--", color="#999999", label="as the FLOPs, from the middle point")
        axis.loglog(sizes, took, "o-", color="#2a6fbb", label="measured")
        for size, ms in zip(sizes, took, strict=True):
            axis.annotate(f"{ms:,.3g}", (size, ms), xytext=(0, 7), textcoords="offset points", ha="center", fontsize=8)
        axis.set_xticks(sizes, [f"{size:,}" for size in sizes], fontsize=8, rotation=20)
        axis.xaxis.set_minor_locator(NullLocator())
        axis.margins(y=0.12)
        axis.set_title(title.partition(": ")[0], fontsize=10)
        axis.set_xlabel(title.partition(": ")[2])
    axes[0].set_ylabel("CPU-ms a step")
    axes[0].legend(fontsize=8)
    figure.savefig(png, dpi=120)
    pyplot.close(figure)
