/* The panel of a task, and where each own number comes from: runs, versions, commands that repeat it. */

/** Everything about one task: all models on it, own receipts, steps, forecasts. */
function drawTaskPanel(view, task) {
  const { board } = view;
  const j = task.index;
  fill(byId("panel-title"), nameOf(task.name, { class: "whole" }));
  const about = facts([
    ["Dataset", shown(task.dataset)], ["Family", shown(task.family)], ["Domain", shown(task.domain)], ["Frequency", shown(task.freq)], ["Term", shown(task.term)],
    ["Horizon", digits(task.horizon, 4)], ["Season", digits(task.season_length, 4)], ["Variates", digits(task.variates, 4)],
    ...board.scores.slice(0, 2).map((score) => [`${score.label} of the baseline`, digits(score.baseline[j])]),
  ]);
  const steps = h("div", {});
  const windows = h("div", {});
  fill(byId("panel-body"), about, h("p", { class: "finding" }, ...taskSentence(view, j)),
    block("All models on this task", taskTable(view, j)),
    block("Error along the horizon", steps), block("Forecasts", windows), block("Receipts", ownReceipts(view, j)));
  drawTaskSteps(view, j, steps);
  drawExplorer(view, windows, j);
}

/** The best model of a task, in words. */
function taskSentence(view, j) {
  const score = view.board.scores[view.state.score];
  const r = view.board.tasks.length;
  const rows = view.board.models.map(({ index }) => index).filter((i) => !Number.isNaN(score.values[i * r + j])).sort((a, b) => score.values[a * r + j] - score.values[b * r + j]);
  if (!rows.length) return ["No model has a score on this task."];
  return [modelLink(view, rows[0]), ` has the lowest ${view.label} of ${plural(rows.length, "model")}: `, h("strong", {}, digits(score.values[rows[0] * r + j])), "."];
}

/** All scores of the payload on one task. */
function taskTable(view, j) {
  const { board, state } = view;
  const r = board.tasks.length;
  const main = board.scores[state.score].values;
  const rows = board.models.map(({ index }) => index).filter((i) => board.status[i * r + j] !== 0);
  const rank = (i) => (Number.isNaN(main[i * r + j]) ? Infinity : main[i * r + j]);
  rows.sort((a, b) => (rank(a) === rank(b) ? a - b : rank(a) - rank(b)));
  const ratio = (i) => Math.exp(board.logs[state.score][i * r + j]);
  const columns = [
    { head: "Model", cell: (i) => h("span", { class: "who" }, modelLink(view, i), badgeOf(board.models[i]), board.stale[i * r + j] ? h("abbr", { class: "mark", title: "the result no longer holds" }, "⚠ stale") : null) },
    { head: "/ baseline", number: true, title: `${view.label} / ${view.label} of the baseline`, text: (i) => digits(ratio(i)) },
    ...board.scores.map((score) => ({ head: nameOf(score.label), title: shown(score.name), number: true, text: (i) => digits(score.values[i * r + j]) })),
    { head: "State", cell: (i) => h("span", {}, STATES[board.status[i * r + j]] || "?", whyOf(board, i, j) ? nameOf(` (${whyOf(board, i, j)})`) : null) },
  ];
  const own = (i) => (board.models[i].own ? "own" : null);
  const few = rows.filter((i, k) => k < FIRST_ROWS || board.models[i].own);
  const place = h("div", {});
  const draw = (list) => fill(place, tableOf("All models on this task", columns, list, { rowClass: own, class: "tall" }));
  draw(few);
  const more = rows.length > few.length ? h("button", { type: "button", on: { click: (event) => { draw(rows); event.target.remove(); } } }, `Show all ${rows.length}`) : null;
  const lacking = board.models.length - rows.length;
  return h("div", {}, place, h("div", { class: "tools" }, more, copyButtons(() => tableTexts(place))), lacking ? EMPTY(`${plural(lacking, "model")} ${lacking === 1 ? "has" : "have"} no result here.`) : null);
}

/** Error by step of one task. */
function drawTaskSteps(view, j, place) {
  const { steps } = view.board;
  const models = steps ? storedModels(view, steps.models) : [];
  const rows = models.flatMap(({ o, name, order }) => Array.from({ length: steps.points[j] }, (_, k) => ({
    model: name, order, position: steps.step[steps.offset[j] + k], value: steps.mase[o * steps.width + steps.offset[j] + k],
  }))).filter((row) => Number.isFinite(row.value));
  if (!rows.length) return fill(place, EMPTY("Only models that were run with this harness have errors by step."));
  const columns = [textColumn("Model", "model"), numberColumn("Step", "position"), numberColumn("MASE", "value")];
  return fill(place, pictureWithNumbers(view, "steps", "MASE by step of the horizon", rows, columns));
}

/** A command as text to copy. */
const command = (words) => h("div", { class: "command" }, h("code", { tabindex: "0" }, shown(words)), copyButton("Copy", () => words));

/** Facts of one receipt; the ids are long, so each is on a line of its own. */
function receiptFacts(board, cell) {
  const run = board.runs[cell.run];
  const skip = new Set(["run", "command", "replay", "failure", "reason"]);
  const named = { id: "Cell", at: "Made", data: "Data", weights: "Weights", source: "Code" };
  const pairs = Object.entries(cell).filter(([name]) => !skip.has(name)).map(([name, value]) => [named[name] || shown(name), plainText(value)]);
  if (run) pairs.push(["Run", plainText(run.id ?? run.run_id ?? "")]);
  return h("dl", { class: "facts mono" }, pairs.filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, nameOf(value)))));
}

/** Any value of a receipt as text. */
function plainText(value) {
  if (value === null || value === undefined) return "";
  return shown(typeof value === "object" ? JSON.stringify(value) : value);
}

/** Receipts of the own models on one task, each with the command that repeats it. */
function ownReceipts(view, j) {
  const { board } = view;
  const own = view.order.filter((i) => board.cells.has(`${i},${j}`));
  if (!own.length) return EMPTY("No own result on this task; published ones come without receipts.");
  return h("div", {}, own.map((i) => {
    const cell = board.cells.get(`${i},${j}`) || {};
    const stale = board.stale[i * board.tasks.length + j];
    return h("details", { class: "receipt" }, h("summary", {}, nameOf(board.models[i].label), h("span", { class: "soft" }, ` ${STATES[board.status[i * board.tasks.length + j]] || ""}${stale ? ", stale" : ""}`)),
      whyOf(board, i, j) ? h("p", {}, shown(whyOf(board, i, j))) : null, receiptFacts(board, cell),
      cell.command ? [h("p", { class: "how" }, "Make it again:"), command(String(cell.command))] : null,
      cell.replay ? [h("p", { class: "how" }, "Run it again and compare:"), command(String(cell.replay))] : null);
  }));
}

/** The receipts of one model: a row a task. */
function receiptTable(view, i) {
  const { board } = view;
  const rows = view.tasks.filter((j) => board.cells.has(`${i},${j}`));
  if (!rows.length) return EMPTY("No receipt in this page.");
  const cell = (j) => board.cells.get(`${i},${j}`) || {};
  const columns = [
    { head: "Task", cell: (j) => linkButton(nameOf(board.tasks[j].name), () => openPanel("task", taskKey(board.tasks[j]))) },
    { head: "Made", text: (j) => day(shown(cell(j).at)) || NONE },
    { head: "State", text: (j) => `${STATES[board.status[i * board.tasks.length + j]] || "?"}${board.stale[i * board.tasks.length + j] ? ", stale" : ""}` },
    { head: "Cell", cell: (j) => h("code", {}, nameOf(cell(j).id || NONE)) },
  ];
  const first = cell(rows[0]).command;
  return h("div", {}, tableOf("Receipts by task", columns, rows, { class: "tall" }), first ? [h("p", { class: "how" }, "The first of them again:"), command(String(first))] : null);
}

/** Runs of the database, and which results no longer hold. */
function drawReceipts(view, body) {
  const { board } = view;
  if (!board.runs.length && !board.cells.size) return fill(body, EMPTY("All results are published ones, which come without receipts. Results of “harness run” have one each."));
  const keys = [...new Set(board.runs.flatMap((run) => Object.keys(run || {})))].slice(0, 14);
  const runs = board.runs.slice(0, 60);
  const table = keys.length ? tableOf("Runs", keys.map((key) => ({ head: nameOf(key.replaceAll("_", " ")), cell: (run) => nameOf(plainText(run[key]) || NONE) })), runs, { class: "tall" }) : null;
  const r = board.tasks.length;
  const stale = [...board.cells.keys()].map((place) => place.split(",").map(Number)).filter(([i, j]) => board.stale[i * r + j] && board.models[i] && board.tasks[j]);
  const columns = [
    { head: "Model", cell: ([i]) => modelLink(view, i) },
    { head: "Task", cell: ([, j]) => linkButton(nameOf(board.tasks[j].name), () => openPanel("task", taskKey(board.tasks[j]))) },
    { head: "Make it again", cell: ([i, j]) => h("code", {}, nameOf((board.cells.get(`${i},${j}`) || {}).command || NONE)) },
  ];
  return fill(body, h("p", { class: "finding" }, `${plural(board.cells.size, "own result")} of ${plural(board.runs.length, "run")}${stale.length ? `; ${stale.length} no longer hold` : ", all of them current"}.`),
    table, table ? h("div", { class: "tools" }, copyButtons(() => tableTexts(table))) : null,
    stale.length ? [h("h3", {}, "Stale results"), tableOf("Results that no longer hold", columns, stale.slice(0, 100), { class: "tall" })] : null);
}
