"""Numbers and p-values in texts that matplotlib sets as mathematics.

A text with a `$` in it goes through mathtext as a whole, whose font has neither the narrow space between thousands
nor superscript digits: it draws a dummy symbol in their place, and warns.
"""

from __future__ import annotations

import re

from analysis.numbers import NARROW_SPACE, mathtext_p

_DIGITS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
_BOUND = "$<"  # how a p-value begins that is known to be smaller


def in_mathtext(text: str) -> str:
    """Return a number's text (see `analysis.numbers`) so that it can stand beside mathematics, outside of any `$`.

    >>> in_mathtext("(1.2 ± 0.3) × 10⁻⁶")
    '(1.2 ± 0.3) × 10$^{-6}$'
    """
    text = re.sub("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda found: f"$^{{{found[0].translate(_DIGITS)}}}$", text)
    return text.replace(NARROW_SPACE, r"$\,$")


def p_text(p: float, *, name: str = "$p$", bound: bool = False) -> str:
    """Return "p = 0.046", "p < 0.046" for a bound, and "p < 10⁻³⁰⁰" for what is smaller than numbers can be.

    >>> p_text(0.0456, name="p"), p_text(0.0, name="p")
    ('p = 0.046', 'p $< 10^{-300}$')
    """
    value = mathtext_p(p)
    if value.startswith(_BOUND):
        return f"{name} {value}"
    return f"{name} {'<' if bound else '='} {value}"
