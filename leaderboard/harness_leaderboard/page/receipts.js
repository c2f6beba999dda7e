/* Where each own number comes from: runs, machines, versions, and the commands that repeat it. */

/** A command as text to copy. */
const command = (words) =>
  h(
    "div",
    { class: "command" },
    h("code", { tabindex: "0" }, shown(words)),
    copyButton("Copy", () => words),
  );

const RECEIPT_NAMES = {
  cell_id: "Cell",
  at: "Made",
  run_id: "Run",
  seed: "Seed",
  data_fingerprint: "Data",
  weights_digest: "Weights",
  source_digest: "Code of the plugin",
  plugin: "Plugin",
  plugin_version: "Its version",
  scoring: "Scoring",
  protocol: "Protocol",
  isolation: "Isolation",
  device: "Device",
  threads: "Threads",
  batch_size: "Batch",
  n_series: "Series",
  n_windows: "Windows",
  crossings: "Crossed quantiles",
  fallback: "Fallback",
  load_s: "Load",
  fit_s: "Fit",
  predict_s: "Predict",
  score_s: "Score",
  total_s: "In all",
  peak_rss_mb: "Peak memory",
};

/** Facts of one receipt, and of the machine and versions it was made with. */
function receiptFacts(board, cell) {
  const skip = new Set(["place", "command", "replay", "failure", "reason", "status", "others"]);
  const show = (name, value) => (name.endsWith("_s") ? seconds(value) : name === "peak_rss_mb" ? megabytes(value) : name === "fallback" ? fallbackText(value) : plainText(value));
  const place = board.places[cell.place] || {};
  const pairs = [
    ...Object.entries(cell)
      .filter(([name]) => !skip.has(name))
      .map(([name, value]) => [RECEIPT_NAMES[name] || shown(name), show(name, value)]),
    ...Object.entries(place).map(([name, value]) => [shown(name), plainText(value)]),
  ];
  return h(
    "dl",
    { class: "facts" },
    pairs
      .filter(([, value]) => value && value !== NONE && value !== "{}")
      .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}

/** Any value of a receipt as text. */
function plainText(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "object") return shown(value);
  return Array.isArray(value)
    ? value.map(plainText).join(", ")
    : Object.entries(value)
        .map(([name, part]) => `${shown(name)} ${plainText(part)}`)
        .join(", ");
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
    {
      head: "State",
      text: (j) => `${STATES[board.status[i * board.tasks.length + j]] || "?"}${board.stale[i * board.tasks.length + j] ? ", stale" : ""}`,
    },
    { head: "Cell", cell: (j) => h("code", {}, nameOf(plainText(cell(j).cell_id).slice(0, 12) || NONE)) },
  ];
  const first = cell(rows[0]).command;
  return h(
    "div",
    {},
    tableOf("Receipts by task", columns, rows, { class: "tall" }),
    first ? [h("p", { class: "how" }, "The first of them again:"), command(String(first))] : null,
  );
}

/** Machines and versions of the own results, their runs, and which no longer hold. */
function drawReceipts(view, body) {
  const { board } = view;
  if (!board.cells.size)
    return fill(body, EMPTY("All results are published ones, which come without receipts. Results of “harness run” have one each."));
  const r = board.tasks.length;
  const cells = [...board.cells]
    .map(([place, cell]) => ({ ...(cell || {}), where: place.split(",").map(Number) }))
    .filter(({ where: [i, j] }) => board.models[i] && board.tasks[j]);
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
  return fill(
    body,
    h(
      "p",
      { class: "finding" },
      `${plural(cells.length, "own result")} of ${plural(runs.size, "run")}; ${stale.length ? `${stale.length} no longer hold.` : "all of them hold."}`,
    ),
    runsTable([...runs.values()]),
    stale.length ? staleTable(view, stale) : null,
  );
}

/** A row a run: when, what it made, on which machine, with which versions. */
function runsTable(runs) {
  runs.sort((a, b) => compareText(b.to, a.to));
  const minute = (iso) => shown(iso).slice(0, 16).replace("T", " ") || NONE;
  const about = (place) =>
    ["cpu", "cores", "memory_mb", "platform", "python"]
      .filter((name) => place[name])
      .map((name) =>
        name === "memory_mb"
          ? megabytes(place[name])
          : name === "cores"
            ? `${place[name]} cores`
            : name === "python"
              ? `Python ${plainText(place[name])}`
              : plainText(place[name]),
      )
      .join(", ");
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
  return h(
    "div",
    {},
    table,
    h(
      "div",
      { class: "tools" },
      copyButtons(() => tableTexts(table)),
    ),
  );
}

/** Results that no longer hold, with the command that makes each anew. */
function staleTable(view, stale) {
  const { board } = view;
  const columns = [
    { head: "Model", cell: ({ where: [i] }) => modelLink(view, i) },
    { head: "Task", cell: ({ where: [, j] }) => linkButton(nameOf(board.tasks[j].name), () => openPanel("task", taskKey(board.tasks[j]))) },
    { head: "Make it again", cell: (cell) => h("code", {}, nameOf(cell.command || NONE)) },
  ];
  return h(
    "div",
    {},
    h("h3", {}, "Results that no longer hold"),
    tableOf("Results that no longer hold", columns, stale.slice(0, 100), { class: "tall" }),
  );
}
