/* Sections with a picture each: intervals, groups, cost, influence, drivers, policies. Each function fills the body of its section. */

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
    model: name, order, value: view.values[i], low: view.low[i], high: view.high[i], letters: view.letters[i], source: sourceWord(view, i),
  }));
  if (!rows.length) return fill(body, EMPTY("No model has a score here."));
  const columns = [textColumn("Model", "model"), numberColumn(`n${view.label}`, "value"), numberColumn("from", "low"), numberColumn("to", "high")];
  const label = `n${view.label} of ${rows.length} models with 95 % intervals, the best first`;
  const warning = view.units.kind ? null : EMPTY("Too few tasks for an interval: six dataset families, or six tasks, are needed.");
  return fill(body, warning, pictureWithNumbers(view, "intervals", label, rows, columns, { change: retitle(view) }));
}

/** Put the chosen score in place of MASE into the titles of axes. */
const retitle = (view) => (spec) => {
  if (view.state.score === 0) return;
  const walk = (node) => {
    for (const [key, value] of Object.entries(node)) {
      if ((key === "title" || key === "text") && typeof value === "string") node[key] = value.replaceAll("MASE", "CRPS");
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
  const chosen = drawnModels(view, focusOf(view, 5, 3));
  const by = choice("By", DIMENSIONS.map(([name, title]) => [name, title.toLowerCase()]), column, (value) => changeState({ by: value }, false), { id: "by" });
  if (!chosen.length) return fill(body, EMPTY("No model has a score here."));
  const shownGroups = groups.slice(0, 24);
  const rows = [];
  shownGroups.forEach((group, groupOrder) => {
    const found = view.memory.numbers(group.tasks);
    const units = unitsOf(view.board, group.tasks, view.board.statistics.least_units);
    const resampler = units.kind ? new Resampler(view.board.logs[view.state.score], group.tasks, view.board.models.length, view.board.tasks.length, units, view.board.statistics) : null;
    for (const { i, name, order } of chosen) {
      const [low, high] = resampler ? resampler.interval(i) : [NaN, NaN];
      rows.push({ group: cut(shown(group.name), 40), group_order: groupOrder, model: name, order, value: found.n[view.state.score][i], low, high, tasks: group.tasks.length });
    }
  });
  const columns = [textColumn("Group", "group"), textColumn("Model", "model"), numberColumn(`n${view.label}`, "value"), numberColumn("from", "low"), numberColumn("to", "high"), numberColumn("Tasks", "tasks", String)];
  const label = `n${view.label} of ${chosen.length} models in each of ${plural(shownGroups.length, "group")} of tasks`;
  const rest = groups.length > shownGroups.length ? EMPTY(`The first ${shownGroups.length} of ${groups.length} groups; choose a slice above to see others.`) : null;
  return fill(body, h("div", { class: "tools" }, by), pictureWithNumbers(view, "domains", label, rows, columns, { facet: 150, gap: 56, left: "names", most: 4, change: barLimits(view, rows) }), rest);
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
    x.axis = { ...x.axis, values: [0.3, 0.5, 0.7, 1, 1.4, 2] };
  }
};

/** Error beside cost, for models that were timed. */
function drawCost(view, body) {
  const names = distinctNames(view.board, view.order);
  const rows = view.order
    .map((i, order) => ({
      model: names[order], source: sourceWord(view, i), value: view.values[i], cost: view.numbers.cost[i].seconds, parameters: view.board.models[i].parameters,
      hardware: shown(view.board.hardware[i]) || "unknown", whole: view.numbers.pool[i], fit: view.numbers.cost[i].fit, peak: view.numbers.cost[i].peak,
    }))
    .filter((row) => row.value > 0 && row.cost > 0);
  if (!rows.length) return fill(body, EMPTY("No model of this slice was timed here: published results carry no times. Run a model with “harness run” to see what it costs."));
  for (const row of rows) row.named = rows.length <= 12;
  for (const row of rows) row.front = !rows.some((other) => other !== row && other.value <= row.value && other.cost <= row.cost && (other.value < row.value || other.cost < row.cost));
  const kinds = new Set(rows.map((row) => row.hardware));
  const caution = kinds.size > 1 ? EMPTY(`Timed on different machines, so seconds do not compare: ${[...kinds].slice(0, 4).map((kind) => cut(kind, 60)).join("; ")}.`) : EMPTY(`Timed on: ${cut([...kinds][0], 120)}.`);
  const columns = [textColumn("Model", "model"), numberColumn(`n${view.label}`, "value"), numberColumn("s per 1,000", "cost"), numberColumn("Fit", "fit", seconds), numberColumn("Memory", "peak", megabytes), textColumn("Hardware", "hardware")];
  return fill(body, pictureWithNumbers(view, "pareto", `n${view.label} against seconds per 1,000 forecasts of ${plural(rows.length, "model")}`, rows, columns, { change: retitle(view) }), caution);
}

/** How places move when one family is left out. */
function drawInfluence(view, body) {
  const families = new Set(view.tasks.map((j) => view.board.tasks[j].family)).size;
  if (families < 2) return fill(body, EMPTY("This slice has one dataset family, so none can be left out."));
  const found = view.memory.influence(view.state.score, view.tasks);
  const rows = drawnModels(view, view.focus.filter((i) => found[i].place)).map(({ i, name, order }) => ({
    model: name, order, place: found[i].place, best: found[i].best, worst: found[i].worst,
    best_without: cut(shown(found[i].bestWithout)) || NONE, worst_without: cut(shown(found[i].worstWithout)) || NONE,
  }));
  if (!rows.length) return fill(body, EMPTY("None of the shown models has all tasks of this slice."));
  const columns = [textColumn("Model", "model"), numberColumn("Place", "place", String), numberColumn("Best", "best", String), textColumn("without", "best_without"), numberColumn("Worst", "worst", String), textColumn("without", "worst_without")];
  const widest = rows.reduce((most, row) => (row.worst - row.best > most.worst - most.best ? row : most));
  const sentence = widest.worst > widest.best
    ? `${widest.model} moves most: from place ${widest.best}${widest.best_without === NONE ? "" : ` (without ${widest.best_without})`} to ${widest.worst}${widest.worst_without === NONE ? "" : ` (without ${widest.worst_without})`}.`
    : "No place depends on a single family.";
  return fill(body, h("p", { class: "finding" }, sentence), pictureWithNumbers(view, "influence", "Range of places of each model when one dataset family is left out", rows, columns));
}

/** The tasks that make the score of the best model, and of the best own one. */
function drawDrivers(view, body) {
  const own = ownBest(view);
  const chosen = [view.focus[0], own === view.focus[0] ? undefined : own].filter((i) => i !== undefined);
  if (!chosen.length) return fill(body, EMPTY("No model has a score here."));
  return fill(body, h("div", { class: "columns" }, chosen.map((i) => h("div", {}, h("h3", {}, modelLink(view, i)), driversTable(view, i)))));
}

/** A model's strongest drivers both ways, against the median of the models. */
function driversTable(view, i, most = 5) {
  const median = view.memory.of(`m${view.state.score}:${view.tasks}`, () => medianLogs(view.board, view.state.score, view.tasks, view.numbers.pool));
  const found = driversOf(view.board, view.state.score, i, view.tasks, median);
  if (!found.length) return EMPTY("There is no task that this model and others have.");
  const good = found.filter((driver) => driver.part < 0).slice(0, most);
  const bad = found.filter((driver) => driver.part > 0).slice(-most).reverse();
  const scale = Math.max(...found.map((driver) => Math.abs(driver.part)));
  const columns = [
    { head: "Task", cell: (row) => linkButton(nameOf(view.board.tasks[row.task].name), () => openPanel("task", taskKey(view.board.tasks[row.task]))) },
    { head: "Ratio", number: true, title: "score / baseline", text: (row) => digits(Math.exp(row.log)) },
    { head: "Median", number: true, title: "median ratio of the models with all tasks", text: (row) => digits(Math.exp(row.reference)) },
    { head: "Effect", number: true, title: `how much this task alone changes n${view.label}`, cell: (row) => effectBar(row.part, scale) },
  ];
  return tableOf(`Tasks that make the score of ${shown(view.board.models[i].label)}`, columns, [...good, ...bad], { rowClass: (row) => (row === bad[0] && good.length ? "gap" : null) });
}

/** A bar to the left (better) or right (worse) of the middle, with the per cent that the task changes the mean by. */
function effectBar(part, scale) {
  const share = (50 * Math.abs(part)) / scale;
  return h("span", { class: "effect" },
    h("span", { class: "track", "aria-hidden": "true" }, h("span", { class: part < 0 ? "better" : "worse", style: { left: `${part < 0 ? 50 - share : 50}%`, width: `${share}%` } })),
    `${part < 0 ? "−" : "+"}${fixed(100 * Math.abs(Math.expm1(part)), 1)} %`);
}

/** What failures and gaps do to the score, under three policies. */
function drawPolicies(view, body) {
  const gaps = view.passing.filter((i) => view.numbers.counts[i].done < view.tasks.length || view.numbers.counts[i].undefined);
  if (!view.tasks.length || !view.passing.length) return fill(body, EMPTY("No model has a score here."));
  if (!gaps.length) return fill(body, EMPTY("Every shown model has every task of this slice, so no policy changes anything."));
  const { score } = view.state;
  const rows = gaps.slice(0, 40).map((i) => ({ i, ...policiesOf(view.board, score, i, view.tasks), count: view.numbers.counts[i] }));
  const columns = [
    { head: "Model", cell: (row) => h("span", { class: "who" }, modelLink(view, row.i), badgeOf(view.board.models[row.i])) },
    { head: "Covered", number: true, title: "share of tasks with a ratio", text: (row) => percent(row.covered, 0) },
    { head: "Failed", number: true, text: (row) => String(row.count.failed) },
    numberColumn("Left out", "drop"),
    numberColumn("As baseline", "baseline"),
    numberColumn("As the worst", "worst"),
  ];
  const table = tableOf(`n${view.label} when missing tasks are left out, counted as the baseline, or as the worst model`, columns, rows);
  return fill(body, table, h("div", { class: "tools" }, copyButtons(() => tableTexts(table))), gaps.length > rows.length ? EMPTY(`${gaps.length - rows.length} more models lack tasks.`) : null);
}
