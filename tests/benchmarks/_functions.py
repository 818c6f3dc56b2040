"""Functions with a known minimum, as sweeps: {name: (parameters in W&B's words, function of their values, minimum)}.

Branin, Hartmann-6, Rosenbrock, Levy and Styblinski-Tang are those of Surjanovic & Bingham's "Virtual Library of
Simulation Experiments" (sfu.ca/~ssurjano); `training` is a made-up learning curve with a log scale, a list of sizes, a
category and a quantised rate. Imports only the standard library: W&B's package runs them in an environment of its own.
"""

import math
from collections.abc import Callable
from typing import Any


def branin(x: float, y: float) -> float:
    inner = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return inner**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


_A = ((10, 3, 17, 3.5, 1.7, 8), (0.05, 10, 17, 0.1, 8, 14), (3, 3.5, 1.7, 10, 17, 8), (17, 8, 0.05, 10, 0.1, 14))
_P = (
    (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
    (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
    (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
    (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
)


def hartmann(*x: float) -> float:
    inner = [sum(a * (v - p) ** 2 for a, v, p in zip(*row, strict=True)) for row in zip(_A, (x,) * 4, _P, strict=True)]
    return -sum(alpha * math.exp(-value) for alpha, value in zip((1.0, 1.2, 3.0, 3.2), inner, strict=True))


def rosenbrock(x: float, y: float) -> float:
    return 100 * (y - x**2) ** 2 + (1 - x) ** 2


def levy(*x: float) -> float:
    w = [1 + (value - 1) / 4 for value in x]
    middle = sum((v - 1) ** 2 * (1 + 10 * math.sin(math.pi * v + 1) ** 2) for v in w[:-1])
    return math.sin(math.pi * w[0]) ** 2 + middle + (w[-1] - 1) ** 2 * (1 + math.sin(2 * math.pi * w[-1]) ** 2)


def styblinski_tang(*x: float) -> float:
    return sum(v**4 - 16 * v**2 + 5 * v for v in x) / 2


def training(learning_rate: float, width: int, activation: str, dropout: float) -> float:
    shift, gain = {"gelu": (0.0, 0.0), "relu": (0.4, 0.15), "tanh": (-0.5, 0.3), "none": (0.0, 1.0)}[activation]
    rate = (math.log10(learning_rate) + 2.5 + shift + 0.3 * math.log2(width / 128)) ** 2
    return gain + rate + 0.05 * (math.log2(width) - 8) ** 2 + 4 * (dropout - 0.1) ** 2


def _box(dimensions: int, low: float, high: float) -> dict[str, Any]:
    return {f"x{index}": {"min": low, "max": high} for index in range(1, dimensions + 1)}


FUNCTIONS: dict[str, tuple[dict[str, Any], Callable[..., float], float]] = {
    "Branin": ({"x": {"min": -5.0, "max": 10.0}, "y": {"min": 0.0, "max": 15.0}}, branin, 0.39788736),
    "Hartmann-6": (_box(6, 0.0, 1.0), hartmann, -3.32236801),
    "Rosenbrock-2": (_box(2, -5.0, 10.0), rosenbrock, 0.0),
    "Levy-4": (_box(4, -10.0, 10.0), levy, 0.0),
    "Styblinski-Tang-3": (_box(3, -5.0, 5.0), styblinski_tang, 3 * -39.16616570),
    "training": (
        {
            "learning_rate": {"distribution": "log_uniform_values", "min": 1e-6, "max": 1.0},
            "width": {"values": [32, 64, 128, 256, 512, 1024]},
            "activation": {"values": ["relu", "gelu", "tanh", "none"]},
            "dropout": {"distribution": "q_uniform", "min": 0.0, "max": 0.6, "q": 0.05},
        },
        training,
        # At gelu, width 256, dropout 0.1 and a learning rate of 10^-2.8.
        0.0,
    ),
}
