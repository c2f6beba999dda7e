/* The ranking: one row a model, every column sortable, ten rows and the own models first. */

const FIRST_ROWS = 10;

/**
 * Columns of the ranking: {key, head, title, value(i) to sort and copy, cell(i) to show, number, wide: only when all columns are asked for}.
 * `value` gives a number (NaN = none) or text.
 */
function rankingColumns(view) {
  const { board, numbers: n, label } = view;
  const [first, second] = board.scores.map((score) => cut(shown(score.label)));
  const other = [first, second][1 - view.state.score];
  const model = (i) => board.models[i];
  const cost = (name) => (i) => n.cost[i][name];
  const [a, b] = n.rank;
  const textual = (key, head, of, title, wide = true) => ({ key, head, title, wide, value: of, cell: (i) => nameOf(of(i) || NONE) });
  const numeric = (key, head, of, show, title, wide = false) => ({
    key,
    head,
    title,
    wide,
    number: true,
    value: of,
    cell: (i) => show(of(i)),
  });
  const columns = [
    {
      key: "place",
      head: "#",
      number: true,
      title: `Place by ${relative(label)} among the models with all tasks; in brackets where the model lacks some`,
      value: (i) => view.place[i] || NaN,
      cell: (i) => placeText(view, i),
    },
    {
      key: "model",
      head: "Model",
      title: "Open a model for its receipts, drivers and weak spots",
      value: (i) => model(i).label,
      cell: (i) => modelCell(view, i),
    },
    numeric(
      "main",
      relative(label),
      (i) => view.values[i],
      digits,
      `Geometric mean over tasks of ${label} / ${label} of the baseline; below 1 is better than it`,
    ),
    {
      key: "low",
      head: "95 % interval",
      title: "Over dataset families; the line marks the baseline, 1",
      value: (i) => view.low[i],
      cell: (i) => intervalBar(view, i),
      text: (i) => between(view.low[i], view.high[i]).replace("\u00a0", " "),
    },
    {
      key: "places",
      head: "Places",
      number: true,
      title: "Places that its comparisons with the other models allow, each pair by itself: not corrected for the number of pairs",
      value: (i) => view.bestPlace[i] || NaN,
      cell: (i) => rangeText(view, i),
      text: (i) => rangeText(view, i),
    },
    {
      key: "letters",
      head: "Ties",
      title: "Models that share a letter cannot be told apart",
      value: (i) => view.letters[i],
      cell: (i) => view.letters[i] || NONE,
    },
    numeric("other", relative(other), (i) => view.other[i], digits, `Geometric mean over tasks of ${other} / ${other} of the baseline`),
    ...board.own.map((s, k) => ownColumn(board.scores[s], k, n)),
    numeric(
      "rank0",
      `Rank ${first}`,
      (i) => a[i],
      (x) => fixed(x, 1),
      `Mean over tasks of the rank by ${first}`,
    ),
    numeric(
      "rank1",
      `Rank ${second}`,
      (i) => b[i],
      (x) => fixed(x, 1),
      `Mean over tasks of the rank by ${second}`,
    ),
    numeric(
      "win",
      "Win rate",
      (i) => n.win[i],
      (x) => percent(x),
      `Share of comparisons with other models, task by task, with the lower ${first}; ties half`,
    ),
    {
      key: "tasks",
      head: "Tasks",
      number: true,
      title: "Done, of all in the slice; what failed, was skipped or is missing",
      value: (i) => n.counts[i].done,
      cell: (i) => tasksCell(n.counts[i]),
      text: (i) => `${n.counts[i].done}/${n.counts[i].total}`,
    },
    numeric(
      "fallback",
      "Fallback",
      (i) => n.fallback[i],
      fallbackText,
      "Share of its forecasts that is not its own: a simple one stands in for an answer of no use",
    ),
    numeric("seconds", "s / 1,000", cost("seconds"), (x) => digits(x), "Seconds to predict 1,000 forecasts, without fitting", false),
    numeric("fit", "Fit", cost("fit"), seconds, "Time of training or fitting, all tasks", true),
    numeric("peak", "Memory", cost("peak"), megabytes, "Peak memory", true),
    numeric("parameters", "Parameters", (i) => model(i).parameters, parameters, "Number of parameters", true),
    textual("type", "Type", (i) => model(i).type, "Type as declared", false),
    textual("license", "Licence", (i) => model(i).license, "Licence of the code"),
    textual(
      "contamination",
      "Test data seen",
      (i) => model(i).contamination.state,
      "Whether the model has seen test data, as declared",
      false,
    ),
    textual("mode", "Mode", (i) => model(i).mode, "How it was trained for the suite"),
    textual("org", "Organisation", (i) => model(i).org, "Who published it"),
    textual("date", "Date", (i) => day(board.latest[i]), "Newest result"),
  ];
  const there = (column) => {
    if (column.key === "fallback") return view.passing.some((i) => n.fallback[i] > 0);
    return ALWAYS.has(column.key) || board.models.some((_, i) => !isNone(column.value(i)));
  };
  return columns.filter((column) => there(column) && !(twins(board) && SECOND.has(column.key)));
}

const BETTER = { min: "less is better", max: "more is better" };
const ARROWS = { min: "↓", max: "↑" };

/** A column of the suite's own: means over the slice's tasks. */
function ownColumn(score, k, n) {
  const { what, unit, direction } = score;
  const words = [shown(unit), BETTER[direction]].filter(Boolean).join(", ");
  return {
    key: `own${k}`,
    head: cut(shown(score.label)),
    note: [ARROWS[direction], cut(shown(unit), 20)].filter(Boolean).join(" "),
    title: `${what ? `${shown(what)}${words ? ` (${words})` : ""}; mean` : "Mean"} over the tasks that have it`,
    number: true,
    high: direction === "max",
    value: (i) => n.own[k][i],
    cell: (i) => digits(Math.abs(n.own[k][i]) < 5e-5 ? 0 : n.own[k][i], 4),
  };
}

/** Columns of the second score, which a suite may lack. */
const SECOND = new Set(["other", "rank1"]);
/** Columns that are there even when they are empty. */
const ALWAYS = new Set(["place", "model", "main", "other", "rank0", "rank1", "win", "tasks"]);
const isNone = (value) => value === "" || Number.isNaN(value);

/** Rows in the chosen order; numbers and texts that are none come last either way. */
function sortedRows(view, columns) {
  const { state } = view;
  const column = columns.find(({ key }) => key === state.sort) || columns.find(({ key }) => key === "main") || columns[0];
  const position = new Map(view.order.map((i, k) => [i, k]));
  const rows = view.passing.slice().sort((a, b) => {
    const [x, y] = [column.value(a), column.value(b)];
    if (isNone(x) || isNone(y)) return isNone(x) - isNone(y) || position.get(a) - position.get(b);
    const order = typeof x === "string" ? compareText(x.toLowerCase(), y.toLowerCase()) : x - y;
    return (state.desc ? -order : order) || position.get(a) - position.get(b);
  });
  return { rows, column };
}

/** Draw the ranking. */
function drawRanking(view) {
  const { state, board } = view;
  const every = rankingColumns(view);
  const { rows, column: sorted } = sortedRows(view, every);
  const columns = every.filter((column) => state.wide || !column.wide || column === sorted);
  const first = state.all ? rows : rows.filter((i, k) => k < FIRST_ROWS || board.models[i].own);
  view.scale = barScale(view, first);
  const head = h(
    "tr",
    {},
    columns.map((column) => headCell(view, column, column === sorted)),
  );
  const body = first.map((i, k) => {
    const gap = k > 0 && rows.indexOf(i) !== rows.indexOf(first[k - 1]) + 1;
    const classes = [board.models[i].own && "own", gap && "gap"].filter(Boolean).join(" ");
    return h(
      "tr",
      { class: classes || null, "data-model": i },
      columns.map((column) => bodyCell(column, i)),
    );
  });
  const caption = `Ranking of ${plural(rows.length, "model")} by ${relative(view.label)}${view.words ? ` on ${view.words}` : ""}`;
  const table = h("table", { id: "board" }, h("caption", { class: "unseen" }, caption), h("thead", {}, head), h("tbody", {}, body));
  const place = byId("ranking");
  const focus = place.contains(document.activeElement) ? document.activeElement.closest("[data-key]")?.dataset.key : null;
  const scrolled = place.querySelector(".box")?.scrollLeft || 0;
  fill(place, boxOf(caption, table, state.all ? "tall sticky-two" : "sticky-two"));
  place.querySelector(".box").scrollLeft = scrolled;
  if (focus) place.querySelector(`th[data-key="${focus}"] button`)?.focus();
  fill(byId("ranking-tools"), rankingTools(view, rows, first, every, columns));
  byId("count").textContent =
    rows.length === board.models.length
      ? ""
      : `${rows.length} of ${plural(board.models.length, "model")} are shown; places and ranks are among all.`;
  fill(byId("legend"), legendWords(view, first));
}

/** Buttons below the table. */
function rankingTools(view, rows, first, every, columns) {
  const tools = [];
  if (view.state.all || first.length < rows.length) {
    tools.push(
      h(
        "button",
        {
          type: "button",
          id: "show-all",
          on: {
            click: () => {
              changeState({ all: !view.state.all }, true);
              byId("show-all")?.focus();
            },
          },
        },
        view.state.all ? "Show the first ten" : `Show all ${rows.length}`,
      ),
    );
  }
  if (every.some((column) => column.wide)) {
    tools.push(
      h(
        "button",
        {
          type: "button",
          id: "show-wide",
          "aria-pressed": String(view.state.wide),
          on: {
            click: () => {
              changeState({ wide: !view.state.wide }, true);
              byId("show-wide")?.focus();
            },
          },
        },
        "All columns",
      ),
    );
  }
  const texts = () => [columns.map(({ head }) => head), ...rows.map((i) => columns.map((column) => bodyCell(column, i).dataset.value))];
  return [...tools, copyButtons(texts)];
}

/** What the marks below mean, only those that are there. */
function legendWords(view, rows) {
  const { byMean, byRank } = view.disagreement;
  const flagged = rows.find((i) => view.disagreement.flagged[i]);
  const any = (test) => rows.some((i) => test(view.numbers.counts[i]));
  return [
    any((count) => count.done < count.total) &&
      (alike(view)
        ? `† all on the same ${tasksDone(view).length} of ${plural(view.tasks.length, "task")}.`
        : "† does not have all tasks: its place, in brackets, is where its mean over fewer tasks would be."),
    any((count) => count.undefined > 0) &&
      "‡ has tasks whose ratio is not defined (a score of zero or infinity, or no baseline); they are left out of its mean.",
    view.passing.some((i) => view.numbers.fallback[i] > 0) &&
      "Fallback: share of a model’s forecasts that is not its own, but a simple one in place of an answer of no use.",
    any((count) => count.stale > 0) && "⚠ stale: model, task, data or scoring has changed since; run it again.",
    any((count) => count.baselineStale > 0) && "⚠ baseline: divided by results of the baseline that no longer hold.",
    rows.some((i) => view.letters[i]) && "Ties: models that share a letter cannot be told apart.",
    view.low.some((low) => !Number.isNaN(low)) &&
      `Intervals and places: over ${unitWords(view, view.order)}, each pair of models compared by itself, without correction for the number of pairs.`,
    view.board.own.length > 0 &&
      `${listed(view.board.own.map((s) => cut(shown(view.board.scores[s].label))))}: means over the tasks of the slice that have a number, not divided by the baseline’s; ↓ less is better, ↑ more.`,
    flagged !== undefined &&
      `“#${byMean[flagged]} by ${relative(view.label)}, #${byRank[flagged]} by mean rank”: a few tasks carry the mean; open the model to see which.`,
  ]
    .filter(Boolean)
    .map((sentence) => h("li", {}, sentence));
}

/** A click anywhere in a row opens its model. */
function watchRanking() {
  byId("ranking").addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-model]");
    if (!row || event.target.closest("button, a") || String(window.getSelection())) return;
    const model = theBoard().models[Number(row.dataset.model)];
    openPanel("model", modelKey(model));
  });
}
