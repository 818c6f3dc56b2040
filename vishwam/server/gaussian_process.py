"""A Gaussian process over points of the unit cube, and how much better than the best one a new point may be.

Matern 5/2 with a length a group of columns (Rasmussen & Williams 2006, chapters 4 and 5); lengths, amplitude and noise
at their most probable values, the lengths' prior growing with the dimension (Hvarfner et al. 2024, arXiv:2402.02229).
n: points, m: candidates, D: columns, G: groups of columns (a category is several columns with one length).
"""

import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

# Read by SciPy's BLAS when it is loaded: on busy cores, threads that wait for each other are ten times slower than one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize, minimize_scalar
from scipy.special import erfcx, log_ndtr

Array = np.ndarray[Any, np.dtype[Any]]

_ROOT5 = math.sqrt(5.0)
MAX_FIT = 150  # points that decide lengths, amplitude and noise; the posterior is over all of them
OUTLYING = 20.0  # how many times worse than the median, as the best is better
_LENGTH, _AMPLITUDE, _NOISE = (0.02, 100.0), (0.05, 50.0), (1e-6, 0.5)


def levelled(y_n: Array) -> Array:
    """Values to be minimised, of mean 0 and deviation 1.

    What is very bad is cut to bad, and the rest of a long tail drawn in by the likeliest power (Yeo & Johnson 2000).
    """
    y_n = y_n / max(np.abs(y_n).max(), 1e-300)
    middle = float(np.median(y_n))
    if middle > y_n.min():
        y_n = np.minimum(y_n, middle + OUTLYING * (middle - y_n.min()))
    y_n = (y_n - y_n.mean()) / max(y_n.std(), 1e-12)
    logs = np.sign(y_n) * np.log1p(np.abs(y_n))

    def bent(power: float) -> Array:
        # A negative value is bent by 2 - power.
        exponent = np.where(y_n < 0, 2 - power, power)
        curved = np.sign(y_n) * np.expm1(exponent * np.abs(logs)) / np.where(np.abs(exponent) < 1e-9, 1.0, exponent)
        return np.where(np.abs(exponent) < 1e-9, logs, curved)

    def cost(power: float) -> float:
        return 0.5 * len(y_n) * math.log(max(float(np.var(bent(power))), 1e-300)) - (power - 1) * float(logs.sum())

    found = bent(minimize_scalar(cost, bounds=(-2.0, 4.0), method="bounded").x)
    return (found - found.mean()) / max(found.std(), 1e-12)


@dataclass(frozen=True)
class Process:
    """Conditioned on points `x_nD` and standardised values `y_n`, to be minimised."""

    x_nD: Array
    y_n: Array
    length_D: Array
    amplitude: float
    noise: float
    factor_nn: Array
    weights_n: Array

    def predict(self, x_mD: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the noiseless function at each candidate."""
        cross_nm = self.amplitude * _matern(_distances(self.x_nD / self.length_D, x_mD / self.length_D))
        spread = solve_triangular(self.factor_nn, cross_nm, lower=True, check_finite=False)
        variance = self.amplitude - np.einsum("nm,nm->m", spread, spread)
        return cross_nm.T @ self.weights_n, np.sqrt(np.maximum(variance, 1e-12))

    def with_believed(self, x_mD: Array) -> "Process":
        """As if trials under way had returned what is expected of them (Ginsbourger et al. 2010, kriging believer)."""
        if not len(x_mD):
            return self
        x_nD, y_n = np.vstack([self.x_nD, x_mD]), np.append(self.y_n, self.predict(x_mD)[0])
        return condition(x_nD, y_n, self.length_D, self.amplitude, self.noise)


def fit(x_nD: Array, y_n: Array, group_D: Array) -> Process:
    """`group_D`: the number of each column's group, from 0."""
    chosen = telling(y_n, MAX_FIT)
    length_G, amplitude, noise = _most_probable(x_nD[chosen], y_n[chosen], group_D)
    return condition(x_nD, y_n, length_G[group_D], amplitude, noise)


def condition(x_nD: Array, y_n: Array, length_D: Array, amplitude: float, noise: float) -> Process:
    scaled = x_nD / length_D
    covariance = amplitude * _matern(_distances(scaled, scaled)) + noise * np.eye(len(y_n))
    factor = cholesky(covariance, lower=True, check_finite=False)
    return Process(x_nD, y_n, length_D, amplitude, noise, factor, cho_solve((factor, True), y_n))


def log_expected_improvement(process: Process, x_mD: Array, best: float) -> Array:
    """Logarithm of E[max(best - f, 0)]; finite where the expectation itself underflows (Ament et al. 2023)."""
    mean, deviation = process.predict(x_mD)
    z = (best - mean) / deviation
    low = np.minimum(z, -1.0)
    # For z < -1: phi(z) (1 + z Phi(z) / phi(z)), whose second factor approaches 1 / z^2.
    ratio = 1.0 + low * math.sqrt(math.pi / 2) * erfcx(-low / math.sqrt(2))
    far = np.log(np.where(low < -1e4, 1.0 / low**2, np.maximum(ratio, 1e-300)))
    tail = -0.5 * low**2 - 0.5 * math.log(2 * math.pi) + far
    high = np.maximum(z, -1.0)
    near = np.log(high * np.exp(log_ndtr(high)) + np.exp(-0.5 * high**2) / math.sqrt(2 * math.pi))
    return np.where(z < -1.0, tail, near) + np.log(deviation)


def _distances(a_nD: Array, b_mD: Array) -> Array:
    squares = np.sum(a_nD**2, 1)[:, None] + np.sum(b_mD**2, 1)[None] - 2 * a_nD @ b_mD.T
    return np.sqrt(np.maximum(squares, 0.0))


def _matern(distance: Array) -> Array:
    scaled = _ROOT5 * distance
    return (1 + scaled + scaled**2 / 3) * np.exp(-scaled)


def telling(y_n: Array, most: int) -> Array:
    """Indices of at most so many points: the better half of them, and an even sample of the others."""
    order = np.argsort(y_n, kind="stable")
    if len(order) <= most:
        return order
    half = most // 2
    rest = order[half:]
    return np.concatenate([order[:half], rest[np.linspace(0, len(rest) - 1, most - half).astype(int)]])


def _most_probable(x_nD: Array, y_n: Array, group_D: Array) -> tuple[Array, float, float]:
    """Lengths of the groups, amplitude and noise that maximise the posterior density."""
    groups = int(group_D.max()) + 1
    squares_Gnn = np.zeros((groups, len(y_n), len(y_n)))
    for column, group in enumerate(group_D):
        squares_Gnn[group] += (x_nD[:, None, column] - x_nD[None, :, column]) ** 2
    centre = np.log([0.5 * math.sqrt(groups)] * groups + [1.0, 1e-4])
    width = np.array([1.0] * groups + [1.0, 2.0])
    limits = np.log(np.array([_LENGTH] * groups + [_AMPLITUDE, _NOISE]))

    def cost(theta: Array) -> tuple[float, Array]:
        scaled_Gnn = squares_Gnn * np.exp(-2 * theta[:groups])[:, None, None]
        a = _ROOT5 * np.sqrt(scaled_Gnn.sum(0))
        decay = np.exp(-a)
        amplitude, noise = np.exp(theta[groups:])
        signal = amplitude * (1 + a + a**2 / 3) * decay
        try:
            factor = cholesky(signal + noise * np.eye(len(a)), lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            return 1e25, np.zeros_like(theta)
        weights = cho_solve((factor, True), y_n)
        inner = cho_solve((factor, True), np.eye(len(a))) - np.outer(weights, weights)
        slope = np.empty_like(theta)
        slope[:groups] = np.einsum("nm,Gnm->G", inner * (amplitude * 5 / 3 * (1 + a) * decay), scaled_Gnn)
        slope[groups] = np.sum(inner * signal)
        slope[groups + 1] = noise * np.trace(inner)
        off = (theta - centre) / width
        value = 0.5 * y_n @ weights + np.log(np.diag(factor)).sum() + 0.5 * off @ off
        return float(value), 0.5 * slope + off / width

    starts = [centre, np.log([0.3] * groups + [1.0, 1e-3])]
    found = [
        minimize(cost, start, jac=True, bounds=limits, method="L-BFGS-B", options={"maxiter": 40}) for start in starts
    ]
    theta = min(found, key=lambda result: result.fun).x
    return np.exp(theta[:groups]), float(np.exp(theta[groups])), float(np.exp(theta[groups + 1]))
