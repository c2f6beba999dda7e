"""`harness time-r1 steps`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

__all__ = ["steps"]


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--window", type=int, default=None, help="Only this window, by its id.")
@click.option("--kind", default="", show_default=False, help="Only answers of this kind: short, non-numeric, ok.")
@click.option("--limit", type=click.IntRange(1), default=20, help="Answers to show at most.")
@click.option("--json", "as_json", is_flag=True, help="Print the records as JSON lines.")
def steps(path: Path, window: int | None, kind: str, limit: int, as_json: bool) -> int:
    """Read how answers came about, from the file or folder PATH that TIME_R1_STEPS named during a run.

    Exit code 5 where nothing matches.
    """
    import json
    import os

    from harness import NothingMatched, UsageError
    from harness_time_r1.parser import KINDS
    from harness_time_r1.steps import read_steps

    if not os.path.exists(path):  # noqa: PTH110 - Path's raises for a text too long to be a path
        raise UsageError(f"there is no file or folder {path}; TIME_R1_STEPS=FOLDER harness run -m time-r1 … writes one")
    if kind and kind not in KINDS:
        raise UsageError(f"got --kind {kind}; wanted one of {', '.join(KINDS)}")
    shown = total = 0
    kinds: Counter[str] = Counter()
    for record in read_steps(path):
        if (window is not None and record["window"] != window) or (kind and record["kind"] != kind):
            continue
        total += 1
        kinds[str(record["kind"])] += 1
        if shown == limit:
            continue
        shown += 1
        click.echo(json.dumps(record) if as_json else _text(record))
    if not total:
        raise NothingMatched(f"{path} holds no such answer")
    if not as_json:
        counted = ", ".join(f"{name} {count}" for name, count in kinds.most_common())
        more = f"; {total - shown} are not shown, for all of them: --limit {total}" if total > shown else ""
        click.echo(f"{total} answers: {counted}{more}", err=True)
    return 0


def _text(record: dict[str, object]) -> str:
    """A record as it is read."""
    of = f"{record['dataset']}, " if record.get("dataset") else ""
    lines = [f"{of}window {record['window']}, sample {record['sample']}: {record['kind']}"]
    every = record["steps"]
    assert isinstance(every, list)
    for step in every:
        lines.append(f"  [{step['step']}]" + (f" {step['kind']}" if step.get("kind") else ""))
        lines += [f"    - {finding}" for finding in step.get("findings", ())]
        if answer := step.get("answer"):
            why = f", {answer['error']}" if answer["error"] else ""
            lines.append(f"    {answer['finish']}, {answer['completion_tokens']} tokens{why}")
            lines += [f"    | {line}" for line in str(answer["text"]).splitlines()]
    # What a model wrote is not to steer the terminal.
    return "\n".join("".join(c if c.isprintable() else "�" for c in line) for line in lines)
