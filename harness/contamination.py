"""Whether a model may have seen a task's labels in training: one mark a cell, by one rule, from what is declared and from dates.

The rule, the first that holds:

1. `clean`: there was no training data before the task: nothing is fitted but to each series alone (type `statistical`, without corpora or
   weights), or the model starts untrained (type `deep-learning` without weights; mode `full`).
2. `unknown`: the weights are the user's own (parameter `weights`): nothing is known of them.
3. `declared`: a corpus that the model declares is, or contains, a source of the task. This stands before the date, as the time stamps of
   public series are often made up.
4. `after cut-off`: the model declares the date of its newest training observation, and every label of the task is later.
5. `clean`: the model declares all its corpora (`training_corpora_complete`), what each holds is known, and none is a source of the task.
6. `unknown`: too little is declared.

A model made of other models' kept forecasts is `unknown`: it has seen what these have, and their marks say what that is.
Training on the task's own training part (modes `finetune`, `few-shot`, `full`, `ttt`) is what the protocol gives, and no contamination.
Nothing is measured here; `harness audit contamination` looks for a task's series in a corpus itself.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.series import TaskData

__all__ = [
    "AFTER",
    "CLEAN",
    "COLLECTIONS",
    "DECLARED",
    "STATES",
    "UNKNOWN",
    "Mark",
    "counts",
    "first_label",
    "mark",
    "mark_published",
    "matches",
    "newest",
    "normalized",
]

DECLARED, AFTER, CLEAN, UNKNOWN = "declared", "after cut-off", "clean", "unknown"
STATES = (DECLARED, AFTER, CLEAN, UNKNOWN)

M4 = ("yearly", "quarterly", "monthly", "weekly", "daily", "hourly")
COLLECTIONS: dict[str, tuple[str, ...]] = {
    "M4": tuple(f"m4_{each}" for each in M4),
    # The archive's own list of datasets (forecastingdata.org; 30 datasets, 58 variants).
    "Monash": (
        "M1", "M3", "M4", *(f"m4_{each}" for each in M4), "Tourism", "NN5", "CIF 2016", "Kaggle web", "Solar", "Electricity",
        "London smart meters", "Australian electricity demand", "Wind farms", "Car parts", "Dominick", "FRED-MD", "Bitcoin",
        "San Francisco traffic", "Melbourne pedestrians", "Rideshare", "Vehicle trips", "Hospital", "COVID deaths", "KDD cup 2018",
        "Weather", "Temperature-rain", "Sunspot", "Saugeen river", "US births", "Solar 4 s", "Wind 4 s",
    ),
    # All 137 series of GIFT-Eval's solar are in it (issue 2 of the repository NX-AI/tirex-2).
    "chronos_datasets/solar_1h": ("Solar",),
    # What is in these is not listed here, so they answer neither yes nor no: a model that declares one is never `clean`.
    "LOTSA": (), "GiftEvalPretrain": (), "chronos_datasets": (), "Time-300B": (), "UTSD": (), "LibCity": (), "TSMixup": (), "ProEnFo": (),
}  # fmt: skip
"""{collection: names of the datasets in it}; () = not known here. Only what is published beyond doubt."""

MADE = re.compile(r"made|synth|kernelsynth|artificial")
"""How the name of a corpus begins that holds no measured series."""

_SAYS_NOTHING = {"archive", "dataset", "datasets", "with", "without", "missing", "values"}
_STEP = re.compile(r"\d+|\d*(min|mins|minutes|minutely|h|hour|hours|hourly|d|daily|w|weekly|m|monthly|quarterly|yearly)")


@dataclass(frozen=True)
class Mark:
    """What is to be said of one cell: one of `STATES`, and why, in words."""

    state: str
    reason: str


def normalized(name: str) -> str:
    """A corpus's name as names are compared: case, punctuation the words dataset and archive, and "with missing values" do not count.

    >>> [normalized(name) for name in ("M4 Hourly", "m4_hourly", "KDD-Cup-2018 dataset", "Monash archive")]
    ['m4hourly', 'm4hourly', 'kddcup2018', 'monash']
    """
    words = _words(name)
    return "".join(word for word in words if word not in _SAYS_NOTHING) or "".join(words)


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", name.casefold())


_CONTENTS = {normalized(name): {normalized(part) for part in parts} for name, parts in COLLECTIONS.items()}


def matches(corpora: Iterable[str], sources: Iterable[str]) -> list[tuple[str, str]]:
    """(corpus, source) for each of these corpora that is, or contains, one of these sources.

    Names are compared by `normalized`; a corpus's steps at the end of its name do not count either, as coarser series are sums or means.

    >>> matches(["Monash", "made series", "electricity_15min"], ["GIFT-Eval", "electricity"])
    [('Monash', 'electricity'), ('electricity_15min', 'electricity')]
    """
    known = {normalized(source): source for source in sources}
    found = []
    for corpus in corpora:
        words = _words(corpus)
        while len(words) > 1 and _STEP.fullmatch(words[-1]):
            words.pop()
        name = normalized(corpus)
        means = {name, normalized(" ".join(words)), *_CONTENTS.get(name, ())}
        held = next((source for key, source in known.items() if key in means), None)
        if held is not None:
            found.append((corpus, held))
    return found


def newest(cutoff: str) -> datetime.datetime | None:
    """The last moment that a declared cut-off covers: all of its day, month or year; None where it is no date.

    >>> [str(newest(text)) for text in ("2024", "2024-02", "2024-02-03", "soon")]
    ['2024-12-31 23:59:59', '2024-02-29 23:59:59', '2024-02-03 23:59:59', 'None']
    """
    match = re.fullmatch(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[T ].*)?)?)?", cutoff.strip())
    if match is None:
        return None
    year, month, day = (int(part) if part else 0 for part in match.groups())
    try:
        begin = datetime.datetime(year, month or 1, day or 1)
        if day:
            after = begin + datetime.timedelta(days=1)
        elif month:
            after = (begin + datetime.timedelta(days=31)).replace(day=1)
        else:
            after = begin.replace(year=year + 1)
    except (ValueError, OverflowError):
        return None
    return after - datetime.timedelta(seconds=1)


def first_label(data: TaskData | None) -> datetime.datetime | None:
    """The time stamp of a task's earliest label, None where there is no data."""
    import numpy as np

    if data is None or not len(data):
        return None
    rows = np.flatnonzero(np.r_[True, data.channel[1:] != data.channel[:-1]])  # the earliest window of each series
    found = data.series.when(data.channel[rows] // data.series.variates, data.cut[rows]).min().astype("datetime64[us]").item()
    return found if isinstance(found, datetime.datetime) else None  # no year from 1 to 9999


def mark(
    declared: Mapping[str, Any],
    sources: Iterable[str],
    *,
    mode: str = "zero-shot",
    own_weights: bool = False,
    labels_from: datetime.datetime | None = None,
) -> Mark:
    """The mark of a cell by the rule above.

    Args:
        declared: by the names of `ModelInfo`'s fields; what is missing is not declared.
        sources: `Task.sources`.
        own_weights: the parameter `weights` names others than the model's own.
        labels_from: the time stamp of the task's earliest label; None = not known.
    """
    if mode == "full":
        return Mark(CLEAN, "starts untrained and learns from the task's training part alone")
    if own_weights:
        return Mark(UNKNOWN, "weights of the user's own: nothing is known of what they were trained on")
    corpora, kind = _texts(declared.get("training_corpora")), declared.get("model_type")
    if kind in ("statistical", "deep-learning") and not corpora and not declared.get("weights") and not declared.get("weights_digest"):
        what = "fitted to each series alone" if kind == "statistical" else "starts untrained"
        return Mark(CLEAN, f"{what}: there is no training data before the task")
    sources, cutoff = _texts(sources), str(declared.get("training_cutoff") or "")
    last = newest(cutoff)
    later = last is not None and labels_from is not None and labels_from > last
    if found := matches(corpora, sources):
        parts = [f"{corpus} ({held})" if normalized(corpus) != normalized(held) else corpus for corpus, held in found]
        dated = f" (though all labels, from {labels_from:%Y-%m-%d}, are later than its cut-off {cutoff})" if later else ""
        return Mark(DECLARED, f"declares {', '.join(parts)}{dated}")
    if later:
        return Mark(AFTER, f"trained on observations up to {cutoff}; the first label is of {labels_from:%Y-%m-%d %H:%M}")
    return _without_match(corpora, sources, bool(declared.get("training_corpora_complete")), cutoff, labels_from)


def _without_match(corpora: list[str], sources: list[str], complete: bool, cutoff: str, labels_from: datetime.datetime | None) -> Mark:
    dated = f"; its cut-off {cutoff} is not before all labels" if cutoff and labels_from else ""
    if not corpora:
        return Mark(UNKNOWN, f"nothing is declared of its training data{dated}" if not cutoff else f"no training corpus is declared{dated}")
    named = ", ".join(corpora)
    if not complete:
        return Mark(UNKNOWN, f"declares {named}, and not that these are all{dated}")
    real = [corpus for corpus in corpora if not MADE.match(normalized(corpus))]
    if not real:
        return Mark(CLEAN, f"trained on made series alone: {named}")
    if opaque := [corpus for corpus in real if not _CONTENTS.get(normalized(corpus), True)]:
        return Mark(UNKNOWN, f"declares {', '.join(opaque)}, of which is not known here what it contains{dated}")
    if not sources:
        return Mark(UNKNOWN, f"the task does not say where its series come from{dated}")
    return Mark(CLEAN, f"declares all its training corpora ({named}); none is or contains {', '.join(sources)}")


def mark_published(known: Mapping[str, Any], trained: bool | None = None) -> Mark:
    """The mark of an imported result: `testdata_leakage` and `model_type` of its model are all that is known.

    Args:
        known: by the names of a published `config.json`.
        trained: whether the model's authors say, for this very dataset, that it was trained on it; None = they do not say.
    """
    leakage = str(known.get("testdata_leakage") or "").casefold()
    if trained is not None:
        said = "that it was trained on this dataset" if trained else "for each dataset whether it was trained on it; on this one it was not"
        return Mark(DECLARED if trained else CLEAN, f"its authors declare {said}")
    if leakage == "yes":
        return Mark(DECLARED, "its authors declare that test data of the benchmark leaked, and not of which task")
    if known.get("model_type") == "statistical":
        return Mark(CLEAN, "fitted to each series alone: there is no training data before the task")
    if leakage == "no":
        return Mark(UNKNOWN, "its authors declare that no test data leaked, and name no corpora by which that could be checked")
    return Mark(UNKNOWN, "nothing is declared of its training data")


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value else []
    return [str(text) for text in value] if isinstance(value, Iterable) and not isinstance(value, Mapping) else []


def counts(marks: Iterable[str]) -> dict[str, int]:
    """How many cells have each state; what is no state counts as unknown."""
    found = dict.fromkeys(STATES, 0)
    for state in marks:
        found[state if state in found else UNKNOWN] += 1
    return found
