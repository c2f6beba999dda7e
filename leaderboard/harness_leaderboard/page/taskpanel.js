/* The panel of a task: all models on it, the error along its horizon, its forecasts, and the receipts of own results. */

/** Everything about one task: all models on it, own receipts, steps, forecasts. */
function drawTaskPanel(view, task) {
  const { board } = view;
  const j = task.index;
  fill(byId("panel-title"), nameOf(task.name, { class: "whole" }));
  const about = facts([
    ["Dataset", shown(task.dataset)],
    ["Family", shown(task.family)],
    ["Domain", shown(task.domain)],
    ["Frequency", shown(task.freq)],
    ["Term", shown(task.term)],
    ["Horizon", whole(task.horizon)],
    ["Season", whole(task.season_length)],
    ["Variates", whole(task.variates)],
    ...board.scores.slice(0, 2).map((score) => [`${score.label} of the baseline`, digits(score.baseline[j])]),
  ]);
  const steps = h("div", {});
  const windows = h("div", {});
  fill(
    byId("panel-body"),
    about,
    h("p", { class: "finding" }, ...taskSentence(view, j)),
    board.verdicts.filter((said) => said.task === j).map((said) => h("p", { class: "finding" }, shown(said.text))),
    block("All models on this task", taskTable(view, j)),
    board.hidden.has("steps") ? null : block("Error along the horizon", steps),
    board.hidden.has("explorer") ? null : block("Forecasts", windows),
    block("Receipts", ownReceipts(view, j)),
  );
  if (!board.hidden.has("steps")) drawTaskSteps(view, j, steps);
  if (!board.hidden.has("explorer")) drawExplorer(view, windows, j);
}

/** The best model of a task, in words. */
function taskSentence(view, j) {
  const score = view.board.scores[view.state.score];
  const r = view.board.tasks.length;
  const rows = view.board.models
    .map(({ index }) => index)
    .filter((i) => !Number.isNaN(score.values[i * r + j]))
    .sort((a, b) => score.values[a * r + j] - score.values[b * r + j]);
  if (!rows.length) return ["No model has a score on this task."];
  return [
    modelWord(view, rows[0]),
    ` has the lowest ${view.label} of ${plural(rows.length, "model")}: `,
    h("strong", {}, digits(score.values[rows[0] * r + j])),
    ".",
  ];
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
  const few = board.own.length ? board.scores.filter((score, s) => s < 2 || score.own) : board.scores;
  const columnsOf = (scores) => [
    {
      head: "Model",
      cell: (i) =>
        h(
          "span",
          { class: "who" },
          modelLink(view, i),
          badgeOf(board.models[i]),
          board.stale[i * r + j] ? h("abbr", { class: "mark", title: "the result no longer holds" }, "⚠ stale") : null,
        ),
    },
    { head: "/ baseline", number: true, title: `${view.label} / ${view.label} of the baseline`, text: (i) => digits(ratio(i)) },
    ...scores.map((score) => ({
      head: nameOf(score.label),
      title: [shown(score.what), shown(score.unit), BETTER[score.direction]].filter(Boolean).join(", ") || shown(score.name),
      number: true,
      text: (i) => digits(score.values[i * r + j]),
    })),
    {
      head: "State",
      cell: (i) => h("span", {}, STATES[board.status[i * r + j]] || "?", whyOf(board, i, j) ? [": ", nameOf(whyOf(board, i, j))] : null),
    },
  ];
  const own = (i) => (board.models[i].own ? "own" : null);
  const first = rows.filter((i, k) => k < FIRST_ROWS || board.models[i].own);
  const place = h("div", {});
  const now = { rows: first, scores: few };
  const draw = (change) => {
    Object.assign(now, change);
    fill(place, tableOf("All models on this task", columnsOf(now.scores), now.rows, { rowClass: own, class: "tall" }));
  };
  draw({});
  const all =
    few.length < board.scores.length
      ? h(
          "button",
          {
            type: "button",
            on: {
              click: (event) => {
                draw({ scores: board.scores });
                event.target.remove();
              },
            },
          },
          `All ${board.scores.length} scores`,
        )
      : null;
  const more =
    rows.length > first.length
      ? h(
          "button",
          {
            type: "button",
            on: {
              click: (event) => {
                draw({ rows });
                event.target.remove();
              },
            },
          },
          `Show all ${rows.length}`,
        )
      : null;
  const lacking = board.models.length - rows.length;
  return h(
    "div",
    {},
    place,
    h(
      "div",
      { class: "tools" },
      more,
      all,
      copyButtons(() => tableTexts(place)),
    ),
    lacking ? EMPTY(`${plural(lacking, "model")} ${lacking === 1 ? "has" : "have"} no result here.`) : null,
  );
}

/** Error by step of one task. */
function drawTaskSteps(view, j, place) {
  const { steps } = view.board;
  const points = steps ? Array.from({ length: steps.points[j] }, (_, k) => steps.offset[j] + k) : [];
  const has = (o) => points.some((at) => Number.isFinite(steps.mase[o * steps.width + at]));
  const models = steps ? storedModels(view, steps.models, has) : [];
  const rows = models
    .flatMap(({ o, name, order }) =>
      points.map((at) => ({ model: name, order, position: steps.step[at], value: steps.mase[o * steps.width + at] })),
    )
    .filter((row) => Number.isFinite(row.value));
  if (!rows.length) return fill(place, EMPTY("Only models that were run with this harness have errors by step."));
  const columns = [textColumn("Model", "model"), numberColumn("Step", "position"), numberColumn("MASE", "value")];
  return fill(place, pictureWithNumbers(view, "steps", "MASE by step of the horizon", rows, columns));
}

/** Receipts of the own models on one task, each with the command that repeats it. */
function ownReceipts(view, j) {
  const { board } = view;
  const own = view.order.filter((i) => board.cells.has(`${i},${j}`));
  if (!own.length) return EMPTY("No own result on this task; published ones come without receipts.");
  return h(
    "div",
    {},
    own.map((i) => {
      const cell = board.cells.get(`${i},${j}`) || {};
      const stale = board.stale[i * board.tasks.length + j];
      return h(
        "details",
        { class: "receipt" },
        h(
          "summary",
          {},
          nameOf(board.models[i].label),
          h("span", { class: "soft" }, ` ${STATES[board.status[i * board.tasks.length + j]] || ""}${stale ? ", stale" : ""}`),
        ),
        whyOf(board, i, j) ? h("p", {}, shown(whyOf(board, i, j))) : null,
        receiptFacts(board, cell),
        list(cell.others).length
          ? h(
              "p",
              {},
              `${plural(cell.others.length, "other seed")}: ${cut(cell.others.map((other) => plainText(other.cell_id).slice(0, 12)).join(", "), 200)}.`,
            )
          : null,
        cell.command ? [h("p", { class: "how" }, "Make it again:"), command(String(cell.command))] : null,
        cell.replay ? [h("p", { class: "how" }, "Run it again and compare:"), command(String(cell.replay))] : null,
      );
    }),
  );
}
