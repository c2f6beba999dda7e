"""What messages of the readers tell the caller to pass, and what a user of the suite can do instead, who passes no arguments.

A message has one of these sentences as it stands, so that `for_suite` finds it.
"""

from __future__ import annotations

__all__ = ["CALLER", "DATES", "LAYOUT", "NEAR", "NO_STEP", "SPAN", "STEP", "STEPS", "UNIT", "for_suite"]

CALLER = "the caller"
UNIT = "pass unit='mg/dL' or unit='mmol/L'"
DATES = "Pass dates='dmy' or dates='mdy'"
LAYOUT = "Pass one of them as layout"
NO_STEP = "Pass step_minutes=5 or another"
STEP = "Pass step_minutes, or leave these subjects out"
STEPS = "Pass step_minutes, or take the subjects apart"
NEAR = "pass a larger tolerance_s"
SPAN = "Or pass split_after"

_SUITE = {
    CALLER: "the option unit",
    UNIT: "name it as an option where the suite is named: 'cgm[unit=mmol/L]' or 'cgm[unit=mg/dL]'",
    DATES: "Name the order as an option where the suite is named: 'cgm[dates=dmy]' or 'cgm[dates=mdy]'",
    LAYOUT: "Take columns out of the file until one layout is left",
    NO_STEP: "Put subjects with more readings into the file, or take it out of the folder",
    STEP: "Take these subjects out of the file, or thin their readings to one of these steps",
    STEPS: "Put the subjects of each step into a file of their own",
    NEAR: "name a larger one, 'cgm[tolerance_minutes=2.5]', or leave that option out",
    SPAN: "Or name smaller split_hours: 'cgm[split_hours=2]'",
}


def for_suite(message: str) -> str:
    """A message of a reader with what can be typed where the suite is named.

    >>> for_suite("most subjects have one step and p2 another; wanted one. Pass step_minutes, or take the subjects apart")
    'most subjects have one step and p2 another; wanted one. Put the subjects of each step into a file of their own'
    """
    for said, instead in _SUITE.items():
        message = message.replace(said, instead)
    return message
