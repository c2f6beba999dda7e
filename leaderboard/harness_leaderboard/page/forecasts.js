/* What stored sums say: error along the horizon, calibration. O models have such sums. */

/**
 * Places of the drawn models among the O stored ones: [{o, i, name, order}], those that pass the filters, the best first.
 * @param {(o: number) => boolean} has  whether there is something to draw of one
 */
function storedModels(view, stored, has) {
  const kept = stored.map((i, o) => ({ i, o })).filter(({ i, o }) => view.passing.includes(i) && has(o));
  kept.sort((a, b) => view.order.indexOf(a.i) - view.order.indexOf(b.i));
  const names = distinctNames(
    view.board,
    kept.map(({ i }) => i),
  );
  return kept.map((entry, order) => ({ ...entry, name: names[order], order })).slice(0, view.board.statistics.most.lines);
}

/** Error along the horizon over all tasks of the slice: tenths of the horizon, geometric mean over tasks that all shown models have. */
function drawSteps(view, body) {
  const { steps } = view.board;
  const has = (o) => view.tasks.some((j) => stepTenths(view.board, o, j).some(Number.isFinite));
  const models = steps ? storedModels(view, steps.models, has) : [];
  if (!models.length) return fill(body, EMPTY("Only models that were run with this harness have errors by step. Run one to see it here."));
  const tenths = Array.from({ length: 10 }, () => models.map(() => ({ sum: 0, count: 0 })));
  let counted = 0;
  for (const j of view.tasks) {
    const found = models.map(({ o }) => stepTenths(view.board, o, j));
    if (!found.every((values) => values.every((value) => value > 0 && value < Infinity))) continue;
    counted += 1;
    for (let t = 0; t < 10; t += 1) {
      found.forEach((values, k) => {
        tenths[t][k].sum += Math.log(values[t]);
        tenths[t][k].count += 1;
      });
    }
  }
  const rows = tenths.flatMap((models_, t) =>
    models_.map(({ sum, count }, k) => ({ model: models[k].name, order: k, position: t + 1, value: count ? Math.exp(sum / count) : NaN })),
  );
  if (!rows.some((row) => Number.isFinite(row.value)))
    return fill(body, EMPTY("No task of this slice has errors by step of every shown model."));
  const columns = [textColumn("Model", "model"), numberColumn("Tenth of the horizon", "position", String), numberColumn("MASE", "value")];
  return fill(
    body,
    h("p", { class: "finding" }, `Over ${plural(counted, "task")}${models.length > 1 ? " that all of them have" : ""}.`),
    pictureWithNumbers(
      view,
      "steps",
      "MASE by tenth of the horizon",
      rows.filter((row) => Number.isFinite(row.value)),
      columns,
      { change: axisTitle("step of the horizon", "tenth of the horizon") },
    ),
  );
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
  const counted = (o) => (j) => calibration.n[o * view.board.tasks.length + j] > 0;
  const models = calibration ? storedModels(view, calibration.models, (o) => view.tasks.some(counted(o))) : [];
  if (!models.length)
    return fill(body, EMPTY("Only models that were run with this harness have counts by quantile level. Run one to see it here."));
  const tasks = view.tasks.filter((j) => models.every(({ o }) => counted(o)(j)));
  if (!tasks.length) return fill(body, EMPTY("No task of this slice has counts by quantile level of every shown model."));
  const rows = [];
  const bins = [];
  for (const { o, name, order } of models) {
    const shares = coverage(view.board, o, tasks);
    calibration.levels.forEach((level, q) => rows.push({ model: name, order, level, coverage: shares[q] }));
    const edges = [0, ...calibration.levels, 1];
    const steps = [0, ...shares, 1];
    edges
      .slice(1)
      .forEach((high, q) =>
        bins.push({ model: name, order, bin: `${edges[q]}–${high}`, low: edges[q], high, share: steps[q + 1] - steps[q] }),
      );
  }
  const reliability = [textColumn("Model", "model"), numberColumn("Level", "level"), numberColumn("Share at or below", "coverage")];
  const pit = [textColumn("Model", "model"), textColumn("Between levels", "bin"), numberColumn("Share of values", "share")];
  return fill(
    body,
    h("p", { class: "finding" }, `Over ${plural(tasks.length, "task")}${models.length > 1 ? " that all of them have" : ""}.`),
    h("h3", {}, "Coverage against level"),
    pictureWithNumbers(view, "reliability", "Share of values at or below each quantile, by level", rows, reliability, { square: true }),
    h("h3", {}, "Where the values came"),
    pictureWithNumbers(view, "pit", "Share of values between neighbouring quantiles, over the share that was forecast", bins, pit, {
      facet: 150,
      gap: 30,
      most: 4,
    }),
    calibration.leftOut
      ? EMPTY(`${plural(calibration.leftOut, "result")} with other quantile levels ${calibration.leftOut === 1 ? "is" : "are"} left out.`)
      : null,
  );
}

/** [Q] mean over tasks of the share of labels at or below each quantile. */
function coverage(board, o, tasks) {
  const { levels, n, hits } = board.calibration;
  const r = board.tasks.length;
  const share = (j, q) => hits[(o * r + j) * levels.length + q] / n[o * r + j];
  return levels.map((_, q) => tasks.reduce((sum, j) => sum + share(j, q), 0) / tasks.length);
}
