"""Which model and which metric a typed name means: "ttm", "ttm (finetune)", "naive@gift-eval"; "MASE", "CRPS", "MSIS"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.errors import NothingMatched, UsageError, suggest
from harness_leaderboard.aggregate import Entry, Results

__all__ = ["choose_metric", "choose_model", "short_metric"]


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
    allowed = [i for i, entry in enumerate(results.entries) if not list(sources) or entry.source in set(sources)]
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


SHORT = {"MASE[0.5]": "MASE", "mean_weighted_sum_quantile_loss": "CRPS"}


def short_metric(name: str) -> str:
    """A metric's name as tables show it: "MASE[0.5]" is MASE, the weighted quantile loss is CRPS, others lose their level.

    >>> short_metric("mean_weighted_sum_quantile_loss"), short_metric("MASE[0.5]"), short_metric("MSE[mean]")
    ('CRPS', 'MASE', 'MSE[mean]')
    """
    return SHORT.get(name, name)


def choose_metric(results: Results, text: str, option: str = "--metric") -> str:
    """The full name of a metric with results: in full, short ("CRPS"), or without its level ("MAE" for "MAE[0.5]"); letters' case is free.

    Raises:
        UsageError: no such metric, or several.
    """
    known = sorted(results.scores)
    wanted = text.lower()
    ways = [
        [name for name in known if name == text],
        [name for name in known if wanted == short_metric(name).lower() or wanted == name.lower()],
        [name for name in known if wanted == name.partition("[")[0].lower()],
    ]
    found = next((way for way in ways if way), [])
    if len(found) == 1:
        return found[0]
    have = ", ".join(short_metric(name) for name in known)
    if found:
        raise UsageError(f"{option} {_short(text)}: names {len(found)} metrics; name one: {', '.join(found)}")
    raise UsageError(f"{option} {_short(text)}: there is no such metric.{suggest(text, [*known, *SHORT.values()])} With results: {have}")
