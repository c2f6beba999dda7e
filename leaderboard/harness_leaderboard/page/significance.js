/* Tests over blocks: harness_leaderboard.significance in the browser. Axes: k models, N blocks. A test without an answer gives NaN. */

/** [k][N] mean log ratios by block, over the tasks that all chosen models have. */
function blockMeans(board, score, chosen, tasks, units) {
  const r = board.tasks.length;
  const logs = board.logs[score];
  const shared = tasks.map((j) => chosen.every((i) => !Number.isNaN(logs[i * r + j])));
  const counts = new Float64Array(units.names.length);
  shared.forEach((there, k) => {
    if (there) counts[units.of[k]] += 1;
  });
  return chosen.map((i) => {
    const sums = new Float64Array(units.names.length);
    tasks.forEach((j, k) => {
      if (shared[k]) sums[units.of[k]] += logs[i * r + j];
    });
    return [...sums].map((sum, f) => sum / counts[f]).filter((_, f) => counts[f] > 0);
  });
}

/**
 * [k][N] logs -> [k][N] whole numbers in their order, the same for scores that are equal, or nearly: in each block a score within `same` of
 * the next lower one is equal to it, as it is when models are told apart.
 */
function levelsOf(scores, same) {
  const found = scores.map((row) => new Array(row.length).fill(0));
  for (let b = 0; scores.length && b < scores[0].length; b += 1) {
    const order = scores.map((_, i) => i).sort((i, j) => scores[i][b] - scores[j][b]);
    for (let k = 1; k < order.length; k += 1) {
      const [low, high] = [order[k - 1], order[k]];
      found[high][b] = found[low][b] + (scores[high][b] - scores[low][b] > same ? 1 : 0);
    }
  }
  return found;
}

/** Ranks from 1 of a list, equal values sharing their mean; also the sizes of the groups of equal ones. */
function rankData(values) {
  const order = values.map((_, i) => i).sort((a, b) => values[a] - values[b]);
  const ranks = new Array(values.length);
  const ties = [];
  for (let i = 0; i < order.length;) {
    let j = i;
    while (j < order.length && values[order[j]] === values[order[i]]) j += 1;
    for (let k = i; k < j; k += 1) ranks[order[k]] = (i + j + 1) / 2;
    ties.push(j - i);
    i = j;
  }
  return { ranks, ties };
}

/** Friedman's test with correction for ties: {statistic, p, ranks [k] mean ranks, blocks N}. */
function friedman(scores) {
  const k = scores.length;
  const n = k ? scores[0].length : 0;
  const mean = new Array(k).fill(0);
  let tied = 0;
  for (let b = 0; b < n; b += 1) {
    const { ranks, ties } = rankData(scores.map((row) => row[b]));
    ranks.forEach((rank, i) => {
      mean[i] += rank / n;
    });
    tied += ties.reduce((sum, t) => sum + t * (t * t - 1), 0);
  }
  const correction = 1 - tied / (k * (k * k - 1) * n);
  if (k < 3 || n < 2 || !(correction > 0)) return { statistic: NaN, p: NaN, ranks: mean, blocks: n };
  const squares = mean.reduce((sum, rank) => sum + (rank * n) ** 2, 0);
  const statistic = ((12 / (n * k * (k + 1))) * squares - 3 * n * (k + 1)) / correction;
  return { statistic, p: upperGamma((k - 1) / 2, statistic / 2), ranks: mean, blocks: n };
}

/** Log of the gamma function by Lanczos' series (g = 7, nine terms). */
function logGamma(x) {
  const c = [
    0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905,
    -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
  ];
  let sum = c[0];
  for (let i = 1; i < 9; i += 1) sum += c[i] / (x - 1 + i);
  const t = x + 6.5;
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}

/** Regularised upper incomplete gamma function Q(a, x): the tail of chi-square is Q(df/2, x/2). By series below a + 1, else Lentz' fraction. */
function upperGamma(a, x) {
  if (!(x > 0)) return x === 0 ? 1 : NaN;
  const front = Math.exp(a * Math.log(x) - x - logGamma(a));
  if (x < a + 1) {
    let [term, sum] = [1 / a, 1 / a];
    for (let n = 1; n < 2000 && term > sum * 1e-17; n += 1) {
      term *= x / (a + n);
      sum += term;
    }
    return 1 - front * sum;
  }
  let [b, c, d] = [x + 1 - a, 1e300, 1 / (x + 1 - a)];
  let h = d;
  for (let n = 1; n < 2000; n += 1) {
    const an = -n * (n - a);
    b += 2;
    d = 1 / (an * d + b);
    c = b + an / c;
    h *= d * c;
    if (Math.abs(d * c - 1) < 1e-16) break;
  }
  return front * h;
}

/** The least difference of mean ranks that tells k models apart over n blocks (Nemenyi); `table` holds q for k = 2, 3, … */
function nemenyiDistance(k, n, table) {
  const q = table[k - 2];
  return Number.isFinite(q) && n >= 1 ? q * Math.sqrt((k * (k + 1)) / (6 * n)) : NaN;
}

/** Wilcoxon's signed-rank test of paired a and b [N], two-sided, as significance.py does; gaps up to `same` are none: {statistic, p}. */
function wilcoxon(a, b, same) {
  const gaps = a.map((value, i) => value - b[i]).filter((gap) => !Number.isNaN(gap));
  if (!gaps.length) return { statistic: NaN, p: NaN };
  const real = gaps.filter((gap) => Math.abs(gap) > same);
  const n = real.length;
  if (!n) return { statistic: 0, p: 1 };
  const { ranks, ties } = rankData(real.map(Math.abs));
  const plus = ranks.reduce((sum, rank, i) => sum + (real[i] > 0 ? rank : 0), 0);
  const statistic = Math.min(plus, (n * (n + 1)) / 2 - plus);
  const tied = ties.some((t) => t > 1);
  if (n <= 50 && !tied) return { statistic, p: Math.min(1, 2 * signedRankTail(n, statistic)) };
  if (n <= 13) return { statistic, p: Math.min(1, 2 * signFlips(ranks, statistic)) };
  const correction = ties.reduce((sum, t) => sum + t * (t * t - 1), 0);
  const spread = Math.sqrt((n * (n + 1) * (2 * n + 1) - correction / 2) / 24);
  return { statistic, p: Math.min(1, 2 * normalTail(Math.abs(plus - (n * (n + 1)) / 4) / spread)) };
}

/** P(W <= w) of the sum of positive ranks of n untied differences. */
function signedRankTail(n, w) {
  let counts = new Float64Array((n * (n + 1)) / 2 + 1);
  counts[0] = 1;
  for (let rank = 1; rank <= n; rank += 1) {
    for (let sum = counts.length - 1; sum >= rank; sum -= 1) counts[sum] += counts[sum - rank];
  }
  let below = 0;
  for (let sum = 0; sum <= Math.floor(w); sum += 1) below += counts[sum];
  return below / 2 ** n;
}

/** Share of the 2^n choices of signs whose sum of positive ranks is at most `statistic`. */
function signFlips(ranks, statistic) {
  let below = 0;
  for (let signs = 0; signs < 2 ** ranks.length; signs += 1) {
    let sum = 0;
    for (let i = 0; i < ranks.length; i += 1) if ((signs >> i) & 1) sum += ranks[i];
    if (sum <= statistic + 1e-9) below += 1;
  }
  return below / 2 ** ranks.length;
}

/** P(Z > z) of the standard normal for z >= 0, as a tail of chi-square with one degree of freedom. */
function normalTail(z) {
  return upperGamma(0.5, (z * z) / 2) / 2;
}

/** Holm's step-down correction of a list of p values; NaN stays and is not counted. */
function holm(p) {
  const order = p
    .map((_, i) => i)
    .filter((i) => !Number.isNaN(p[i]))
    .sort((a, b) => p[a] - p[b]);
  const out = p.slice();
  let least = 0;
  order.forEach((i, step) => {
    least = Math.max(least, Math.min(1, p[i] * (order.length - step)));
    out[i] = least;
  });
  return out;
}
