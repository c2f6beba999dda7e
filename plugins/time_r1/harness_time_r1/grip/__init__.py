"""GRIP: group-based policy optimisation that keeps a chosen few of many answers, and weights them; with the rewards of Time-R1."""

from __future__ import annotations
