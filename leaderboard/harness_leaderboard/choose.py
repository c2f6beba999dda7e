"""Which model and which metric a typed name means: "ttm", "ttm (finetune)", "naive@gift-eval"; "MASE", "CRPS", "fev:WQL"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from harness.directions import declared_directions, lower_is_better
from harness.errors import NothingMatched, UsageError, suggest
from harness_leaderboard.aggregate import LABELS, Entry, Results

if TYPE_CHECKING:
    from harness.plugins import Plugins
    from harness.store import Store

__all__ = ["choose_metric", "choose_model", "choose_score", "short_metric"]


def choose_model(results: Results, text: str, sources: Iterable[str] = ()) -> tuple[int, str]:
    """The row of the model that a text names, and a sentence about what was taken where there was a choice.

    A name is a label, or a model's name where one of its modes alone has results. After "@" it may say the source: "naive@gift-eval",
    "naive@own"; without, one's own results are taken before imported ones.

    Args:
        results: where to look.
        text: what was typed.
        sources: look only among these; none = all.

    Raises:
        NothingMatched: no such model; suggests near names.
        UsageError: several modes of the model have results.
    """
    among = set(sources)
    allowed = [i for i, entry in enumerate(results.entries) if not among or entry.source in among]
    found = _named(results.entries, allowed, text)
    name, at, source = text.rpartition("@")
    asked = not found and bool(at)
    if asked:
        found = _named(results.entries, [i for i in allowed if results.entries[i].source == source], name)
    if not found:
        raise NothingMatched(_unknown(results, allowed, text))
    own = [i for i in found if results.entries[i].source == "own"]
    kept = own or found
    if len(kept) > 1:
        written = ", ".join(repr(_address(results.entries[i], found, results.entries)) for i in kept[:8])
        raise UsageError(f"'{_short(text)}' names {len(kept)} results; name one: {written}")
    others = [results.entries[i].source for i in found if i not in kept]
    said = (
        f"{results.entries[kept[0]].label}: own results; for the imported ones: '{_short(text)}@{others[0]}'"
        if others and not asked
        else ""
    )
    return kept[0], said


def _named(entries: Sequence[Entry], among: Sequence[int], name: str) -> list[int]:
    """Rows with this label; where there is none, those with this model name."""
    labels = [i for i in among if entries[i].label == name]
    return labels or [i for i in among if name in (entries[i].model, entries[i].model_name)]


def _address(entry: Entry, found: Sequence[int], entries: Sequence[Entry]) -> str:
    """How to write one of several."""
    same = sum(entries[i].label == entry.label for i in found)
    return f"{entry.label}@{entry.source}" if same > 1 else entry.label


def _unknown(results: Results, allowed: Sequence[int], text: str) -> str:
    names = sorted({results.entries[i].label for i in allowed})
    sources = sorted(f"{results.entries[i].label}@{results.entries[i].source}" for i in allowed)
    same = [address for address in sources if "@" in text and address.rpartition("@")[0] == text.rpartition("@")[0]]
    near = f" Did you mean '{_short(same[0])}'?" if same else suggest(text, [*names, *(sources if "@" in text else ())])
    have = (
        f"there are {len(names)}: {', '.join(_short(name) for name in names[:6])}{', …' if len(names) > 6 else ''}"
        if names
        else "there is none"
    )
    return f"no results of model '{_short(text)}'.{near} With results {have}. To see all: harness leaderboard"


def _short(text: str) -> str:
    from harness.cli.output import printable

    return printable(text, 60)


def short_metric(name: str) -> str:
    """A metric's name as tables show it: "MASE[0.5]" is MASE, the weighted quantile loss is CRPS, others go by their own names.

    >>> short_metric("mean_weighted_sum_quantile_loss"), short_metric("MASE[0.5]"), short_metric("MSE[mean]")
    ('CRPS', 'MASE', 'MSE[mean]')
    """
    return LABELS.get(name, name)


def choose_metric(results: Results, text: str, option: str = "--metric") -> str:
    """The full name of a metric with results, letters' case being free.

    A name may be given in full, short ("CRPS"), without its level ("MAE" for "MAE[0.5]"), or without its origin ("WQL" for "fev:WQL").

    Raises:
        UsageError: no such metric, or several.
    """
    known = sorted(results.scores)
    wanted = text.lower()
    ways = [
        [name for name in known if name == text],
        [name for name in known if wanted == short_metric(name).lower() or wanted == name.lower()],
        [name for name in known if wanted == name.partition("[")[0].lower()],
        [name for name in known if wanted in _without_origin(name.lower())],
    ]
    found = next((way for way in ways if way), [])
    if len(found) == 1:
        return found[0]
    have = ", ".join(_short(short_metric(name)) for name in known)
    if found:
        raise UsageError(f"{option} {_short(text)}: names {len(found)} metrics; name one: {', '.join(map(_short, found))}")
    near = suggest(text, [name for name in (*known, *map(short_metric, known)) if name.lower() != wanted])
    raise UsageError(f"{option} {_short(text)}: there is no such metric.{near} With results: {have}")


def _without_origin(name: str) -> tuple[str, str]:
    """The last segment of a name, and the same without its level."""
    last = name.rpartition(":")[2]
    return last, last.partition("[")[0]


def choose_score(plugins: Plugins, store: Store, suite: str, results: Results, text: str) -> str:
    """The full name of the metric to compare models by, lower being better.

    Args:
        plugins: what metrics are registered.
        store: where it may be declared of imported ones that lower is better.
        suite: name of the suite.
        results: its results.
        text: what was typed (see `choose_metric`); "" = the first of the two that the suite is compared by.

    Raises:
        UsageError: no such metric, or lower is not better, or nobody knows; says which.
    """
    declared = declared_directions(store, suite)
    if text:
        full = choose_metric(results, text)
        lower = lower_is_better(full, plugins, declared)
        if lower is None:
            raise UsageError(
                f"--metric {_short(text)}: whether a lower {_short(full)} is better is not known; "
                f"if it is, import the table again with --lower '{_short(full)}'"
            )
        if not lower:
            raise UsageError(
                f"--metric {_short(text)}: a lower {_short(full)} is not better; compare by another{_others(results, plugins, declared)}"
            )
        return full
    full = results.main[0]
    if not np.isnan(results.scores[full]).all():
        return full
    unknown = [name for name in sorted(results.scores) if name not in results.main]
    if not unknown or _others(results, plugins, declared):
        return full
    raise UsageError(
        f"there is nothing to compare by: of {', '.join(map(_short, unknown[:5]))} it is not known that lower is better; "
        f"if it is, import the table again with --lower '{_short(unknown[0])}'"
    )


def _others(results: Results, plugins: Plugins, declared: dict[str, str]) -> str:
    """The metrics with results of which lower is better, as the end of a sentence; "" = none."""
    known = [name for name, values in sorted(results.scores.items()) if not np.isnan(values).all()]
    good = [_short(short_metric(name)) for name in known if lower_is_better(name, plugins, declared)]
    return f": {', '.join(good[:12])}" if good else ""
