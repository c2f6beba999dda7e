/* The numbers of a slice, by the rules of harness_leaderboard.aggregate. Axes: M models, R tasks of the suite, T tasks of the slice. */

const OK = 1;
const FAILED = 2;
const SKIPPED = 3;

/** [M] 1 for models that have every task of the slice, done and with both main scores; all models when none has. */
function poolOf(board, tasks) {
  const r = board.tasks.length;
  const pool = new Uint8Array(board.models.length);
  const [mase, crps] = [board.scores[0].values, board.scores[1].values];
  for (let i = 0; i < pool.length; i += 1) {
    pool[i] = 1;
    for (const j of tasks) {
      const at = i * r + j;
      if (board.status[at] !== OK || Number.isNaN(mase[at]) || Number.isNaN(crps[at])) {
        pool[i] = 0;
        break;
      }
    }
  }
  const full = pool.slice();
  if (!pool.includes(1)) pool.fill(1);
  return { pool, full };
}

/** [M] geometric mean of the ratios whose logs are given ([M×R]), over the slice; NaN without any. */
function geometricMeans(logs, tasks, m, r) {
  const means = new Float64Array(m);
  for (let i = 0; i < m; i += 1) {
    let [sum, count] = [0, 0];
    for (const j of tasks) {
      const value = logs[i * r + j];
      if (value === value) {
        sum += value;
        count += 1;
      }
    }
    means[i] = count ? Math.exp(sum / count) : NaN;
  }
  return means;
}

/** How many of the sorted numbers are below `value` (or not above it, with `orEqual`). */
function countBelow(sorted, value, orEqual) {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value || (orEqual && sorted[middle] === value)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Mean rank and win rate of each model, against the pool.
 * @returns {{rank: Float64Array, win: Float64Array}} [M] each; NaN where there is nothing to compare
 */
function ranksAndWins(values, tasks, pool, r) {
  const m = pool.length;
  const sums = { rank: new Float64Array(m), tasks: new Float64Array(m), wins: new Float64Array(m), games: new Float64Array(m) };
  for (const j of tasks) {
    const column = [];
    for (let i = 0; i < m; i += 1) if (pool[i] && !Number.isNaN(values[i * r + j])) column.push(values[i * r + j]);
    const sorted = Float64Array.from(column).sort();
    for (let i = 0; i < m; i += 1) {
      const value = values[i * r + j];
      if (Number.isNaN(value)) continue;
      const lower = countBelow(sorted, value, false);
      const tied = countBelow(sorted, value, true) - lower - pool[i]; // itself is no opponent
      const opponents = sorted.length - pool[i];
      sums.rank[i] += 1 + lower;
      sums.tasks[i] += 1;
      sums.wins[i] += opponents - lower - tied / 2;
      sums.games[i] += opponents;
    }
  }
  return {
    rank: sums.rank.map((sum, i) => (sums.tasks[i] ? sum / sums.tasks[i] : NaN)),
    win: sums.wins.map((sum, i) => (sums.games[i] ? sum / sums.games[i] : NaN)),
  };
}

/** Cells of one model by state, over the slice. */
function countCells(board, i, tasks) {
  const r = board.tasks.length;
  const count = { done: 0, failed: 0, skipped: 0, missing: 0, stale: 0, undefined: 0, baselineStale: 0, total: tasks.length };
  for (const j of tasks) {
    const at = i * r + j;
    const status = board.status[at];
    if (status === OK) count.done += 1;
    else if (status === FAILED) count.failed += 1;
    else if (status === SKIPPED) count.skipped += 1;
    else count.missing += 1;
    if (board.stale[at]) count.stale += 1;
    if (status === OK && (Number.isNaN(board.logs[0][at]) || Number.isNaN(board.logs[1][at]))) count.undefined += 1;
    if (status === OK && board.baselineStale[j]) count.baselineStale += 1;
  }
  return count;
}

/**
 * What one model cost over the slice; NaN where unknown.
 * @returns {{seconds, whole, fit, peak}} seconds to predict 1,000 forecasts, the same with fitting, all seconds of fitting, peak memory (MB)
 */
function costOf(board, i, tasks) {
  const r = board.tasks.length;
  let [predict, windows, before, fit, fitted, peak] = [0, 0, 0, 0, false, NaN];
  for (const j of tasks) {
    const at = i * r + j;
    const { fit_s: fits, predict_s: predicts, windows: counts, peak_mb: peaks } = board.cost;
    if (predicts[at] >= 0 && counts[at] > 0) {
      predict += predicts[at];
      windows += counts[at];
      before += fits[at] >= 0 ? fits[at] : 0;
    }
    if (fits[at] >= 0) {
      fit += fits[at];
      fitted = true;
    }
    if (peaks[at] > 0 && !(peaks[at] <= peak)) peak = peaks[at];
  }
  const each = (sum) => (windows ? (1000 * sum) / windows : NaN);
  return { seconds: each(predict), whole: each(predict + before), fit: fitted ? fit : NaN, peak };
}

/** [M] share of the slice's forecasts that is not the model's own; NaN where that is not known, or all are their models' own. */
function fallbackShares(board, tasks) {
  const r = board.tasks.length;
  return Float64Array.from(board.models, (_, i) => {
    let [fallen, answered] = [0, 0];
    for (const j of board.fallback ? tasks : []) {
      if (!(board.fallback.answered[i * r + j] > 0)) continue;
      fallen += board.fallback.fallen[i * r + j];
      answered += board.fallback.answered[i * r + j];
    }
    return answered ? fallen / answered : NaN;
  });
}

/** [M] mean of a score over the tasks of the slice that have a number; NaN without any. */
function plainMeans(values, tasks, m, r) {
  const means = new Float64Array(m);
  for (let i = 0; i < m; i += 1) {
    let [sum, count] = [0, 0];
    for (const j of tasks) {
      const value = values[i * r + j];
      if (Number.isFinite(value)) {
        sum += value;
        count += 1;
      }
    }
    means[i] = count ? sum / count : NaN;
  }
  return means;
}

/**
 * Everything about a slice that needs no resampling.
 * @param {number[]} tasks  indices of the slice's tasks [T]
 * @returns {object} pool, full [M]; n, rank: [score][M]; own: [own column][M]; win, fallback [M]; counts, cost [M] of records
 */
function sliceNumbers(board, tasks) {
  const [m, r] = [board.models.length, board.tasks.length];
  const { pool, full } = poolOf(board, tasks);
  const games = [0, 1].map((s) => ranksAndWins(board.scores[s].values, tasks, pool, r));
  return {
    tasks,
    pool,
    full,
    n: [0, 1].map((s) => geometricMeans(board.logs[s], tasks, m, r)),
    own: board.own.map((s) => plainMeans(board.scores[s].values, tasks, m, r)),
    rank: games.map((game) => game.rank),
    win: games[0].win,
    fallback: fallbackShares(board, tasks),
    counts: board.models.map((_, i) => countCells(board, i, tasks)),
    cost: board.models.map((_, i) => costOf(board, i, tasks)),
  };
}

/** Order of models, the best first: by value, none last, then by label and source. */
function orderBy(board, values) {
  return board.models
    .map((model) => model.index)
    .sort((a, b) => {
      const [x, y] = [values[a], values[b]];
      if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
      if (x !== y && !Number.isNaN(x)) return x - y;
      return compareText(board.models[a].label, board.models[b].label) || compareText(board.models[a].source, board.models[b].source);
    });
}

const compareText = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

/** [M] place among the pool: 1 + how many of its models have a strictly lower value; 0 without a value. */
function placesBy(values, pool) {
  const sorted = Float64Array.from(values.filter((value, i) => pool[i] && !Number.isNaN(value))).sort();
  return Array.from(values, (value) => (Number.isNaN(value) ? 0 : 1 + countBelow(sorted, value, false)));
}

/** Groups of the slice's tasks by a column: [{name, tasks}] in the suite's order, numbers in theirs. */
function groupsOf(board, tasks, column) {
  const groups = new Map();
  for (const j of tasks) {
    const name = groupName(board.tasks[j], column);
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(j);
  }
  const found = [...groups].map(([name, members]) => ({ name, tasks: members }));
  if (column === "horizon" || column === "variates") found.sort((a, b) => parseFloat(a.name) - parseFloat(b.name));
  return found;
}

/** The value of a task's column as text. */
function groupName(task, column) {
  if (column === "horizon" && task.range) return task.range;
  const value = task[column];
  return value === "" || Number.isNaN(value) ? "–" : String(value);
}
