/* The forecast explorer: single windows with what had been, what came, and the forecasts of one or two models. */

const KINDS = {
  best: "the easiest window",
  median: "a middling window",
  worst: "the hardest window",
  apart: "where the models differ most",
};

/** The forecast explorer: a task, a kind of window, one or two models. What is chosen stays in the section. */
function drawExplorer(view, body, onlyTask = -1) {
  const { explorer } = view.board;
  if (!explorer) return fill(body, EMPTY("Run with --save-forecasts to see forecasts here."));
  const kept = explorer.tasks.filter(
    (entry) => (onlyTask < 0 ? view.tasks.includes(entry.task) : entry.task === onlyTask) && entry.windows.length,
  );
  if (!kept.length)
    return fill(
      body,
      EMPTY(onlyTask < 0 ? "No task of this slice has kept forecasts." : "Run with --save-forecasts to see forecasts of this task."),
    );
  const chosen = (body.explored ||= {});
  const entry = kept.find(({ task }) => String(task) === chosen.task) || kept[0];
  const window_ = entry.windows[chosen.window] || entry.windows[0];
  const there = explorer.models.map((i, o) => ({ i, o })).filter(({ o }) => window_.forecasts[o]);
  there.sort((a, b) => view.order.indexOf(a.i) - view.order.indexOf(b.i));
  if (!there.length) return fill(body, EMPTY("The kept forecasts of this task cannot be read."));
  const names = distinctNames(
    view.board,
    there.map(({ i }) => i),
  );
  there.forEach((model, k) => {
    model.name = names[k];
  });
  const first = there.find(({ o }) => String(o) === chosen.first) || there[0];
  const second = there.find(({ o }) => String(o) === chosen.second && o !== first.o);
  const again = (change) => {
    Object.assign(chosen, change);
    drawExplorer(view, body, onlyTask);
  };
  const keep = (id) => (value) => {
    again({ [id]: value });
    body.querySelector(`select[data-choice="${id}"]`)?.focus();
  };
  const field = (label, options, value, id) => choice(label, options, value, keep(id), { "data-choice": id });
  const fields = h(
    "div",
    { class: "tools" },
    onlyTask < 0
      ? field(
          "Task",
          kept.map(({ task }) => [String(task), view.board.tasks[task]?.name ?? ""]),
          String(entry.task),
          "task",
        )
      : null,
    field(
      "Window",
      entry.windows.map((other, k) => [String(k), KINDS[other.kind] || other.kind]),
      String(entry.windows.indexOf(window_)),
      "window",
    ),
    field(
      "Model",
      there.map(({ o, name }) => [String(o), name]),
      String(first.o),
      "first",
    ),
    there.length > 1
      ? field(
          "Beside it",
          [["", "none"], ...there.filter(({ o }) => o !== first.o).map(({ o, name }) => [String(o), name])],
          second ? String(second.o) : "",
          "second",
        )
      : null,
  );
  const models = [first, second].filter(Boolean);
  const rows = fanRows(window_, models, explorer.levels);
  const errors = models.map(({ o, name }) => `${name}: MASE ${digits(window_.errors?.[o] ?? NaN)}`).join("; ");
  const where = `Series ${cut(shown(window_.item), 80)}${window_.variate ? `, variate ${window_.variate}` : ""}; forecast made at ${cut(shown(window_.cutoff), 40)}${window_.freq ? `, steps of ${cut(shown(window_.freq), 20)}` : ""}. ${errors}.`;
  const columns = [
    textColumn("Part", "part"),
    textColumn("Model", "model"),
    numberColumn("Step", "x", String),
    numberColumn("Value", "y"),
    numberColumn("from", "low"),
    numberColumn("to", "high"),
  ];
  return fill(
    body,
    fields,
    h("p", { class: "finding" }, where),
    pictureWithNumbers(
      view,
      "fan",
      `What had been, what came, and the forecasts of ${listed(models.map(({ name }) => name))}`,
      rows,
      columns,
    ),
    explorer.leftOut && onlyTask < 0 ? EMPTY(shown(explorer.leftOut)) : null,
  );
}

/** Rows of the picture `fan` for a window and one or two models. */
function fanRows(window_, models, levels) {
  const context = numbers(window_.context, -1, "f4");
  const label = numbers(window_.label, -1, "f4");
  const step = numbers(window_.step, -1, "f4");
  const rows = [];
  context.forEach((y, k) => rows.push({ part: "context", x: k + 1 - context.length, y }));
  label.forEach((y, k) => rows.push({ part: "label", x: step[k], y }));
  models.forEach(({ o, name }, order) => {
    const values = numbers(window_.forecasts[o], -1, "f4");
    const p = step.length;
    const at = (q, k) => values[q * p + k];
    const middle = levels.length
      ? levels.reduce((best, level, q) => (Math.abs(level - 0.5) < Math.abs(levels[best] - 0.5) ? q : best), 0)
      : 0;
    for (let k = 0; k < p; k += 1) rows.push({ part: "median", model: name, order, x: step[k], y: at(middle, k) });
    for (let q = 0; q < Math.floor(levels.length / 2); q += 1) {
      const band = `${digits(levels[q], 2)}–${digits(levels[levels.length - 1 - q], 2)}`;
      for (let k = 0; k < p; k += 1)
        rows.push({ part: "band", model: name, order, x: step[k], low: at(q, k), high: at(levels.length - 1 - q, k), band, rank: q + 1 });
    }
  });
  return rows;
}
