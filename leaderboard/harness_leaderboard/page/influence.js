/* What a place hangs on: single families, single tasks, the choice of the mean, what is missing. Axes as in stats.js. */

/**
 * Places of the pool when one family is left out; [M] of {place, best, worst, bestWithout, worstWithout}, place 0 outside the pool.
 * @param {Uint8Array} pool [M] who is ranked
 */
function influenceOf(board, score, tasks, pool) {
  const [m, r] = [board.models.length, board.tasks.length];
  const logs = board.logs[score];
  const families = groupsOf(board, tasks, "family");
  const sums = families.map(({ tasks: members }) => {
    const part = { sum: new Float64Array(m), count: new Float64Array(m) };
    for (let i = 0; i < m; i += 1) {
      for (const j of members) {
        const value = logs[i * r + j];
        if (value === value) {
          part.sum[i] += value;
          part.count[i] += 1;
        }
      }
    }
    return part;
  });
  const placesWithout = (left) => {
    const means = new Float64Array(m).fill(NaN);
    for (let i = 0; i < m; i += 1) {
      let [sum, count] = [0, 0];
      if (pool[i])
        sums.forEach((part, f) => {
          if (f === left) return;
          sum += part.sum[i];
          count += part.count[i];
        });
      means[i] = count ? sum / count : NaN;
    }
    return placesBy(means, pool);
  };
  const found = placesWithout(-1).map((place) => ({ place, best: place, worst: place, bestWithout: "", worstWithout: "" }));
  if (families.length > 1)
    families.forEach(({ name }, f) => {
      placesWithout(f).forEach((place, i) => {
        if (!place) return;
        if (place < found[i].best) Object.assign(found[i], { best: place, bestWithout: name });
        if (place > found[i].worst) Object.assign(found[i], { worst: place, worstWithout: name });
      });
    });
  return found;
}

/** [T] median over the pool of the log ratios of each task; NaN without any. */
function medianLogs(board, score, tasks, pool) {
  const [m, r] = [board.models.length, board.tasks.length];
  return tasks.map((j) => {
    const column = [];
    for (let i = 0; i < m; i += 1) if (pool[i] && !Number.isNaN(board.logs[score][i * r + j])) column.push(board.logs[score][i * r + j]);
    column.sort((a, b) => a - b);
    const half = column.length >> 1;
    if (!column.length) return NaN;
    return column.length % 2 ? column[half] : (column[half - 1] + column[half]) / 2;
  });
}

/**
 * How much each task adds to a model's mean log ratio to a reference [T]; the contributions' sum is that mean.
 * @returns {{task: number, log: number, reference: number, part: number}[]} the strongest for the model first
 */
function driversOf(board, score, i, tasks, reference) {
  const r = board.tasks.length;
  const found = tasks
    .map((j, k) => ({ task: j, log: board.logs[score][i * r + j], reference: reference[k] }))
    .filter(({ log, reference: other }) => !Number.isNaN(log) && !Number.isNaN(other));
  for (const driver of found) driver.part = (driver.log - driver.reference) / found.length;
  return found.sort((a, b) => a.part - b.part);
}

/**
 * [M] whether places by geometric mean and by mean rank are far apart, among the pool: {byMean, byRank, flagged} each [M].
 * @param {object} rules payload.statistics: a gap of `least_gap` places, or of a share `share_gap` of the models, is none
 */
function disagreementOf(values, rank, full, rules) {
  const both = Array.from(values, (value, i) => full[i] && !Number.isNaN(value) && !Number.isNaN(rank[i]));
  const only = (numbers) => Float64Array.from(numbers, (value, i) => (both[i] ? value : NaN));
  const everyone = new Uint8Array(both.length).fill(1);
  const byMean = placesBy(only(values), everyone);
  const byRank = placesBy(only(rank), everyone);
  const allowed = Math.max(rules.least_gap, rules.share_gap * both.filter(Boolean).length);
  return { byMean, byRank, flagged: both.map((there, i) => there && Math.abs(byMean[i] - byRank[i]) > allowed) };
}

/**
 * A model's geometric mean when what is lacking (a score that is missing or infinite, where the baseline has one) is left out, counted as
 * the baseline (ratio 1), or as the highest ratio that any model has on that task.
 * @returns {{drop: number, baseline: number, worst: number, covered: number}} covered is the share of tasks with a ratio
 */
function policiesOf(board, score, i, tasks) {
  const [m, r] = [board.models.length, board.tasks.length];
  const logs = board.logs[score];
  const { values, baseline } = board.scores[score];
  const total = { drop: 0, baseline: 0, worst: 0 };
  const count = { drop: 0, baseline: 0, worst: 0 };
  const add = (policy, log) => {
    if (Number.isNaN(log)) return;
    total[policy] += log;
    count[policy] += 1;
  };
  for (const j of tasks) {
    const log = logs[i * r + j];
    add("drop", log);
    const lacking = Number.isNaN(log) && !(values[i * r + j] <= 0) && baseline[j] > 0 && baseline[j] < Infinity;
    add("baseline", lacking ? 0 : log);
    let worst = NaN;
    for (let k = 0; lacking && k < m; k += 1) if (!(logs[k * r + j] <= worst) && !Number.isNaN(logs[k * r + j])) worst = logs[k * r + j];
    add("worst", lacking ? worst : log);
  }
  const mean = (policy) => (count[policy] ? Math.exp(total[policy] / count[policy]) : NaN);
  return { drop: mean("drop"), baseline: mean("baseline"), worst: mean("worst"), covered: tasks.length ? count.drop / tasks.length : NaN };
}
