"""Synthetic series to pre-train on, and held-out kinds to watch the training with. Needs numpy and scipy only.

Notable choices
- Families, not one grand model: an equal-minded mixture of generators is as good as the best single one, and each is readable.
- Every series carries its true season lengths, for models that are told the period.
- Real hourly data are mostly season: strong seasons are common, and a long one (weekdays and weekends) often matters as much
  as the short one.
- Time scales are log-uniform, so that a crop of 30 points and one of 2,000 both see trends, bends and memory.
- All series of a call are made side by side; recursions loop over time, never over series. Gaussian processes are drawn by FFT.
- `nonlinear` and `held_profiles` are held out: never in the mixture unless asked for, so that a validation loss on them shows
  whether training carries over to what the other families do not contain.

Sources of ideas (no code of theirs is here): KernelSynth and TSMixup (Ansari et al. 2024, Chronos), ForecastPFN (Dooley et al.
2023), Croston 1972, Bollerslev 1986, Hyndman et al. 2008; the modules name what they use.

>>> pool = mixture(seed=0, chunk=0, n=8, length=256)
>>> pool.values.shape, pool.periods.shape, pool.family.dtype.name
((8, 256), (8, 2), 'int8')
"""

from ._parts import Family
from .pool import FAMILIES, WEIGHTS, Pool, mixture

# Changes whenever any generated number does; the tests hold the numbers of each version.
VERSION = "1"

__all__ = ["FAMILIES", "VERSION", "WEIGHTS", "Family", "Pool", "mixture"]
