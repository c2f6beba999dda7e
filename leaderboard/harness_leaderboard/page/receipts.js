/* The panel of a task, and where each own number comes from: runs, versions, commands that repeat it. */

/** Everything about one task: all models on it, own receipts, steps, forecasts. */
function drawTaskPanel(view, task) {
  const { board } = view;
  const j = task.index;
  fill(byId("panel-title"), nameOf(task.name, { class: "whole" }));
  const about = facts([
    ["Dataset", shown(task.dataset)], ["Family", shown(task.family)], ["Domain", shown(task.domain)], ["Frequency", shown(task.freq)], ["Term", shown(task.term)],
    ["Horizon", whole(task.horizon)], ["Season", whole(task.season_length)], ["Variates", whole(task.variates)],
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
  return [modelWord(view, rows[0]), ` has the lowest ${view.label} of ${plural(rows.length, "model")}: `, h("strong", {}, digits(score.values[rows[0] * r + j])), "."];
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
    { head: "State", cell: (i) => h("span", {}, STATES[board.status[i * r + j]] || "?", whyOf(board, i, j) ? [": ", nameOf(whyOf(board, i, j))] : null) },
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

const RECEIPT_NAMES = {
  cell_id: "Cell", at: "Made", run_id: "Run", seed: "Seed", data_fingerprint: "Data", weights_digest: "Weights", source_digest: "Code of the plugin", plugin: "Plugin",
  plugin_version: "Its version", scoring: "Scoring", protocol: "Protocol", isolation: "Isolation", device: "Device", threads: "Threads", batch_size: "Batch",
  n_series: "Series", n_windows: "Windows", crossings: "Crossed quantiles", load_s: "Load", fit_s: "Fit", predict_s: "Predict", score_s: "Score", total_s: "In all", peak_rss_mb: "Peak memory",
};

/** Facts of one receipt, and of the machine and versions it was made with. */
function receiptFacts(board, cell) {
  const skip = new Set(["place", "command", "replay", "failure", "reason", "status", "others"]);
  const show = (name, value) => (name.endsWith("_s") ? seconds(value) : name === "peak_rss_mb" ? megabytes(value) : plainText(value));
  const place = board.places[cell.place] || {};
  const pairs = [
    ...Object.entries(cell).filter(([name]) => !skip.has(name)).map(([name, value]) => [RECEIPT_NAMES[name] || shown(name), show(name, value)]),
    ...Object.entries(place).map(([name, value]) => [shown(name), plainText(value)]),
  ];
  return h("dl", { class: "facts" }, pairs.filter(([, value]) => value && value !== NONE && value !== "{}").map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/** Any value of a receipt as text. */
function plainText(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "object") return shown(value);
  return Array.isArray(value) ? value.map(plainText).join(", ") : Object.entries(value).map(([name, part]) => `${shown(name)} ${plainText(part)}`).join(", ");
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
      list(cell.others).length ? h("p", {}, `${plural(cell.others.length, "other seed")}: ${cut(cell.others.map((other) => plainText(other.cell_id).slice(0, 12)).join(", "), 200)}.`) : null,
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
    { head: "Cell", cell: (j) => h("code", {}, nameOf(plainText(cell(j).cell_id).slice(0, 12) || NONE)) },
  ];
  const first = cell(rows[0]).command;
  return h("div", {}, tableOf("Receipts by task", columns, rows, { class: "tall" }), first ? [h("p", { class: "how" }, "The first of them again:"), command(String(first))] : null);
}

/** Machines and versions of the own results, their runs, and which no longer hold. */
function drawReceipts(view, body) {
  const { board } = view;
  if (!board.cells.size) return fill(body, EMPTY("All results are published ones, which come without receipts. Results of “harness run” have one each."));
  const r = board.tasks.length;
  const cells = [...board.cells].map(([place, cell]) => ({ ...(cell || {}), where: place.split(",").map(Number) })).filter(({ where: [i, j] }) => board.models[i] && board.tasks[j]);
  const runs = new Map();
  for (const cell of cells) {
    const id = plainText(cell.run_id) || NONE;
    if (!runs.has(id)) runs.set(id, { id, cells: 0, models: new Set(), from: "", to: "", place: board.places[cell.place] || {} });
    const run = runs.get(id);
    const when = plainText(cell.at);
    run.cells += 1;
    run.models.add(cell.where[0]);
    if (!run.from || when < run.from) run.from = when;
    if (when > run.to) run.to = when;
  }
  const stale = cells.filter(({ where: [i, j] }) => board.stale[i * r + j]);
  return fill(body, h("p", { class: "finding" }, `${plural(cells.length, "own result")} of ${plural(runs.size, "run")}; ${stale.length ? `${stale.length} no longer hold.` : "all of them hold."}`),
    runsTable([...runs.values()]), stale.length ? staleTable(view, stale) : null);
}

/** A row a run: when, what it made, on which machine, with which versions. */
function runsTable(runs) {
  runs.sort((a, b) => compareText(b.to, a.to));
  const minute = (iso) => shown(iso).slice(0, 16).replace("T", " ") || NONE;
  const about = (place) => ["cpu", "cores", "memory_mb", "platform", "python"].filter((name) => place[name]).map((name) => (name === "memory_mb" ? megabytes(place[name]) : name === "cores" ? `${place[name]} cores` : name === "python" ? `Python ${plainText(place[name])}` : plainText(place[name]))).join(", ");
  const columns = [
    { head: "Run", cell: (run) => h("code", {}, nameOf(run.id)) },
    { head: "From", text: (run) => minute(run.from) },
    { head: "To", text: (run) => minute(run.to) },
    { head: "Results", number: true, text: (run) => String(run.cells) },
    { head: "Models", number: true, text: (run) => String(run.models.size) },
    { head: "Machine", cell: (run) => nameOf(about(run.place) || NONE) },
    { head: "Versions", cell: (run) => nameOf(plainText(run.place.versions) || NONE) },
  ];
  const table = tableOf("Runs", columns, runs.slice(0, 100), { class: "tall" });
  return h("div", {}, table, h("div", { class: "tools" }, copyButtons(() => tableTexts(table))));
}

/** Results that no longer hold, with the command that makes each anew. */
function staleTable(view, stale) {
  const { board } = view;
  const columns = [
    { head: "Model", cell: ({ where: [i] }) => modelLink(view, i) },
    { head: "Task", cell: ({ where: [, j] }) => linkButton(nameOf(board.tasks[j].name), () => openPanel("task", taskKey(board.tasks[j]))) },
    { head: "Make it again", cell: (cell) => h("code", {}, nameOf(cell.command || NONE)) },
  ];
  return h("div", {}, h("h3", {}, "Results that no longer hold"), tableOf("Results that no longer hold", columns, stale.slice(0, 100), { class: "tall" }));
}
