/* Models × tasks as a table: the number in each cell beside its colour, missing cells with a sign. And the list of tasks. */

/** What stands in a cell: {text, shade, stale}. */
function heatCell(board, score, i, j) {
  const at = i * board.tasks.length + j;
  const status = board.status[at];
  const stale = board.stale[at] === 1;
  if (status !== OK) return { text: { [FAILED]: "×", [SKIPPED]: "skip" }[status] || "·", shade: "none", stale };
  const log = board.logs[score][at];
  if (Number.isNaN(log)) return { text: "?", shade: "none", stale };
  return { text: digits(Math.exp(log), 2), shade: shade((log / Math.LN2) * 4), stale };
}

/** A cell in words. */
function cellWords(view, i, j) {
  const { board, state } = view;
  const at = i * board.tasks.length + j;
  const log = board.logs[state.score][at];
  const score = board.scores[state.score];
  const ratio = Number.isNaN(log)
    ? `no ratio: score ${digits(score.values[at])}, baseline ${digits(score.baseline[j])}`
    : `${digits(Math.exp(log))} of the baseline`;
  const words = board.status[at] === OK ? ratio : STATES[board.status[at]] || "missing";
  return `${cut(shown(board.models[i].label), 80)} on ${cut(shown(board.tasks[j].name), 80)}: ${words}${board.stale[at] ? ", stale" : ""}`;
}

/** Tasks that anybody has tried, in the order of the heat map: by domain, then as in the suite. */
function heatOrder(view) {
  const { board } = view;
  const domains = new Map();
  for (const j of view.tasks) if (!domains.has(board.tasks[j].domain)) domains.set(board.tasks[j].domain, domains.size);
  const tried = view.tasks.filter((j) => board.models.some((_, i) => board.status[i * board.tasks.length + j]));
  return tried.sort((a, b) => domains.get(board.tasks[a].domain) - domains.get(board.tasks[b].domain) || a - b);
}

/** Draw the heat map and the list of tasks. */
function drawHeatmap(view, body) {
  const models = body.dataset.every === "1" ? view.passing : view.focus;
  const tried = heatOrder(view);
  const order = tried.slice(0, view.board.statistics.most.tasks);
  if (!order.length || !models.length) return fill(body, EMPTY("There is no model or no task to show."));
  const toggle = h(
    "button",
    {
      type: "button",
      "aria-pressed": String(body.dataset.every === "1"),
      on: {
        click: () => {
          body.dataset.every = body.dataset.every === "1" ? "" : "1";
          drawHeatmap(view, body);
          body.querySelector(".tools button").focus();
        },
      },
    },
    body.dataset.every === "1" ? "Fewer models" : `All ${view.passing.length} models`,
  );
  const table = heatTable(view, models, order);
  const box = boxOf(`${relative(view.label)} of ${models.length} models on ${order.length} tasks`, table, "heat tall");
  box.addEventListener("click", (event) => {
    const cell = event.target.closest("td[data-task]");
    if (cell) openPanel("task", taskKey(view.board.tasks[Number(cell.dataset.task)]));
  });
  box.addEventListener("pointerover", (event) => {
    const cell = event.target.closest("td[data-task]:not([title])");
    if (cell) cell.title = cellWords(view, models[cell.parentNode.sectionRowIndex], Number(cell.dataset.task));
  });
  const texts = () => [
    ["Model", ...order.map((j) => view.board.tasks[j].name)],
    ...models.map((i) => [view.board.models[i].label, ...order.map((j) => heatCell(view.board, view.state.score, i, j).text)]),
  ];
  const without = view.tasks.length - tried.length;
  const rest = [
    tried.length > order.length ? EMPTY(`The first ${order.length} of ${tried.length} tasks; choose a slice to see others.`) : null,
    without ? EMPTY(without === 1 ? "One task that nobody has run is left out." : `${without} tasks that nobody has run are left out.`) : null,
  ];
  return fill(
    body,
    heatLegend(),
    box,
    h("div", { class: "tools" }, models.length < view.passing.length || body.dataset.every ? toggle : null, copyButtons(texts)),
    ...rest,
    taskList(view),
  );
}

/** The table itself: a row of domains, a row of tasks to open, a row a model. */
function heatTable(view, models, order) {
  const { board } = view;
  const spans = [];
  for (const j of order) {
    const last = spans[spans.length - 1];
    if (last && last.domain === board.tasks[j].domain) last.count += 1;
    else spans.push({ domain: board.tasks[j].domain, count: 1 });
  }
  const starts = new Set();
  order.forEach((j, k) => {
    if (k && board.tasks[j].domain !== board.tasks[order[k - 1]].domain) starts.add(j);
  });
  const edge = (j) => (starts.has(j) ? "edge" : null);
  const domains = h(
    "tr",
    { class: "domains" },
    h("td", {}, ""),
    spans.map(({ domain, count }, k) =>
      h("th", { scope: "colgroup", colspan: count, class: k ? "edge" : null }, h("span", {}, nameOf(domain || NONE))),
    ),
  );
  const heads = h(
    "tr",
    {},
    h("th", { scope: "col" }, "Model"),
    order.map((j) =>
      h(
        "th",
        { scope: "col", class: edge(j) },
        linkButton(nameOf(board.tasks[j].name, { class: "name upright" }), () => openPanel("task", taskKey(board.tasks[j]))),
      ),
    ),
  );
  const rows = models.map((i) =>
    h(
      "tr",
      { class: board.models[i].own ? "own" : null },
      h("th", { scope: "row" }, h("span", { class: "who" }, modelLink(view, i), board.models[i].own ? badgeOf(board.models[i]) : null)),
      order.map((j) => {
        const cell = heatCell(board, view.state.score, i, j);
        const td = document.createElement("td"); // there may be ten thousand, so no detours
        td.className = `${cell.shade}${cell.stale ? " stale" : ""}${starts.has(j) ? " edge" : ""}`;
        td.dataset.task = j;
        td.textContent = cell.text;
        return td;
      }),
    ),
  );
  return h(
    "table",
    {},
    h("caption", { class: "unseen" }, `${relative(view.label)} by model and task`),
    h("thead", {}, domains, heads),
    h("tbody", {}, rows),
  );
}

/** What the colours and signs mean. */
function heatLegend() {
  const steps = [
    ["h-4", "≤ 0.55"],
    ["h-2", "0.7"],
    ["h0", "1"],
    ["h2", "1.4"],
    ["h4", "≥ 1.8"],
  ];
  return h(
    "p",
    { class: "key" },
    "Score / baseline: ",
    steps.map(([name, words]) => h("span", { class: `swatch ${name}` }, words)),
    h(
      "span",
      { class: "soft" },
      "Blue: better than the baseline; orange: worse. × failed, skip skipped, · missing, ? no ratio, dotted frame stale.",
    ),
  );
}

/** All tasks of the slice in a table to search, with the best model of each. */
function taskList(view) {
  const { board, state } = view;
  const details = h("details", { class: "numbers", id: "task-list" }, h("summary", {}, `List of ${plural(view.tasks.length, "task")}`));
  const best = (j) =>
    view.order.reduce(
      (found, i) =>
        board.logs[state.score][i * board.tasks.length + j] <
        (found === undefined ? Infinity : board.logs[state.score][found * board.tasks.length + j])
          ? i
          : found,
      undefined,
    );
  details.addEventListener("toggle", () => {
    if (!details.open || details.children.length > 1) return;
    const rows = view.tasks.map((j) => ({ j, ...board.tasks[j], best: best(j) }));
    const columns = [
      { head: "Task", cell: (row) => linkButton(nameOf(row.name), () => openPanel("task", taskKey(board.tasks[row.j]))) },
      textColumn("Domain", "domain"),
      textColumn("Frequency", "freq"),
      textColumn("Term", "term"),
      numberColumn("Horizon", "horizon", whole),
      numberColumn("Variates", "variates", whole),
      { head: "Best model", cell: (row) => (row.best === undefined ? NONE : modelLink(view, row.best)) },
      {
        head: "Ratio",
        number: true,
        text: (row) => (row.best === undefined ? NONE : digits(Math.exp(board.logs[state.score][row.best * board.tasks.length + row.j]))),
      },
    ];
    const table = tableOf("Tasks of the slice", columns, rows, { class: "tall" });
    const search = h("input", {
      type: "search",
      on: {
        input: (event) => {
          const wanted = event.target.value.toLowerCase();
          for (const row of table.querySelectorAll("tbody tr")) row.hidden = !row.textContent.toLowerCase().includes(wanted);
        },
      },
    });
    details.append(
      h("label", { class: "field wide" }, h("span", {}, "Find a task"), search),
      table,
      copyButtons(() => tableTexts(table)),
    );
  });
  return details;
}
