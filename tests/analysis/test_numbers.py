"""Numbers as text: known answers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.numbers import (
    NONE,
    format_count,
    format_mass,
    format_number,
    format_p_interval,
    format_p_value,
    format_percent,
    format_uncertain,
    format_window,
    format_z,
    is_bound,
    mathtext_p,
)


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (1.234e-5, "1.2 × 10⁻⁵"),
        (2.8e-10, "2.8 × 10⁻¹⁰"),
        (9.94e-4, "9.9 × 10⁻⁴"),
        (9.96e-4, "0.0010"),
        (0.0456, "0.046"),
        (0.0994, "0.099"),
        (0.0996, "0.10"),
        (0.5, "0.50"),
        (1.0, "1.00"),
        (0.0, "< 10⁻³⁰⁰"),
        (math.nan, NONE),
        (None, NONE),
    ],
)
def test_p_values(p: float | None, text: str) -> None:
    assert format_p_value(p) == text


@given(st.floats(1e-250, 1.0))
def test_p_value_text_is_the_value_to_two_digits(p: float) -> None:
    text = format_p_value(p).translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")).replace(" × 10", "e")
    assert float(text) == pytest.approx(p, rel=0.06)


def test_p_intervals() -> None:
    assert format_p_interval(2e-3, 1.2e-3, 4e-3) == "0.0020 [0.0012, 0.0040]"
    assert format_p_interval(1e-4, 0.0, 3e-4) == "1.0 × 10⁻⁴ [0, 3.0 × 10⁻⁴]"
    assert format_p_interval(0.5, None, None) == "0.50"


@pytest.mark.parametrize(
    ("value", "uncertainty", "text"),
    [
        (0.91234, 0.0123, "0.912 ± 0.012"),
        (12345.0, 678.0, "12 340 ± 680"),
        (1.2e-6, 3e-7, "(1.20 ± 0.30) × 10⁻⁶"),
        (0.5, 9.96, "0 ± 10"),
        (-3.21, 0.45, "−3.21 ± 0.45"),
        (2.5, None, "2.5"),
        (2.5, 0.0, "2.5"),
        (None, 1.0, NONE),
    ],
)
def test_uncertainties(value: float | None, uncertainty: float | None, text: str) -> None:
    assert format_uncertain(value, uncertainty).replace("\u202f", " ") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.23e-5, "1.23 × 10⁻⁵"),
        (0.12345, "0.123"),
        (250.0, "250"),
        (12345.6, "12 346"),
        (1e6, "1.00 × 10⁶"),
        (-1.5e-7, "−1.50 × 10⁻⁷"),
        (0, "0"),
        (math.inf, "∞"),
        (None, NONE),
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    assert format_number(value).replace("\u202f", " ") == text


def test_masses_and_windows() -> None:
    assert format_mass(3521.0) == "3.52 TeV"
    assert format_mass(3500.0) == "3.50 TeV"
    assert format_mass(85.44) == "85.4 GeV"
    assert format_mass(3521.0, 15.0) == "(3.521 ± 0.015) TeV"
    assert format_window((3300.0, 3700.0)) == "3.30–3.70 TeV"
    assert format_window((65.0, 95.0)) == "65–95 GeV"
    assert format_window(None) == NONE


def test_significances_percentages_and_counts() -> None:
    assert format_z(3.524) == "3.52σ"
    assert format_z(-1.2) == "−1.20σ"
    assert format_z(math.inf) == "∞"
    assert format_percent(0.01) == "1%"
    assert format_percent(0.00486) == "0.486%"
    assert format_count(1234567).replace("\u202f", " ") == "1 234 567"
    assert format_count(12.5) == "12.5"


def test_mathtext_keeps_powers_of_ten() -> None:
    assert mathtext_p(2.1e-5) == r"$2.1 \times 10^{-5}$"
    assert mathtext_p(0.5) == "0.50"
    assert mathtext_p(0.0) == r"$< 10^{-300}$"


def test_a_global_p_without_toys_beyond_is_a_bound() -> None:
    assert is_bound({"value": 1 / 10_001, "toys": 10_000, "method": "toys"})
    assert not is_bound({"value": 2 / 10_001, "toys": 10_000, "method": "toys"})
    assert not is_bound({"value": 1e-9, "toys": 100, "method": "gross-vitells"})
    assert not is_bound(None)
