"""Sufficient statistics T(x) of rows, and scores and sums about each component's own mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.kernels.jit import jit, jit_sums

Array = NDArray[Any]


@jit
def _upper(x: Array, out: Array) -> None:
    m, d = x.shape
    for r in range(m):
        for i in range(d):
            out[r, i] = x[r, i]
        at = d
        for i in range(d):
            a = x[r, i]
            for j in range(i, d):
                out[r, at + j - i] = a * x[r, j]
            at += d - i


def with_products(x: Array) -> Array:
    """Return ``(x, upper(x x^T))`` row by row: (m, d) -> (m, d + d (d + 1) / 2)."""
    d = x.shape[1]
    out = np.empty((len(x), d + d * (d + 1) // 2), x.dtype)
    _upper(x, out)
    return out


def with_squares(x: Array) -> Array:
    """Return ``(x, x^2)``: (m, d) -> (m, 2 d)."""
    d = x.shape[1]
    out = np.empty((len(x), 2 * d), x.dtype)
    out[:, :d] = x
    np.multiply(x, x, out=out[:, d:])
    return out


def with_norm(x: Array) -> Array:
    """Return ``(x, |x|^2)``: (m, d) -> (m, d + 1)."""
    d = x.shape[1]
    out = np.empty((len(x), d + 1), x.dtype)
    out[:, :d] = x
    out[:, d] = np.einsum("ij,ij->i", x, x)
    return out


def pack(matrices: Array) -> Array:
    """Return upper triangles, row by row: (k, d, d) -> (k, d (d + 1) / 2)."""
    rows, cols = np.triu_indices(matrices.shape[-1])
    return np.ascontiguousarray(matrices[..., rows, cols])


def unpack(upper: Array, d: int) -> Array:
    """Return symmetric matrices from upper triangles: (k, d (d + 1) / 2) -> (k, d, d)."""
    rows, cols = np.triu_indices(d)
    out = np.empty((*upper.shape[:-1], d, d), upper.dtype)
    out[..., rows, cols] = upper
    out[..., cols, rows] = upper
    return out


@jit_sums
def distance_to_own(x: Array, means: Array, labels: Array, out: Array) -> None:
    """Fill `out` (m,) with the squared distance of each row to its label's mean, in float64."""
    for i in range(x.shape[0]):
        total = 0.0
        c = labels[i]
        for j in range(x.shape[1]):
            diff = np.float64(x[i, j]) - means[c, j]
            total += diff * diff
        out[i] = total


@jit_sums
def centred_quadratic(x: Array, means: Array, precisions: Array, out: Array) -> None:
    """Fill `out` (k, m) with ``-1/2 sum_j (x_j - mean_j)^2 precision_j``, without cancellation."""
    for c in range(means.shape[0]):
        for i in range(x.shape[0]):
            total = 0.0
            for j in range(x.shape[1]):
                diff = x[i, j] - means[c, j]
                total += diff * diff * precisions[c, j]
            out[c, i] = -0.5 * total


@jit
def centred_squares(x: Array, resp: Array, means: Array, out: Array) -> None:
    """Sum weighted first and second moments about each mean: adds to (k, 2 d)."""
    d = x.shape[1]
    for c in range(means.shape[0]):
        for i in range(x.shape[0]):
            r = resp[c, i]
            if r != 0.0:
                for j in range(d):
                    diff = x[i, j] - means[c, j]
                    out[c, j] += r * diff
                    out[c, d + j] += r * diff * diff


@jit
def labelled_squares(
    x: Array, labels: Array, weight: Array, means: Array, n: Array, out: Array
) -> None:
    """Do what `centred_squares` does, for rows of one component each: adds to n (k,), (k, 2 d).

    `weight` (m,) has the weights of the rows, or is empty for 1.
    """
    d = x.shape[1]
    for i in range(x.shape[0]):
        c = labels[i]
        r = weight[i] if len(weight) else 1.0
        if r != 0.0:
            n[c] += r
            for j in range(d):
                diff = x[i, j] - means[c, j]
                out[c, j] += r * diff
                out[c, d + j] += r * diff * diff
