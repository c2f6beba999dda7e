/* What makes a score and what would change it: families left out, single tasks, gaps. */

/** How places move when one family is left out. */
function drawInfluence(view, body) {
  const families = new Set(view.tasks.map((j) => view.board.tasks[j].family)).size;
  if (families < 2) return fill(body, EMPTY("This slice has one dataset family, so none can be left out."));
  const found = view.memory.influence(view.state.score, view.tasks);
  const rows = drawnModels(
    view,
    view.focus.filter((i) => found[i].place),
  ).map(({ i, name, order }) => ({
    model: name,
    order,
    place: found[i].place,
    best: found[i].best,
    worst: found[i].worst,
    best_without: cut(shown(found[i].bestWithout)) || NONE,
    worst_without: cut(shown(found[i].worstWithout)) || NONE,
  }));
  if (!rows.length) return fill(body, EMPTY("None of the shown models has all tasks of this slice."));
  const columns = [
    textColumn("Model", "model"),
    numberColumn("Place", "place", String),
    numberColumn("Best", "best", String),
    textColumn("without", "best_without"),
    numberColumn("Worst", "worst", String),
    textColumn("without", "worst_without"),
  ];
  const widest = rows.reduce((most, row) => (row.worst - row.best > most.worst - most.best ? row : most));
  const sentence =
    widest.worst > widest.best
      ? `${widest.model} moves most: from place ${widest.best}${widest.best_without === NONE ? "" : ` (without ${widest.best_without})`} to ${widest.worst}${widest.worst_without === NONE ? "" : ` (without ${widest.worst_without})`}.`
      : "No place depends on a single family.";
  return fill(
    body,
    h("p", { class: "finding" }, sentence),
    pictureWithNumbers(view, "influence", "Range of places of each model when one dataset family is left out", rows, columns),
  );
}

/** The tasks that make the score of the best model, and of the best own one. */
function drawDrivers(view, body) {
  const own = ownBest(view);
  const chosen = [view.focus[0], own === view.focus[0] ? undefined : own].filter((i) => i !== undefined);
  if (!chosen.length) return fill(body, EMPTY("No model has a score here."));
  return fill(
    body,
    h(
      "div",
      { class: "columns" },
      chosen.map((i) => h("div", {}, h("h3", {}, modelLink(view, i)), driversTable(view, i))),
    ),
  );
}

/** A model's strongest drivers both ways, against the median of the models. */
function driversTable(view, i, most = 5) {
  const median = view.memory.of(`m${view.state.score}:${view.tasks}`, () =>
    medianLogs(view.board, view.state.score, view.tasks, view.numbers.pool),
  );
  const found = driversOf(view.board, view.state.score, i, view.tasks, median);
  if (!found.length) return EMPTY("There is no task that this model and others have.");
  const good = found.filter((driver) => driver.part < 0).slice(0, most);
  const bad = found
    .filter((driver) => driver.part > 0)
    .slice(-most)
    .reverse();
  const scale = Math.max(...found.map((driver) => Math.abs(driver.part)));
  const columns = [
    {
      head: "Task",
      cell: (row) => linkButton(nameOf(view.board.tasks[row.task].name), () => openPanel("task", taskKey(view.board.tasks[row.task]))),
    },
    { head: "Ratio", number: true, title: "score / baseline", text: (row) => digits(Math.exp(row.log)) },
    { head: "Median", number: true, title: "median ratio of the models with all tasks", text: (row) => digits(Math.exp(row.reference)) },
    { head: "Effect", number: true, title: `how much this task alone changes ${relative(view.label)}`, cell: (row) => effectBar(row.part, scale) },
  ];
  return tableOf(`Tasks that make the score of ${shown(view.board.models[i].label)}`, columns, [...good, ...bad], {
    rowClass: (row) => (row === bad[0] && good.length ? "gap" : null),
  });
}

/** A bar to the left (better) or right (worse) of the middle, with the per cent that the task changes the mean by. */
function effectBar(part, scale) {
  const share = (50 * Math.abs(part)) / scale;
  return h(
    "span",
    { class: "effect" },
    h(
      "span",
      { class: "track", "aria-hidden": "true" },
      h("span", { class: part < 0 ? "better" : "worse", style: { left: `${part < 0 ? 50 - share : 50}%`, width: `${share}%` } }),
    ),
    `${part < 0 ? "−" : "+"}${fixed(100 * Math.abs(Math.expm1(part)), 1)} %`,
  );
}

/** What failures and gaps do to the score, under three policies. */
function drawPolicies(view, body) {
  const gaps = view.passing.filter((i) => view.numbers.counts[i].done < view.tasks.length || view.numbers.counts[i].undefined);
  if (!view.tasks.length || !view.passing.length) return fill(body, EMPTY("No model has a score here."));
  if (!gaps.length) return fill(body, EMPTY("Every shown model has every task of this slice, so no policy changes anything."));
  const { score } = view.state;
  const { baseline } = view.board.scores[score];
  const known = view.tasks.filter((j) => baseline[j] > 0 && baseline[j] < Infinity).length;
  const rows = gaps.slice(0, view.board.statistics.most.lacking).map((i) => ({ i, ...policiesOf(view.board, score, i, view.tasks), count: view.numbers.counts[i] }));
  const columns = [
    { head: "Model", cell: (row) => h("span", { class: "who" }, modelLink(view, row.i), badgeOf(view.board.models[row.i])) },
    { head: "Covered", number: true, title: "share of tasks with a ratio", text: (row) => percent(row.covered, 0) },
    { head: "Failed", number: true, text: (row) => String(row.count.failed) },
    numberColumn("Left out", "drop"),
    numberColumn("As baseline", "baseline"),
    numberColumn("As the worst", "worst"),
  ];
  const table = tableOf(`${relative(view.label)} when missing tasks are left out, counted as the baseline, or as the worst model`, columns, rows);
  return fill(
    body,
    known < view.tasks.length
      ? h("p", { class: "finding" }, `Over the ${known} of ${plural(view.tasks.length, "task")} for which the baseline has a result.`)
      : null,
    table,
    h(
      "div",
      { class: "tools" },
      copyButtons(() => tableTexts(table)),
    ),
    gaps.length > rows.length ? EMPTY(`${plural(gaps.length - rows.length, "more model", "more models")} ${gaps.length - rows.length === 1 ? "lacks" : "lack"} tasks.`) : null,
  );
}
