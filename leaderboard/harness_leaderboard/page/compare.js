/* Models against each other: wins and losses, mean ranks with their critical difference, Wilcoxon's tests. */

/** Whether two scores are the same, or nearly: logs within `gap`, as where models are told apart. */
const equalScores = (x, y, gap) => x === y || (x > 0 && y > 0 && Math.abs(Math.log(x) - Math.log(y)) <= gap);

/** Wins, ties and losses of model a against b over the slice, by the chosen score. */
function duel(view, a, b) {
  const r = view.board.tasks.length;
  const values = view.board.scores[view.state.score].values;
  const count = { wins: 0, ties: 0, losses: 0 };
  for (const j of view.tasks) {
    const [x, y] = [values[a * r + j], values[b * r + j]];
    if (Number.isNaN(x) || Number.isNaN(y)) continue;
    if (equalScores(x, y, view.board.statistics.same)) count.ties += 1;
    else if (x < y) count.wins += 1;
    else count.losses += 1;
  }
  count.games = count.wins + count.ties + count.losses;
  count.share = count.games ? (count.wins + count.ties / 2) / count.games : NaN;
  return count;
}

/** The shade of a share from 0 to 1, or of a power of two: class names h-4 (blue, better) to h4 (orange, worse). */
const shade = (value) => `h${Math.max(-4, Math.min(4, Math.round(value)))}`;

/** Matrix of wins: row against column, in per cent of the tasks that both have. */
function drawWins(view, body) {
  const chosen = drawnModels(view);
  if (chosen.length < 2) return fill(body, EMPTY("Two models with scores are needed."));
  const columns = [
    { head: "Row against column", cell: (row) => modelLink(view, row.i) },
    ...chosen.map((other) => ({
      head: h("span", { class: "upright", title: other.name }, nameOf(other.name)),
      number: true,
      cell: (row) => winCell(row, other, row.i === other.i ? null : duel(view, row.i, other.i), certainWords(view, row.i, other.i)),
    })),
  ];
  const table = tableOf("Share of tasks on which the model of the row beats that of the column", columns, chosen, { class: "matrix" });
  return fill(
    body,
    table,
    h(
      "div",
      { class: "tools" },
      copyButtons(() => tableTexts(table)),
    ),
  );
}

/** Whether two models are told apart: "told apart", "cannot be told apart", or why nothing can be told. */
function certainWords(view, a, b) {
  if (view.apart[a * view.board.models.length + b]) return APART;
  const sure = !Number.isNaN(view.low[a]) && !Number.isNaN(view.low[b]);
  return sure ? "cannot be told apart" : `${TOO_FEW}: cannot be told`;
}

const APART = "told apart";

/** One cell of the matrix. */
function winCell(row, other, count, certain) {
  if (!count) return h("span", { class: "shade self" }, "");
  if (!count.games) return h("span", { class: "shade none" }, NONE);
  const words = `${row.name} against ${other.name}: better on ${count.wins}, equal on ${count.ties}, worse on ${count.losses} tasks; ${certain}`;
  return h(
    "span",
    { class: `shade ${shade((0.5 - count.share) * 8)}`, title: words },
    `${Math.round(100 * count.share)}${certain === APART ? "*" : ""}`,
  );
}

/** Groups of neighbours on the axis of mean ranks that lie within the critical difference: [from, to, line]. */
function rankLines(ranks, distance) {
  const sorted = ranks.slice().sort((a, b) => a - b);
  const groups = [];
  let reached = -1;
  sorted.forEach((rank, i) => {
    let last = i;
    while (last + 1 < sorted.length && sorted[last + 1] - rank <= distance) last += 1;
    if (last > i && last > reached) groups.push([rank, sorted[last]]);
    reached = Math.max(reached, last);
  });
  const ends = []; // where each line of bars is taken up to
  return groups.map(([from, to]) => {
    let line = ends.findIndex((end) => end < from);
    if (line < 0) line = ends.length;
    ends[line] = to;
    return [from, to, line + 1];
  });
}

/** Rows of the critical-difference picture, laid out as harness_leaderboard.charts.critical says. */
function criticalRows(names, ranks, distance, lines) {
  const order = names.map((name, i) => [ranks[i], name]).sort((a, b) => a[0] - b[0] || compareText(a[1], b[1]));
  const low = Math.floor(order[0][0]);
  const high = Math.max(low + 1, Math.ceil(order[order.length - 1][0]));
  const [left, right] = [low - 0.5 * (high - low), high + 0.5 * (high - low)];
  const rows = [{ part: "axis", start: low, end: high, row: 0 }];
  const every = Math.max(1, Math.ceil((high - low) / 10));
  for (let rank = low; rank <= high; rank += every) rows.push({ part: "tick", rank, row: 0, above: -1, text: String(rank) });
  if (Number.isFinite(distance))
    rows.push({
      part: "cd",
      start: low,
      end: Math.min(low + distance, right),
      row: -3,
      above: -2,
      text: `critical difference ${distance.toFixed(2)}`,
    });
  for (const [start, end, row] of lines) rows.push({ part: "line", start, end, row });
  const first = 1 + Math.max(0, ...lines.map((line) => line[2]));
  const half = Math.floor((order.length + 1) / 2);
  order.forEach(([rank, name], i) => {
    const best = i < half;
    rows.push({
      part: "model",
      model: name,
      rank,
      side: best ? "left" : "right",
      edge: best ? left : right,
      row: first + (best ? i : order.length - 1 - i),
      base: 0,
    });
  });
  return rows;
}

/** Friedman, Nemenyi and Wilcoxon among the shown models that have all tasks. */
function drawCritical(view, body) {
  const chosen = drawnModels(view, view.focus.filter((i) => view.numbers.pool[i]).slice(0, view.board.statistics.most.ranked));
  const scores = blockMeans(
    view.board,
    view.state.score,
    chosen.map(({ i }) => i),
    view.tasks,
    view.units,
  );
  const blocks = chosen.length ? scores[0].length : 0;
  if (chosen.length < 3) return fill(body, EMPTY("Three models with all tasks of the slice are needed."));
  if (blocks < 2) return fill(body, EMPTY("Too few blocks: the tests need two dataset families."));
  const test = friedman(levelsOf(scores, view.board.statistics.same));
  const distance = nemenyiDistance(chosen.length, blocks, view.board.statistics.nemenyi);
  const lines = Number.isFinite(distance) ? rankLines(test.ranks, distance) : [];
  const names = chosen.map(({ name }) => name);
  const kind = plural(blocks, "dataset family", "dataset families");
  const differs = test.p < 0.05 ? "At least one of these models differs from the others" : "These models cannot be told apart as a whole";
  const found = Number.isNaN(test.p) ? "finds all of them equal" : `gives p ${test.p < 0.001 ? "< 0.001" : `= ${pValue(test.p)}`}`;
  const sentence = `${differs}: Friedman's test over ${kind} ${found}.`;
  const rows = names.map((model, k) => ({ model, rank: test.ranks[k] })).sort((a, b) => a.rank - b.rank);
  const columns = [textColumn("Model", "model"), numberColumn("Mean rank", "rank", (x) => fixed(x, 2))];
  return fill(
    body,
    h("p", { class: "finding" }, sentence),
    pictureWithNumbers(
      view,
      "critical",
      `Mean ranks of ${chosen.length} models; bars join those that differ by less than ${fixed(distance, 2)}`,
      criticalRows(names, test.ranks, distance, lines),
      columns,
      { tableRows: rows },
    ),
    wilcoxonTable(view, chosen, scores, kind),
  );
}

/** p of Wilcoxon's signed-rank test of each pair over blocks, corrected by Holm. */
function wilcoxonTable(view, chosen, scores, kind) {
  const pairs = chosen.flatMap((_, a) => chosen.slice(a + 1).map((__, k) => [a, a + 1 + k]));
  const corrected = holm(pairs.map(([a, b]) => wilcoxon(scores[a], scores[b], view.board.statistics.same).p));
  const p = new Map(pairs.map(([a, b], k) => [`${a},${b}`, corrected[k]]));
  const columns = [
    { head: "p after Holm", cell: (row) => modelLink(view, row.i) },
    ...chosen.map((other) => ({
      head: h("span", { class: "upright", title: other.name }, nameOf(other.name)),
      number: true,
      cell: (row) => {
        if (row.i === other.i) return h("span", { class: "shade self" }, "");
        const value = p.get([Math.min(row.order, other.order), Math.max(row.order, other.order)].join(","));
        return h(
          "span",
          { class: value < 0.05 ? "shade sure" : "shade" },
          `${pValue(value).replace("< 0.001", "<.001").replace(/^0/, "")}${value < 0.05 ? "*" : ""}`,
        );
      },
    })),
  ];
  const details = h(
    "details",
    { class: "numbers" },
    h("summary", {}, "Wilcoxon’s test of each pair"),
    h("p", {}, `Two-sided p over ${kind}, corrected for ${pairs.length} pairs by Holm’s rule; * below 0.05.`),
    tableOf("p of Wilcoxon’s test of each pair, corrected by Holm", columns, chosen, { class: "matrix" }),
  );
  return details;
}
