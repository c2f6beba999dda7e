"""The keys of a task that say which windows are cut and what is asked of models: horizon, windows, stride, event, levels and others."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness import frequency, monash
from harness.errors import DataError, UsageError
from harness.types import DECILES, Event, Task
from harness_tasks.own.declared import Entry, Source
from harness_tasks.own.places import At

__all__ = ["ASKING", "PLAIN", "WINDOWS", "horizons", "read_entry"]

WINDOWS = ("freq", "horizon", "horizons", "windows", "stride", "short", "min_context", "test", "steps")
ASKING = (
    "season_length",
    "variates",
    "quantile_levels",
    "dialect",
    "event",
    "context",
    "fill_gaps",
    "rounded",
    "domain",
    "family",
    "known_as",
)
EVENT = ("name", "step", "above", "relative", "inclusive")
STEPS = 1_000_000
HORIZONS = 100
"""Most that a task may list; each is a task of its own."""
PLAIN = r"[A-Za-z0-9][A-Za-z0-9._+-]*"


def horizons(at: At, keys: Mapping[str, At]) -> list[tuple[str, int, At]]:
    """(term, H, where it stands) of each horizon; one alone has no term.

    Raises:
        DataError: none, one twice, too many or one that is no number of steps.
    """
    if "horizon" in keys:
        return [("", keys["horizon"].whole(1, STEPS), keys["horizon"])]
    if "horizons" not in keys:
        raise at.fail("a task without 'horizon'", "horizon: STEPS, or horizons: [STEPS, STEPS]")
    from yaml import MappingNode

    several = keys["horizons"]
    if isinstance(several.node.value, list) and (count := len(several.node.value)) > HORIZONS:  # before thousands of tasks are made
        hint = " Steps of one forecast are one horizon, the last of them; for their errors one by one: harness plot steps"
        raise several.fail(f"{count:,} horizons", f"at most {HORIZONS}: each is a task of its own", hint)
    if isinstance(several.node, MappingNode):
        found = [(term, value.whole(1, STEPS), value) for term, value in several.mapping().items()]
        for term, _, value in found:
            if not re.fullmatch(PLAIN, term):
                raise value.fail(f"the term {term!r}", "letters, digits, '.', '_', '-'")
    else:
        numbers = [(value.whole(1, STEPS), value) for value in several.each()]
        found = [(str(number), number, value) for number, value in numbers]
    if not found or len({term for term, _, _ in found}) < len(found):
        raise several.fail("no horizon" if not found else "a horizon twice", "at least one, each once")
    return found


def read_entry(at: At, keys: Mapping[str, At], source: Source, suite: str, name: str, term: str, horizon: int, place: At) -> Entry:
    """The task `name` with one of its horizons, which stands at `place`.

    Raises:
        DataError: what is wrong, with its line.
    """

    def whole(key: str, low: int, default: int) -> int:
        return keys[key].whole(low, STEPS) if key in keys else default

    auto = "windows" not in keys or keys["windows"].said() == "'auto'"
    windows = 0 if auto else whole("windows", 1, 1)
    stride = whole("stride", 1, horizon)
    short = keys["short"].choice(("error", "skip", "fewer")) if "short" in keys else "error"
    least = whole("min_context", 1, 1)
    context = whole("context", 0, 0)
    test, steps = _test(keys), whole("steps", 2, 0)
    if "variates" in keys and source.format != "gift-eval":
        raise keys["variates"].fail("'variates'", "it with format: gift-eval alone; elsewhere the target columns are counted")
    event = _event(keys["event"], horizon) if "event" in keys else None
    text = {key: keys[key].text(empty=True) for key in ("domain", "family") if key in keys}
    dialect = _dialect(keys["dialect"]) if "dialect" in keys else ""
    if event is None and dialect.partition("@")[0] == "spy":
        wanted = "event: {name: up, relative: ratio, above: 0.0} or the like, as that dialect scores probabilities of an event"
        raise keys["dialect"].fail(f"{dialect!r} in a task without 'event'", wanted)
    known_as = keys["known_as"].texts() if "known_as" in keys else ()
    cut = f"windows={windows or 'auto'} stride={stride} short={short} min_context={least}"
    cut += (f" test={test if test < 1 else int(test)}" if test else "") + (f" steps={steps}" if steps else "")
    task = Task(
        suite=suite,
        name=f"{name}/{term}" if term else name,
        dataset=name,
        family=text.get("family") or name,
        domain=text.get("domain", ""),
        freq=frequency.normalize(source.freq),
        term=term,
        horizon=horizon,
        season_length=_season(keys.get("season_length"), source.freq, dialect),
        variates=1 if source.layout == "wide" else len(source.columns.target) or whole("variates", 1, 1),
        kind="forecast" if event is None else "event",
        dialect=dialect or ("gift-eval" if event is None else "spy"),
        quantile_levels=_levels(keys["quantile_levels"]) if "quantile_levels" in keys else DECILES,
        protocol=f"own/1 {cut}",
        sources=tuple(dict.fromkeys((*known_as, name))),
        context=context,
        fill_gaps=whole("fill_gaps", 0, 0),
        rounded=keys["rounded"].flag() if "rounded" in keys else False,
        event=event,
    )
    return Entry(task, source, windows, stride, short, least, (place if term else at).where, test, steps)


def _test(keys: Mapping[str, At]) -> float:
    """The test part: steps, or below 1 the share of a series; 0 = none is declared."""
    at = keys.get("test")
    if at is None:
        return 0.0
    if "windows" in keys and keys["windows"].said() != "'auto'" and "stride" in keys:
        wanted = "one of these: windows: W spreads so many over the test part, stride: S takes all that fit"
        raise at.fail("'test' with 'windows' and 'stride'", wanted)
    if "short" in keys and keys["short"].text() == "fewer":
        raise keys["short"].fail("'fewer' with 'test'", "error or skip: a test part has as many windows as fit")
    if re.fullmatch(r"[+-]?\d*", at.text()):
        return float(at.whole(1, STEPS))
    share = at.number()
    if not 0 < share < 1:
        raise at.fail(at.said(), "steps, as 2880, or a share of each series between 0 and 1, as 0.2")
    return share


def _dialect(at: At) -> str:
    """The name of a dialect of a plugin here, "" = the usual one."""
    from harness.dialects.registered import find

    name = at.text(empty=True)
    try:
        if name:
            find(name)
    except UsageError as error:
        raise DataError(f"{at.where}: {at.name}: {error}") from None
    return name


def _season(at: At | None, freq: str, dialect: str) -> int:
    """The season that errors are scaled by, which is Seasonal Naive's too. The dialect `monash` has its own, by the frequency alone."""
    if dialect.partition("@")[0] != "monash":
        return frequency.season_length(freq) if at is None else at.whole(1, STEPS)
    season = monash.season(freq)
    if at is not None and at.whole(1, STEPS) != season:
        hint = " Leave it out. The dialect gift-eval scales by any; to look back further, give the model a parameter"
        raise at.fail(at.said(), f"{season} with dialect: monash, which scales errors of {freq} by the archive's season", hint)
    return season


def _levels(at: At) -> tuple[float, ...]:
    levels = tuple(each.number() for each in at.each())
    if not levels or any(not 0 < level < 1 for level in levels) or any(a >= b for a, b in zip(levels, levels[1:], strict=False)):
        raise at.fail(f"the levels {', '.join(f'{level:g}' for level in levels) or 'none'}", "rising numbers between 0 and 1")
    return levels


def _event(at: At, horizon: int) -> Event:
    keys = at.mapping(EVENT)
    if "name" not in keys:
        raise at.fail("an event without 'name'", "a name, as up")
    step = keys["step"].whole(1, STEPS) if "step" in keys else horizon
    if step > horizon:
        raise keys["step"].fail(f"step {step}", f"a step of the horizon, 1 to {horizon}")
    return Event(
        keys["name"].text(),
        step,
        keys["above"].number() if "above" in keys else 0.0,
        keys["relative"].choice(("", "ratio", "difference")) if "relative" in keys else "",
        keys["inclusive"].flag() if "inclusive" in keys else False,
    )
