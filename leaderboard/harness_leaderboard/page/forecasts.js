/* What stored forecasts and sums say: error along the horizon, calibration, the windows themselves. O models have such sums. */

/** Places of the drawn models among the O stored ones: [{o, i, name, order}], those that pass the filters, the best first. */
function storedModels(view, stored, most = 8) {
  const kept = stored.map((i, o) => ({ i, o })).filter(({ i }) => view.passing.includes(i));
  kept.sort((a, b) => view.order.indexOf(a.i) - view.order.indexOf(b.i));
  const names = distinctNames(view.board, kept.map(({ i }) => i));
  return kept.map((entry, order) => ({ ...entry, name: names[order], order })).slice(0, most);
}

/** Error along the horizon over all tasks of the slice: tenths of the horizon, geometric mean over tasks that all shown models have. */
function drawSteps(view, body) {
  const { steps } = view.board;
  const models = steps ? storedModels(view, steps.models) : [];
  if (!models.length) return fill(body, EMPTY("Only models that were run with this harness have errors by step. Run one to see it here."));
  const tenths = Array.from({ length: 10 }, () => models.map(() => ({ sum: 0, count: 0 })));
  let counted = 0;
  for (const j of view.tasks) {
    const found = models.map(({ o }) => stepTenths(view.board, o, j));
    if (found.some((values) => !values.some(Number.isFinite))) continue;
    counted += 1;
    for (let t = 0; t < 10; t += 1) {
      if (!found.every((values) => values[t] > 0)) continue;
      found.forEach((values, k) => { tenths[t][k].sum += Math.log(values[t]); tenths[t][k].count += 1; });
    }
  }
  const rows = tenths.flatMap((models_, t) => models_.map(({ sum, count }, k) => ({ model: models[k].name, order: k, position: t + 1, value: count ? Math.exp(sum / count) : NaN })));
  if (!rows.some((row) => Number.isFinite(row.value))) return fill(body, EMPTY("No task of this slice has errors by step of every shown model."));
  const columns = [textColumn("Model", "model"), numberColumn("Tenth of the horizon", "position", String), numberColumn("MASE", "value")];
  return fill(body, h("p", { class: "finding" }, `Over ${plural(counted, "task")} that all of them have.`),
    pictureWithNumbers(view, "steps", "MASE by tenth of the horizon", rows.filter((row) => Number.isFinite(row.value)), columns, { change: axisTitle("step of the horizon", "tenth of the horizon") }));
}

/** [10] mean MASE of a task's steps in each tenth of its horizon; NaN where no step falls. A short horizon's step fills several tenths. */
function stepTenths(board, o, j) {
  const { steps } = board;
  const [from, count] = [steps.offset[j], steps.points[j]];
  const sums = new Array(10).fill(0);
  const counts = new Array(10).fill(0);
  for (let t = 0; t < 10; t += 1) {
    for (let k = 0; k < count; k += 1) {
      const value = steps.mase[o * steps.width + from + k];
      const overlap = Math.min((k + 1) / count, (t + 1) / 10) - Math.max(k / count, t / 10);
      if (overlap > 1e-9 && Number.isFinite(value)) {
        sums[t] += overlap * value;
        counts[t] += overlap;
      }
    }
  }
  return sums.map((sum, t) => (counts[t] ? sum / counts[t] : NaN));
}

/** Replace the title of an axis wherever the specification has it. */
const axisTitle = (from, to) => (spec) => {
  const walk = (node) => {
    for (const [key, value] of Object.entries(node)) {
      if (key === "title" && value === from) node[key] = to;
      else if (value && typeof value === "object" && key !== "datasets") walk(value);
    }
  };
  walk(spec);
};

/** Coverage against level, and where in the forecast distribution the values came; every task counts the same. */
function drawCalibration(view, body) {
  const { calibration } = view.board;
  const models = calibration ? storedModels(view, calibration.models) : [];
  if (!models.length) return fill(body, EMPTY("Only models that were run with this harness have counts by quantile level. Run one to see it here."));
  const rows = [];
  const bins = [];
  for (const { o, name, order } of models) {
    const shares = coverage(view, o);
    if (!shares) continue;
    calibration.levels.forEach((level, q) => rows.push({ model: name, order, level, coverage: shares[q] }));
    const edges = [0, ...calibration.levels, 1];
    const steps = [0, ...shares, 1];
    edges.slice(1).forEach((high, q) => bins.push({ model: name, order, bin: `${edges[q]}–${high}`, low: edges[q], high, share: steps[q + 1] - steps[q] }));
  }
  if (!rows.length) return fill(body, EMPTY("No task of this slice has counts by quantile level."));
  const reliability = [textColumn("Model", "model"), numberColumn("Level", "level"), numberColumn("Share at or below", "coverage")];
  const pit = [textColumn("Model", "model"), textColumn("Between levels", "bin"), numberColumn("Share of values", "share")];
  return fill(body,
    h("h3", {}, "Coverage against level"), pictureWithNumbers(view, "reliability", "Share of values at or below each quantile, by level", rows, reliability, { square: true }),
    h("h3", {}, "Where the values came"), pictureWithNumbers(view, "pit", "Share of values between neighbouring quantiles, over the share that was forecast", bins, pit, { facet: 150, gap: 30, most: 4 }),
    calibration.leftOut ? EMPTY(`${plural(calibration.leftOut, "result")} with other quantile levels ${calibration.leftOut === 1 ? "is" : "are"} left out.`) : null);
}

/** [Q] mean over the slice's tasks of the share of labels at or below each quantile, or null. */
function coverage(view, o) {
  const { levels, n, hits } = view.board.calibration;
  const r = view.board.tasks.length;
  const sums = levels.map(() => 0);
  let count = 0;
  for (const j of view.tasks) {
    const total = n[o * r + j];
    if (!(total > 0)) continue;
    count += 1;
    levels.forEach((_, q) => { sums[q] += hits[(o * r + j) * levels.length + q] / total; });
  }
  return count ? sums.map((sum) => sum / count) : null;
}

const KINDS = { best: "the easiest window", median: "a middling window", worst: "the hardest window", apart: "where the models differ most" };

/** The forecast explorer: a task, a kind of window, one or two models. What is chosen stays in the section. */
function drawExplorer(view, body, onlyTask = -1) {
  const { explorer } = view.board;
  if (!explorer) return fill(body, EMPTY("Run with --save-forecasts to see forecasts here."));
  const kept = explorer.tasks.filter((entry) => (onlyTask < 0 ? view.tasks.includes(entry.task) : entry.task === onlyTask) && entry.windows.length);
  if (!kept.length) return fill(body, EMPTY(onlyTask < 0 ? "No task of this slice has kept forecasts." : "Run with --save-forecasts to see forecasts of this task."));
  const chosen = (body.explored ||= {});
  const entry = kept.find(({ task }) => String(task) === chosen.task) || kept[0];
  const window_ = entry.windows[chosen.window] || entry.windows[0];
  const there = explorer.models.map((i, o) => ({ i, o })).filter(({ o }) => window_.forecasts[o]);
  there.sort((a, b) => view.order.indexOf(a.i) - view.order.indexOf(b.i));
  if (!there.length) return fill(body, EMPTY("The kept forecasts of this task cannot be read."));
  const names = distinctNames(view.board, there.map(({ i }) => i));
  there.forEach((model, k) => { model.name = names[k]; });
  const first = there.find(({ o }) => String(o) === chosen.first) || there[0];
  const second = there.find(({ o }) => String(o) === chosen.second && o !== first.o);
  const again = (change) => { Object.assign(chosen, change); drawExplorer(view, body, onlyTask); };
  const keep = (id) => (value) => { again({ [id]: value }); body.querySelector(`select[data-choice="${id}"]`)?.focus(); };
  const field = (label, options, value, id) => choice(label, options, value, keep(id), { "data-choice": id });
  const fields = h("div", { class: "tools" },
    onlyTask < 0 ? field("Task", kept.map(({ task }) => [String(task), view.board.tasks[task]?.name ?? ""]), String(entry.task), "task") : null,
    field("Window", entry.windows.map((other, k) => [String(k), KINDS[other.kind] || other.kind]), String(entry.windows.indexOf(window_)), "window"),
    field("Model", there.map(({ o, name }) => [String(o), name]), String(first.o), "first"),
    there.length > 1 ? field("Beside it", [["", "none"], ...there.filter(({ o }) => o !== first.o).map(({ o, name }) => [String(o), name])], second ? String(second.o) : "", "second") : null);
  const models = [first, second].filter(Boolean);
  const rows = fanRows(window_, models, explorer.levels);
  const errors = models.map(({ o, name }) => `${name}: MASE ${digits(window_.errors?.[o] ?? NaN)}`).join("; ");
  const where = `Series ${cut(shown(window_.item), 80)}${window_.variate ? `, variate ${window_.variate}` : ""}; forecast made at ${cut(shown(window_.cutoff), 40)}${window_.freq ? `, steps of ${cut(shown(window_.freq), 20)}` : ""}. ${errors}.`;
  const columns = [textColumn("Part", "part"), textColumn("Model", "model"), numberColumn("Step", "x", String), numberColumn("Value", "y"), numberColumn("from", "low"), numberColumn("to", "high")];
  return fill(body, fields, h("p", { class: "finding" }, where), pictureWithNumbers(view, "fan", `What had been, what came, and the forecasts of ${listed(models.map(({ name }) => name))}`, rows, columns),
    explorer.leftOut && onlyTask < 0 ? EMPTY(shown(explorer.leftOut)) : null);
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
    const middle = levels.length ? levels.reduce((best, level, q) => (Math.abs(level - 0.5) < Math.abs(levels[best] - 0.5) ? q : best), 0) : 0;
    for (let k = 0; k < p; k += 1) rows.push({ part: "median", model: name, order, x: step[k], y: at(middle, k) });
    for (let q = 0; q < Math.floor(levels.length / 2); q += 1) {
      const band = `${digits(levels[q], 2)}–${digits(levels[levels.length - 1 - q], 2)}`;
      for (let k = 0; k < p; k += 1) rows.push({ part: "band", model: name, order, x: step[k], low: at(q, k), high: at(levels.length - 1 - q, k), band, rank: q + 1 });
    }
  });
  return rows;
}
