"""Numbers as a physicist writes them, for figures and reports: pure functions from numbers to text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

NONE = "–"
NARROW_SPACE = "\u202f"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SMALLEST = 1e-300
# p-values below this are powers of ten; it rounds up to 0.001
_WRITTEN_OUT = 9.95e-4


def format_count(count: float | None) -> str:
    """Whole number with narrow spaces between thousands; a weighted one gets one decimal.

    >>> format_count(1234567).replace(NARROW_SPACE, " ")
    '1 234 567'
    """
    if count is None or not math.isfinite(count):
        return NONE
    whole = abs(count - round(count)) < 1e-9 * max(1.0, abs(count))
    return _group(f"{count:,.0f}" if whole or abs(count) >= 1e5 else f"{count:,.1f}")


def format_number(value: float | None, *, digits: int = 3) -> str:
    """Significant digits, as a power of ten outside 10⁻³ … 10⁵.

    >>> format_number(0.0000123), format_number(0.12345), format_number(250.0)
    ('1.23 × 10⁻⁵', '0.123', '250')
    """
    if value is None or math.isnan(value):
        return NONE
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    mantissa, exponent = _scientific(value, digits)
    if -4 < exponent < 5:
        decimals = max(0, digits - 1 - exponent)
        text = f"{value:,.{decimals}f}"
        return _group(text.rstrip("0").rstrip(".") if "." in text else text)
    return f"{_minus(mantissa)} × 10{str(exponent).translate(_SUPERSCRIPTS)}"


def format_uncertain(
    value: float | None, uncertainty: float | None = None, *, spread: float | None = None, unit: str = ""
) -> str:
    """A value with its uncertainty rounded to two significant digits, and the value to the same place.

    A second uncertainty, the `spread`, follows the first one and is rounded to its place.

    >>> format_uncertain(0.91234, 0.0123), format_uncertain(12348.0, 678.0).replace(NARROW_SPACE, " ")
    ('0.912 ± 0.012', '12 350 ± 680')
    >>> format_uncertain(10.594, 1.204, spread=0.187)
    '10.6 ± 1.2 ± 0.2'
    """
    if value is None or math.isnan(value):
        return NONE
    tail = f" {unit}" if unit else ""
    if uncertainty is None or not math.isfinite(uncertainty) or uncertainty <= 0 or not math.isfinite(value):
        return format_number(value) + tail
    exponent = _scientific(uncertainty, 2)[1]
    largest = _scientific(max(abs(value), uncertainty), 2)[1]
    parts = [value, uncertainty] if spread is None or not math.isfinite(spread) else [value, uncertainty, spread]
    if -4 < largest < 6:
        return " ± ".join(_rounded(part, 1 - exponent) for part in parts) + tail
    decimals = 1 - exponent + largest
    scaled = " ± ".join(_rounded(part / 10.0**largest, decimals) for part in parts)
    return f"({scaled}) × 10{str(largest).translate(_SUPERSCRIPTS)}{tail}"


def format_p_value(p: float | None) -> str:
    """A p-value with two significant digits.

    >>> format_p_value(1.234e-5), format_p_value(0.0456), format_p_value(0.5), format_p_value(0.0)
    ('1.2 × 10⁻⁵', '0.046', '0.50', '< 10⁻³⁰⁰')
    """
    if p is None or math.isnan(p):
        return NONE
    if p < _SMALLEST:
        return "< 10⁻³⁰⁰"
    if p < _WRITTEN_OUT:
        mantissa, exponent = _scientific(p, 2)
        return f"{mantissa} × 10{str(exponent).translate(_SUPERSCRIPTS)}"
    return f"{p:#.2g}" if p < 0.0995 else f"{p:.2f}"


def format_p_interval(p: float | None, low: float | None, high: float | None) -> str:
    """A p-value with its interval in brackets."""
    if low is None or high is None:
        return format_p_value(p)
    lower = "0" if low == 0 else format_p_value(low)
    return f"{format_p_value(p)} [{lower}, {format_p_value(high)}]"


def is_bound(global_p: Mapping[str, Any] | None) -> bool:
    """Tell whether a global p-value from toys is only a bound: no toy was as extreme as the data.

    With (S + 1)/(N + 1) as the estimate that is S = 0.
    """
    if not global_p or global_p.get("value") is None or global_p.get("method", "toys") != "toys":
        return False
    if isinstance(stated := global_p.get("is_bound"), bool):
        return stated
    toys = int(global_p.get("toys") or 0)
    return toys > 0 and bool(global_p["value"] * (toys + 1) < 1.5)


def format_toy_p(p: Mapping[str, Any]) -> str:
    """A p-value from toys with its sign, "<" where it is only a bound: no toy reached the data.

    >>> format_toy_p({"value": 0.0456, "toys": 2000}), format_toy_p({"value": 1 / 2001, "toys": 2000})
    ('= 0.046', '< 5.0 × 10⁻⁴')
    """
    text = format_p_value(p.get("value"))
    return text if text.startswith("<") else f"{'<' if is_bound(p) else '='} {text}"


def format_z(z: float | None) -> str:
    """A significance with two decimals: 3.52σ."""
    if z is None or math.isnan(z):
        return NONE
    if math.isinf(z):
        return "∞" if z > 0 else "−∞"
    return f"{_minus(f'{z:.2f}')}σ"


def format_mass(mass: float | None, uncertainty: float | None = None) -> str:
    """A mass given in GeV, in TeV from 1000 GeV up.

    >>> format_mass(3521.0), format_mass(85.44)
    ('3.52 TeV', '85.4 GeV')
    """
    if mass is None or math.isnan(mass):
        return NONE
    unit, scale = ("TeV", 1000.0) if abs(mass) >= 1000 else ("GeV", 1.0)
    if uncertainty is not None and uncertainty > 0:
        return f"({format_uncertain(mass / scale, uncertainty / scale)}) {unit}"
    decimals = 2 if unit == "TeV" else 1
    return f"{mass / scale:.{decimals}f} {unit}"


def format_window(window: tuple[float, float] | list[float] | None) -> str:
    """A mass interval given in GeV: 3.30–3.70 TeV."""
    if window is None:
        return NONE
    low, high = window
    if high >= 1000:
        return f"{low / 1000:.2f}–{high / 1000:.2f} TeV"
    return f"{low:g}–{high:g} GeV"


def format_percent(fraction: float | None, *, digits: int = 3) -> str:
    """A fraction in percent: 0.01 → 1%."""
    if fraction is None or math.isnan(fraction):
        return NONE
    return f"{format_number(100 * fraction, digits=digits)}%"


def format_confidence(level: float) -> str:
    """The confidence of an upper limit whose CLs falls to `level`.

    >>> format_confidence(0.05), format_confidence(0.1)
    ('95%', '90%')
    """
    return f"{100 * (1 - level):g}%"


def mathtext_p(p: float) -> str:
    """A p-value for figures, where powers of ten need mathtext."""
    if p < _SMALLEST:
        return r"$< 10^{-300}$"
    if p < _WRITTEN_OUT:
        mantissa, exponent = _scientific(p, 2)
        return rf"${mantissa} \times 10^{{{exponent}}}$"
    return format_p_value(p)


def _scientific(value: float, digits: int) -> tuple[str, int]:
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return mantissa, int(exponent)


def _rounded(value: float, decimals: int) -> str:
    number = round(value, decimals)
    return _group(f"{number:,.{max(decimals, 0)}f}")


def _group(text: str) -> str:
    return _minus(text.replace(",", NARROW_SPACE))


def _minus(text: str) -> str:
    return text.replace("-", "−", 1) if text.startswith("-") else text


def plain_z(z: float | None, *, bound: bool = False) -> str:
    """A significance for a line on the terminal; below all toys where it is None.

    >>> plain_z(1.734), plain_z(3.719, bound=True), plain_z(None)
    ('1.73σ', '>3.72σ', 'below every toy')
    """
    return "below every toy" if z is None else f"{'>' if bound else ''}{z:.2f}σ"


def trials_text(entry: Mapping[str, Any]) -> str:
    """Return what looking at several selections costs, empty where that is not known.

    >>> trials_text({"trials_factor": None, "trials_factor_in_toys": {"value": 7.04, "local_z": 2.912}})
    'trials factor 7.0 at 2.9σ, as far as toys reach'
    """
    if entry.get("trials_factor"):
        return f"trials factor {entry['trials_factor']:.1f}"
    found = entry.get("trials_factor_in_toys")
    return f"trials factor {found['value']:.1f} at {found['local_z']:.1f}σ, as far as toys reach" if found else ""
