"""Training steps of the decoder beside the same Llama-style model in PyTorch, eager and compiled, and beside what the
machine can multiply; then how their cost grows with the model, the length and the batch, beside the count of FLOPs,
drawn in .vishwam/benchmarks/model.png (there, peak MB is what XLA plans for the program).

On CPU all figures are processor time (CPU-ms a step), in float32. Where JAX has a GPU, models of 124M to 1B parameters
in bfloat16 are measured, too, by the clock, above what others publish of theirs. PyTorch is found as
`_workers.peer_python` says; without it its columns are empty.
"""

import functools
from typing import Any

from rich.console import Console

from tests.benchmarks import _growth
from tests.benchmarks._workers import MALLOC, PEER_PYTHON, Worker, peer_python, take_turns, workers
from vishwam import state

CPU_SHAPE = {"vocab_size": 264, "num_layers": 4, "model_dim": 256, "num_heads": 4, "mlp_dim": 688}
SMALL_SHAPE = {"vocab_size": 264, "num_layers": 2, "model_dim": 64, "num_heads": 4, "mlp_dim": 128}
DIGITS = list(range(16, 26))
ROUNDS = 6

# Of GPT-2's and Llama's sizes: what is measured, shape, tokens a row, rows a batch, parts of it.
GPU_MODELS = [
    ("124M", {"num_layers": 12, "model_dim": 768, "num_heads": 12, "mlp_dim": 2048}, 1024, 32, 1),
    ("350M", {"num_layers": 24, "model_dim": 1024, "num_heads": 16, "mlp_dim": 2816}, 2048, 16, 1),
    ("1B", {"num_layers": 16, "model_dim": 2048, "num_heads": 16, "mlp_dim": 8192}, 2048, 16, 2),
]
GPU_VOCABULARY = 50_304

# What others publish of their trainers: model, hardware, MFU in percent, and where that stands.
PUBLISHED = [
    ("MaxText: 16B on TPU v5e-256", 61.10, "github.com/AI-Hypercomputer/maxtext, README.md at cc7478e"),
    ("MaxText: 32B on TPU v5p-128", 71.47, "github.com/AI-Hypercomputer/maxtext, README.md at cc7478e"),
    ("MaxText: Llama 3.1 8B on 256 Trillium chips", 45.46, "maxtext.readthedocs.io, reference/models/tiering"),
    ("levanter 1.0: 13B on TPU v3-256", 54.4, "crfm.stanford.edu/2023/06/16/levanter-1_0-release.html"),
    ("levanter 1.0: 20B on TPU v3-256", 50.9, "crfm.stanford.edu/2023/06/16/levanter-1_0-release.html"),
    ("nanoGPT, January 2023", 17.0, "as quoted in MaxText's README.md at cc7478e"),
]

NEEDS_PEER = f"no PyTorch here: {PEER_PYTHON} may name a Python with it"
NEEDS_GPU = "needs a GPU"


def run() -> list[dict]:
    python = peer_python()
    if python is None:
        Console(stderr=True).print(NEEDS_PEER)
    folder = state.folder() / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    with workers(functools.partial(_cpu_worker, {"points": _growth.tasks()})) as (worker,):
        measured = worker.ready["points"]
        worker.end()
    growth = _growth.rows(measured, folder / "model.png")
    return [*_on_cpu(python), *growth, *_on_gpu(python)]


def _on_cpu(python: str | None) -> list[dict]:
    rope = {**CPU_SHAPE, "position": "rope", "micro_batches": 8}
    gemm = functools.partial(_cpu_worker, {"gemm": 2048})
    what = "4 layers of 256, 64 x 128, fp32"
    rows = _compare({what: rope}, CPU_SHAPE, 128, 64, python, times=1)
    with workers(_ours(rope, 128, 64), gemm) as pair:
        step, product = take_turns(pair, 1, 4, "cpu_s")
        done, peak = pair[0].ready["flops"] / step / 1e9, pair[1].ready["flops"] / product / 1e9
    what = "4 layers of 256: of the GEMM peak measured here"
    rows.append({"what": what, "ours": done, "peer": peak, "ratio": done / peak, "unit": "GFLOP/CPU-s"})
    small = {
        "100k parameters, rope, 64 x 50": {**SMALL_SHAPE, "position": "rope"},
        "100k parameters, MathReasoningLayer, 64 x 50": {**SMALL_SHAPE, "digit_token_ids": DIGITS},
    }
    return rows + _compare(small, SMALL_SHAPE, 50, 64, python, times=8, steps=8)


def _compare(
    ours: dict[str, dict[str, Any]],
    shape: dict[str, int],
    length: int,
    batch: int,
    python: str | None,
    times: int,
    **more: int,
) -> list[dict]:
    """Rows of ours, each of one shape, on CPU beside PyTorch's two ways; `times` steps a turn."""
    task = {**shape, "length": length, "batch": batch, "device": "cpu"}
    made = [_ours(config, length, batch, **more) for config in ours.values()]
    kinds = {"torch eager": False, "torch.compile": True} if python else {}
    for compiled in kinds.values():
        made.append(functools.partial(Worker, "_model_peer.py", task | {"compiled": compiled}, python or ""))
    steps = [more.get("steps", 1)] * len(ours) + [1] * len(kinds)
    best = [float("inf")] * len(made)
    with workers(*made) as running:
        for _ in range(ROUNDS):
            for number, worker in enumerate(running):
                calls = times // steps[number]
                best[number] = min(best[number], 1000 * worker.work(calls)["cpu_s"] / calls / steps[number])
        compiling = [worker.ready["compile_s"] for worker in running]
        peaks = [worker.end()["peak_mb"] for worker in running]
    rows = []
    for i, what in enumerate(ours):
        for j, kind in enumerate(kinds, len(ours)):
            figures = ([compiling[i], compiling[j]], [peaks[i], peaks[j]])
            rows.append(_row(f"{what}; {kind}", best[i], best[j], "CPU-ms/step", *figures))
        if not kinds:
            alone = _row(f"{what}; {NEEDS_PEER}", best[i], None, "CPU-ms/step", [compiling[i]], [peaks[i]])
            rows.append(alone)
    return rows


def _on_gpu(python: str | None) -> list[dict]:
    import jax

    device = jax.devices()[0]
    rows = []
    for name, shape, length, batch, parts in GPU_MODELS:
        what = f"GPU: {name}, {batch} x {length}, bf16; torch.compile"
        if device.platform != "gpu":
            rows.append(_empty(what, f"tokens/s ({NEEDS_GPU})"))
            rows.append(_empty(f"GPU: {name}, of the dense peak (MFU)", f"FLOP/s ({NEEDS_GPU})"))
            continue
        full = {**shape, "vocab_size": GPU_VOCABULARY}
        config = {**full, "position": "rope", "compute_dtype": "bfloat16", "remat": "products", "loss_chunk": 8192}
        ours = {"config": config | {"micro_batches": parts}, "length": length, "batch": batch}
        made = [functools.partial(Worker, "_model_ours.py", ours)]
        if python:
            theirs = {**full, "length": length, "batch": batch // parts, "device": "cuda", "compiled": True}
            environment = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
            made = [functools.partial(Worker, "_model_ours.py", ours, **environment)]
            made.append(functools.partial(Worker, "_model_peer.py", theirs, python))
        with workers(*made) as running:
            seconds, *others = take_turns(running, 5, 3, "wall_s")
            flops = running[0].ready["flops"]
            compiling = [worker.ready["compile_s"] for worker in running]
            peaks = [worker.end()["peak_mb"] for worker in running]
        tokens = batch * length
        peer = tokens / parts / others[0] if others else None
        rows.append(_row(what, tokens / seconds, peer, "tokens/s", compiling, peaks, more_is_better=True))
        rows.append(_mfu(name, flops / seconds, device.device_kind))
    rows.append(_busy(device.platform))
    for name, percent, source in PUBLISHED:
        rows.append(
            {"what": f"published: {name} ({source})", "ours": None, "peer": percent, "ratio": None, "unit": "% MFU"}
        )
    return rows


def _busy(platform: str) -> dict:
    """How much of the time a device is at work on a model so small that a dispatch costs as much as a step: a step's
    share of a dispatch as long as a trial's, beside its share of one so long that there is nothing else in it.
    """
    of_trial, long = 16, 512
    what, unit = f"GPU: 100k parameters, {of_trial} steps a dispatch, share of time the device is busy", "ms/step"
    if platform != "gpu":
        return _empty(what, f"{unit} ({NEEDS_GPU})")
    task = {"config": {**SMALL_SHAPE, "digit_token_ids": DIGITS}, "length": 50, "batch": 64}
    shared = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    made = [functools.partial(Worker, "_model_ours.py", task | {"steps": n}, **shared) for n in (of_trial, long)]
    with workers(*made) as running:
        ours, alone = (
            1000 * min(worker.work(times)["wall_s"] for _ in range(3)) / times / steps
            for worker, times, steps in zip(running, (long // of_trial, 1), (of_trial, long), strict=True)
        )
        compiling = [worker.ready["compile_s"] for worker in running]
        peaks = [worker.end()["peak_mb"] for worker in running]
    return _row(what, ours, alone, unit, compiling, peaks)


def _empty(what: str, unit: str) -> dict:
    return {"what": what, "ours": None, "peer": None, "ratio": None, "unit": unit}


def _mfu(name: str, rate: float, kind: str) -> dict:
    from vishwam.model.flops import peak_flops_per_second

    peak = peak_flops_per_second(kind, "bfloat16")
    ratio = rate / peak if peak else None
    return {
        "what": f"GPU: {name}, of the dense peak (MFU)",
        "ours": rate,
        "peer": peak,
        "ratio": ratio,
        "unit": "FLOP/s",
    }


def _ours(config: dict[str, Any], length: int, batch: int, **more: int) -> functools.partial[Worker]:
    return functools.partial(_cpu_worker, {"config": config, "length": length, "batch": batch, **more})


def _cpu_worker(task: dict[str, Any]) -> Worker:
    return Worker("_model_ours.py", task, JAX_PLATFORMS="cpu", **MALLOC)


def _row(
    what: str,
    ours: float,
    peer: float | None,
    unit: str,
    compiling: list[float],
    peaks: list[float],
    more_is_better: bool = False,
) -> dict:
    ratio = None if peer is None else ours / peer if more_is_better else peer / ours
    row: dict[str, Any] = {"what": what, "ours": ours, "peer": peer, "ratio": ratio, "unit": unit}
    for column, pair in (("compile s", compiling), ("peak MB", peaks)):
        row[column] = pair[0]
        row[f"peer's {column}"] = pair[1] if len(pair) > 1 else None
    return row
