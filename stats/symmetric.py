"""Many small symmetric systems at once.

Matrices are stored packed, one array per element of the lower triangle, so that every operation of the factorisation
runs over all systems as one vector: for the 3 to 7 unknowns of a fit this is an order of magnitude faster than a
LAPACK call per system.
"""

from __future__ import annotations

import numpy as np


def pairs(size: int) -> list[tuple[int, int]]:
    """Row and column of each packed element: (0,0), (1,0), (1,1), (2,0) …"""
    return [(row, column) for row in range(size) for column in range(row + 1)]


def place(row: int, column: int) -> int:
    """Position of a lower-triangle element in the packed order."""
    return row * (row + 1) // 2 + column


def factorise(packed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cholesky factors L of packed matrices A = L Lᵀ.

    Args:
        packed: lower triangles, shape (size (size + 1) / 2, n_systems).

    Returns:
        L packed alike, its diagonal inverted, and which systems are positive definite, shape (n_systems,); the
        factors of the others are finite but mean nothing.
    """
    size = int((np.sqrt(8 * packed.shape[0] + 1) - 1) / 2)
    factor = np.empty_like(packed)
    good = np.ones(packed.shape[1], dtype=bool)
    for column in range(size):
        pivot = packed[place(column, column)].copy()
        floor = 1e-13 * np.abs(pivot)
        for k in range(column):
            pivot -= factor[place(column, k)] ** 2
        healthy = pivot > floor
        good &= healthy
        inverse = 1.0 / np.sqrt(np.where(healthy, pivot, 1.0))
        factor[place(column, column)] = inverse
        for row in range(column + 1, size):
            element = packed[place(row, column)].copy()
            for k in range(column):
                element -= factor[place(row, k)] * factor[place(column, k)]
            factor[place(row, column)] = element * inverse
    return factor, good


def solve(factor: np.ndarray, right: np.ndarray) -> np.ndarray:
    """x with A x = right, from ``factorise``'s L; shapes (packed, n_systems) and (size, n_systems)."""
    size = right.shape[0]
    solution = right.copy()
    for row in range(size):
        for k in range(row):
            solution[row] -= factor[place(row, k)] * solution[k]
        solution[row] *= factor[place(row, row)]
    for row in reversed(range(size)):
        for k in range(row + 1, size):
            solution[row] -= factor[place(k, row)] * solution[k]
        solution[row] *= factor[place(row, row)]
    return solution


def inverse(factor: np.ndarray, size: int) -> np.ndarray:
    """A⁻¹ from ``factorise``'s L, unpacked to shape (n_systems, size, size)."""
    n_systems = factor.shape[1]
    result = np.empty((n_systems, size, size))
    for column in range(size):
        unit = np.zeros((size, n_systems))
        unit[column] = 1.0
        result[:, :, column] = solve(factor, unit).T
    return result
