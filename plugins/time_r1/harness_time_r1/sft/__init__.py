"""The warm-up of Time-R1: samples of reasoning and forecast by a teacher, and supervised fine-tuning on them. Light to import."""

from __future__ import annotations

from harness_time_r1.sft.rules import from_windows

__all__ = ["from_windows"]
