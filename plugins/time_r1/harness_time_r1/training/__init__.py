"""What both trainings, supervised and by GRIP, have in common: the folder, the surroundings, the end, the record, the command's options."""

from __future__ import annotations
