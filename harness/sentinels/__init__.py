"""Sentinels: forecasters whose scores theory fixes, run through the real path. `harness doctor --sentinels` judges them.

| sentinel | forecasts | must |
|---|---|---|
| oracle | the labels | score exactly 0 |
| naive | the last value of the context | forecast just that, and score what a plain loop says |
| constant | 0 | be worse than naive, where that is the best there is |
| shuffled | the labels of another window | be worse than naive |
| peeking | the labels, if it finds them in its process; else as naive | be naive, to the bit |

Labels never reach a worker: `oracle` and `shuffled` answer in the parent, in the place of a worker (`answers`). The others are models in a
child process (`models`); `peek` is what the last one tries. `examine` runs them and judges.
"""

from harness.sentinels.examine import Seen, examine_sentinels, judge, made_task, quick_task, run_sentinels

__all__ = ["Seen", "examine_sentinels", "judge", "made_task", "quick_task", "run_sentinels"]
