"""Errors of the processors package."""

from __future__ import annotations


class InputError(ValueError):
    """Events that cannot be processed: the message says what is wrong, where, and what to do."""
