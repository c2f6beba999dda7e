/* How sure a mean is: harness_leaderboard.bootstrap in the browser, with the same resamples. Axes: M models, T tasks, F units, B resamples. */

/** The dataset families of tasks: {of [T], names [F]}; `kind` is "" where there is one, which says nothing of others. */
function unitsOf(board, tasks) {
  const families = new Map();
  const of = tasks.map((j) => {
    const name = board.tasks[j].family;
    if (!families.has(name)) families.set(name, families.size);
    return families.get(name);
  });
  return { kind: families.size > 1 ? "family" : "", of, names: [...families.keys()] };
}

/** How many families of one size weigh as much as these counts of tasks [F] (Kish): a whole number, 0 without a task. */
function effectiveFamilies(counts) {
  const squares = counts.reduce((sum, n) => sum + n * n, 0);
  return squares ? Math.floor(counts.reduce((sum, n) => sum + n, 0) ** 2 / squares + 1e-9) : 0;
}

/** [mean, its cluster-robust standard error] of sums [F] over counts [F]. */
function robust(sums, counts) {
  let [total, tasks, families] = [0, 0, 0];
  for (let f = 0; f < counts.length; f += 1) {
    total += sums[f];
    tasks += counts[f];
    if (counts[f] > 0) families += 1;
  }
  const mean = total / tasks;
  let spread = 0;
  for (let f = 0; f < counts.length; f += 1) spread += (sums[f] - mean * counts[f]) ** 2;
  return [mean, Math.sqrt((spread * families) / (families - 1)) / tasks];
}

/** [F] arrays [B]: how often each unit is drawn, by mulberry32 (Tommy Ettinger, public domain) addressed by a counter. */
function drawWeights(count, resamples, seed) {
  const drawn = Array.from({ length: count }, () => new Float64Array(resamples));
  let state = seed >>> 0;
  for (let b = 0; b < resamples; b += 1) {
    for (let k = 0; k < count; k += 1) {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      const number = (mixed ^ (mixed >>> 14)) >>> 0;
      drawn[Math.floor((number * count) / 4294967296)][b] += 1;
    }
  }
  return drawn;
}

/** Resampled means of a slice's logs, kept by model and by which tasks count, so that nothing is summed twice. */
class Resampler {
  /** @param {Float64Array} logs [M×R]  @param {number[]} tasks [T]  @param {object} units  @param {object} rules payload.statistics */
  constructor(logs, tasks, m, r, units, rules) {
    Object.assign(this, { logs, tasks, m, r, units, rules });
    this.b = rules.resamples;
    this.drawn = units.kind ? drawWeights(units.names.length, this.b, rules.seed) : [];
    this.patterns = []; // which tasks have a number: {mask [T], full, counts [F], effective, count [B]}
    this.byKey = new Map();
    this.kept = new Map();
    this.patternOf = Array.from({ length: m }, (_, i) =>
      this.pattern(Uint8Array.from(tasks, (j) => (Number.isNaN(logs[i * r + j]) ? 0 : 1))),
    );
    this.exact = this.patterns.length <= rules.patterns; // else pairs with gaps are compared by Student's t
  }

  /** Number of a pattern of tasks, made once. */
  pattern(mask) {
    const key = mask.join("");
    if (this.byKey.has(key)) return this.byKey.get(key);
    const counts = new Float64Array(this.units.names.length);
    mask.forEach((there, k) => {
      counts[this.units.of[k]] += there;
    });
    this.patterns.push({ mask, full: !mask.includes(0), counts, effective: effectiveFamilies(counts), count: this.weighted(counts) });
    this.byKey.set(key, this.patterns.length - 1);
    return this.patterns.length - 1;
  }

  /** Number of the pattern of tasks that both have. */
  shared(p, q) {
    if (p === q || this.patterns[q].full) return p;
    if (this.patterns[p].full) return q;
    const other = this.patterns[q].mask;
    return this.pattern(this.patterns[p].mask.map((there, k) => there & other[k]));
  }

  /** [F] sums per unit -> [B] sums per resample. */
  weighted(sums) {
    const total = new Float64Array(this.b);
    for (let f = 0; f < this.drawn.length; f += 1) {
      const [value, weights] = [sums[f], this.drawn[f]];
      if (value !== 0) for (let b = 0; b < total.length; b += 1) total[b] += value * weights[b];
    }
    return total;
  }

  /** [F] sums of a model's logs over a pattern. */
  sums(i, p) {
    const sums = new Float64Array(this.units.names.length);
    this.tasks.forEach((j, k) => {
      if (this.patterns[p].mask[k]) sums[this.units.of[k]] += this.logs[i * this.r + j];
    });
    return sums;
  }

  /** [B] mean of a model's logs over a pattern in each resample; NaN where it drew no score. */
  means(i, p) {
    const key = i * 100003 + p;
    if (this.kept.has(key)) return this.kept.get(key);
    const total = this.weighted(this.sums(i, p));
    const count = this.patterns[p].count;
    for (let b = 0; b < total.length; b += 1) total[b] = count[b] > 0 ? total[b] / count[b] : NaN;
    if (this.kept.size < 4000) this.kept.set(key, total);
    return total;
  }

  /** [low, high] of a model's geometric mean, NaN where there is none. */
  interval(i) {
    const p = this.patternOf[i];
    const { effective, counts } = this.patterns[p];
    if (effective < this.rules.fewest) return [NaN, NaN];
    if (effective < this.rules.least) {
      const [mean, error] = robust(this.sums(i, p), counts);
      const reach = error * this.rules.critical[effective];
      return [Math.exp(mean - reach), Math.exp(mean + reach)];
    }
    const ordered = this.means(i, p).slice().sort(); // NaN last
    let count = ordered.length;
    while (count && Number.isNaN(ordered[count - 1])) count -= 1;
    const rank = Math.floor(this.rules.tail[effective] * (count + 1));
    return rank >= 1 ? [Math.exp(ordered[rank - 1]), Math.exp(ordered[count - rank])] : [NaN, NaN];
  }

  /** [sums [F] of the gaps of two models' logs, counts [F]] over the tasks that both have. */
  gaps(i, j) {
    const [mine, other] = [this.patterns[this.patternOf[i]].mask, this.patterns[this.patternOf[j]].mask];
    const [sums, counts] = [new Float64Array(this.units.names.length), new Float64Array(this.units.names.length)];
    for (let k = 0; k < mine.length; k += 1) {
      if (!mine[k] || !other[k]) continue;
      sums[this.units.of[k]] += this.logs[i * this.r + this.tasks[k]] - this.logs[j * this.r + this.tasks[k]];
      counts[this.units.of[k]] += 1;
    }
    return [sums, counts];
  }

  /** 1 where model i is better than model j, -1 where it is worse, 0 where they cannot be told apart. */
  sign(i, j) {
    const [p, q] = [this.patternOf[i], this.patternOf[j]];
    if (this.exact || (this.patterns[p].full && this.patterns[q].full)) {
      const both = this.shared(p, q);
      const { effective } = this.patterns[both];
      if (effective >= this.rules.least)
        return signOf(this.means(i, both), this.means(j, both), this.rules.tail[effective], this.rules.same);
    }
    const [sums, counts] = this.gaps(i, j);
    const effective = effectiveFamilies(counts);
    if (effective < this.rules.fewest) return 0;
    const [mean, error] = robust(sums, counts);
    return Math.abs(mean) > Math.max(this.rules.same, error * this.rules.critical[effective]) ? -Math.sign(mean) : 0;
  }
}

/** The sign of paired resampled means [B]: 1 when a is lower, -1 when b is, 0 where more than `tail` of them say otherwise. */
function signOf(a, b, tail, same) {
  const most = (tail + 1e-12) * (a.length + 1) - 1; // resamples on the other side that are still few
  let [below, above, lost] = [0, 0, 0];
  for (let k = 0; k < a.length; k += 1) {
    const gap = a[k] - b[k];
    if (gap <= same) below += 1;
    if (gap >= -same) above += 1;
    if (gap !== gap) lost += 1;
    if (below > most && above > most) return 0;
  }
  if ((1 + Math.min(below, above)) / (a.length - lost + 1) > tail + 1e-12) return 0;
  return below > above ? 1 : -1;
}

/**
 * Intervals and pairs of a slice.
 * @returns {{units, low: Float64Array, high: Float64Array, apart: Int8Array}} [M], [M], [M×M]
 */
function certainty(board, score, tasks) {
  const [m, r] = [board.models.length, board.tasks.length];
  const units = unitsOf(board, tasks);
  const found = { units, low: new Float64Array(m).fill(NaN), high: new Float64Array(m).fill(NaN), apart: new Int8Array(m * m) };
  if (!units.kind) return found;
  const resampler = new Resampler(board.logs[score], tasks, m, r, units, board.statistics);
  for (let i = 0; i < m; i += 1) {
    [found.low[i], found.high[i]] = resampler.interval(i);
    for (let j = 0; j < i; j += 1) {
      const sign = resampler.sign(i, j);
      found.apart[i * m + j] = sign;
      found.apart[j * m + i] = -sign;
    }
  }
  return found;
}

/** Places that a model's comparisons allow among the pool: [best [M], worst [M]], 0 for models outside it. */
function placeRanges(apart, pool) {
  const m = pool.length;
  const [best, worst] = [new Array(m).fill(0), new Array(m).fill(0)];
  const size = pool.reduce((sum, there) => sum + there, 0);
  for (let i = 0; i < m; i += 1) {
    if (!pool[i]) continue;
    let [better, worse] = [0, 0];
    for (let j = 0; j < m; j += 1) {
      if (pool[j] && apart[i * m + j] < 0) better += 1;
      if (pool[j] && apart[i * m + j] > 0) worse += 1;
    }
    best[i] = 1 + better;
    worst[i] = size - worse;
  }
  return [best, worst];
}

/** [M] letters by insert-and-absorb (Piepho 2004) for at most `most` models in `order`: who shares one cannot be told apart. */
function lettersOf(apart, order, m, most) {
  const k = order.length;
  const out = new Array(m).fill("");
  if (!k || k > most) return out;
  let groups = [2 ** k - 1]; // sets of positions, as bits
  for (let i = 0; i < k; i += 1) {
    for (let j = i + 1; j < k; j += 1) {
      if (!apart[order[i] * m + order[j]]) continue;
      const both = (1 << i) | (1 << j);
      const split = groups.filter((group) => (group & both) === both);
      if (!split.length) continue;
      const parts = new Set(split.flatMap((group) => [group & ~(1 << i), group & ~(1 << j)]));
      groups = absorbed(
        groups.filter((group) => (group & both) !== both),
        [...parts].sort((a, b) => a - b),
      );
    }
  }
  const reading = (group) => group.toString(2).padStart(k, "0").split("").reverse().join("");
  groups.sort((a, b) => compareText(reading(b), reading(a)));
  const names = groups.map((_, number) => letterOf(number));
  order.forEach((model, position) => {
    const mine = names.filter((_, g) => (groups[g] >> position) & 1);
    out[model] = mine.join(mine.every((name) => name.length === 1) ? "" : " ");
  });
  return out;
}

/** Groups with the new ones that lie in no other. */
function absorbed(kept, fresh) {
  const groups = kept.slice();
  const inside = (group, others) => others.some((other) => (group & other) === group);
  fresh.forEach((group, i) => {
    if (!inside(group, groups) && !inside(group, fresh.slice(i + 1))) groups.push(group);
  });
  return groups;
}

/** 0 is a, 25 z, 26 aa. */
function letterOf(number) {
  let name = "";
  for (let rest = number + 1; rest; rest = Math.floor((rest - 1) / 26)) name = String.fromCharCode(97 + ((rest - 1) % 26)) + name;
  return name;
}
