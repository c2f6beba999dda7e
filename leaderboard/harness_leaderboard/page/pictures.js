/* Sections with a picture each: intervals, groups of tasks, cost. Each function fills the body of its section. */

const EMPTY = (words) => h("p", { class: "empty" }, words);
const numberColumn = (head, field, show = digits) => ({ head, number: true, text: (row) => show(row[field]) });
const textColumn = (head, field) => ({ head, cell: (row) => nameOf(row[field]) });

/** Models to draw, with the names for axes: [{i, name, order}]. */
function drawnModels(view, chosen = view.focus) {
  const names = distinctNames(view.board, chosen);
  return chosen.map((i, order) => ({ i, name: names[order], order }));
}

/** Forest plot of the shown models. */
function drawIntervals(view, body) {
  const rows = drawnModels(view).map(({ i, name, order }) => ({
    model: name,
    order,
    value: view.values[i],
    low: view.low[i],
    high: view.high[i],
    letters: view.letters[i],
    source: sourceWord(view, i),
  }));
  if (!rows.length) return fill(body, EMPTY("No model has a score here."));
  const columns = [
    textColumn("Model", "model"),
    numberColumn(relative(view.label), "value"),
    numberColumn("from", "low"),
    numberColumn("to", "high"),
  ];
  const label = `${relative(view.label)} of ${rows.length} models with 95 % intervals, the best first`;
  const warning = rows.some((row) => !Number.isNaN(row.low)) ? null : EMPTY(`No intervals: ${TOO_FEW}, which say too little of others.`);
  return fill(body, warning, pictureWithNumbers(view, "intervals", label, rows, columns, { change: retitle(view) }));
}

/** Put the chosen score in place of MASE into the titles of axes. */
const retitle = (view) => (spec) => {
  if (view.label === "MASE") return;
  const walk = (node) => {
    for (const [key, value] of Object.entries(node)) {
      if ((key === "title" || key === "text") && typeof value === "string") node[key] = value.replace(/n?MASE/g, (found) => (found === "MASE" ? view.label : relative(view.label)));
      else if (value && typeof value === "object" && key !== "datasets" && key !== "config") walk(value);
    }
  };
  walk(spec);
};

const sourceWord = (view, i) => (view.board.models[i].own ? "own" : cut(shown(view.board.models[i].source), 30) || "?");

/** Bars by domain, or by another column of the tasks, for a few models. */
function drawDomains(view, body) {
  const column = view.state.by;
  const groups = groupsOf(view.board, view.tasks, column);
  const all = focusOf(view, 5, 3);
  const others = all.filter((i) => view.board.models[i].model !== view.board.suite.baseline); // whose bars have no length
  const chosen = drawnModels(view, others.length ? others : all);
  const by = choice(
    "By",
    DIMENSIONS.map(([name, title]) => [name, title.toLowerCase()]),
    column,
    (value) => changeState({ by: value }, false),
    { id: "by" },
  );
  if (!chosen.length) return fill(body, EMPTY("No model has a score here."));
  const shownGroups = groups.slice(0, view.board.statistics.most.groups);
  const rows = [];
  shownGroups.forEach((group, groupOrder) => {
    const found = view.memory.numbers(group.tasks);
    const units = unitsOf(view.board, group.tasks);
    const resampler = units.kind
      ? new Resampler(
          view.board.logs[view.state.score],
          group.tasks,
          view.board.models.length,
          view.board.tasks.length,
          units,
          view.board.statistics,
        )
      : null;
    for (const { i, name, order } of chosen) {
      const [low, high] = resampler ? resampler.interval(i) : [NaN, NaN];
      rows.push({
        group: cut(shown(group.name), 40),
        group_order: groupOrder,
        model: name,
        order,
        value: found.n[view.state.score][i],
        low,
        high,
        tasks: group.tasks.length,
      });
    }
  });
  const columns = [
    textColumn("Group", "group"),
    textColumn("Model", "model"),
    numberColumn(relative(view.label), "value"),
    numberColumn("from", "low"),
    numberColumn("to", "high"),
    numberColumn("Tasks", "tasks", String),
  ];
  const label = `${relative(view.label)} of ${chosen.length} models in each of ${plural(shownGroups.length, "group")} of tasks`;
  const rest =
    groups.length > shownGroups.length
      ? EMPTY(`The first ${shownGroups.length} of ${groups.length} groups; choose a slice above to see others.`)
      : null;
  return fill(
    body,
    h("div", { class: "tools" }, by),
    pictureWithNumbers(view, "domains", label, rows, columns, {
      facet: 150,
      gap: 56,
      left: "names",
      most: 4,
      change: barLimits(view, rows),
    }),
    rest,
  );
}

/** Bars end at twice the baseline or a third of it, so that one bad model does not flatten the others; the numbers stand beside. */
const barLimits = (view, rows) => (spec) => {
  retitle(view)(spec);
  const values = rows.flatMap((row) => [row.value, row.low]).filter((x) => x > 0 && x < Infinity);
  spec.resolve = { axis: { x: "independent" } };
  const domain = [Math.max(0.3, Math.min(0.8, ...values)), Math.min(2, Math.max(1.1, ...values))];
  for (const layer of spec.spec.layer) {
    const x = layer.encoding && layer.encoding.x;
    if (!x || !x.scale) continue;
    Object.assign(x.scale, { domain, clamp: true, padding: 0 });
    x.title = null;
    x.axis = { ...x.axis, values: [0.3, 0.5, 0.7, 1, 1.4, 2].filter((tick) => tick >= domain[0] && tick <= domain[1]) };
  }
};

/** Error beside cost, for models that were timed. */
function drawCost(view, body) {
  const names = distinctNames(view.board, view.order);
  const rows = view.order
    .map((i, order) => ({
      model: names[order],
      source: sourceWord(view, i),
      value: view.values[i],
      cost: view.numbers.cost[i].whole,
      predict: view.numbers.cost[i].seconds,
      parameters: view.board.models[i].parameters,
      hardware: shown(view.board.hardware[i]) || "unknown",
      whole: view.numbers.pool[i],
      fit: view.numbers.cost[i].fit,
      peak: view.numbers.cost[i].peak,
    }))
    .filter((row) => row.value > 0 && row.cost > 0);
  if (!rows.length)
    return fill(
      body,
      EMPTY(
        "No model of this slice was timed here: published results carry no times. Run a model with “harness run” to see what it costs.",
      ),
    );
  for (const row of rows) row.named = rows.length <= view.board.statistics.most.named;
  for (const row of rows)
    row.front = !rows.some(
      (other) => other !== row && other.value <= row.value && other.cost <= row.cost && (other.value < row.value || other.cost < row.cost),
    );
  const kinds = new Set(rows.map((row) => row.hardware));
  const caution =
    kinds.size > 1
      ? EMPTY(
          `Timed on different machines, so seconds do not compare: ${[...kinds]
            .slice(0, 4)
            .map((kind) => cut(kind, 60))
            .join("; ")}.`,
        )
      : EMPTY(`Timed on: ${cut([...kinds][0], 120)}.`);
  const columns = [
    textColumn("Model", "model"),
    numberColumn(relative(view.label), "value"),
    numberColumn("s per 1,000", "cost"),
    numberColumn("of it predicting", "predict"),
    numberColumn("Fit, all tasks", "fit", seconds),
    numberColumn("Memory", "peak", megabytes),
    textColumn("Hardware", "hardware"),
  ];
  return fill(
    body,
    pictureWithNumbers(
      view,
      "pareto",
      `${relative(view.label)} against seconds to fit and predict, per 1,000 forecasts, of ${plural(rows.length, "model")}`,
      rows,
      columns,
      { change: retitle(view) },
    ),
    caution,
  );
}
