/* The panel at the side: everything about one model, or one task. It is a dialog: Escape closes it, the address keeps it. */

/** Open a panel. */
const openPanel = (kind, key) => changeState({ open: { kind, key } }, true);

/** Show the panel that the state names, or none. */
function drawPanel(view) {
  const dialog = byId("panel");
  const { open } = view.state;
  const model = open && open.kind === "model" ? find(view.board.models, modelKey, open.key) : null;
  const task = open && open.kind === "task" ? find(view.board.tasks, taskKey, open.key) : null;
  if (!model && !task) {
    if (dialog.open) dialog.close();
    return;
  }
  const same = dialog.open && dialog.dataset.shown === `${open.kind}:${open.key}`;
  const scrolled = same ? byId("panel-body").scrollTop : 0;
  dialog.dataset.shown = `${open.kind}:${open.key}`;
  if (!dialog.open) dialog.showModal();
  byId("panel-body").scrollTop = 0;
  if (model) drawModelPanel(view, model);
  else drawTaskPanel(view, task);
  byId("panel-body").scrollTop = scrolled;
  if (!same) byId("panel-title").focus();
}

/** The dialog's own ways of closing. */
function watchPanel() {
  const dialog = byId("panel");
  let opener = null;
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    changeState({ open: null }, true);
  });
  byId("panel-close").addEventListener("click", () => changeState({ open: null }, true));
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) changeState({ open: null }, true);
  });
  document.addEventListener("focusin", (event) => {
    if (!dialog.contains(event.target)) opener = event.target;
  });
  dialog.addEventListener("close", () => {
    if (opener && opener.isConnected) opener.focus();
  });
}

/** A list of facts: [name, text or element]; empty ones are left out. */
const facts = (pairs) =>
  h(
    "dl",
    { class: "facts" },
    pairs.filter(([, value]) => value && value !== NONE).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );

const block = (title, ...content) => h("section", {}, h("h3", {}, title), ...content);

/** A link to another site, only where it is one; opened by a click and never by the page. */
function outward(address) {
  const clean = shown(address);
  if (!/^https?:\/\/[^\s]+$/i.test(address) || clean !== address) return clean ? nameOf(clean) : "";
  return h("a", { href: address, target: "_blank", rel: "noopener noreferrer external" }, cut(clean, 80));
}

/** Everything about one model on the slice. */
function drawModelPanel(view, model) {
  const { board } = view;
  const i = model.index;
  const count = view.numbers.counts[i];
  const cost = view.numbers.cost[i];
  fill(byId("panel-title"), nameOf(model.label, { class: "whole" }), " ", badgeOf(model));
  const about = facts([
    ["Type", shown(model.type)],
    ["Organisation", shown(model.org)],
    ["Licence", shown(model.license)],
    ["Licence of the weights", shown(model.weights_license)],
    ["Parameters", parameters(model.parameters)],
    ["Mode", shown([model.mode, model.budget].filter(Boolean).join(" "))],
    ["Scope", shown(model.scope)],
    [
      "Test data seen",
      shown(model.contamination.text ? `${model.contamination.state}: ${model.contamination.text}` : model.contamination.state),
    ],
    ["Seeds", model.seeds > 1 ? String(model.seeds) : ""],
    ["Newest result", day(board.latest[i])],
    ["Hardware", shown(board.hardware[i])],
    ["Link", outward(model.link)],
    ["Seconds per 1,000 forecasts", digits(cost.seconds)],
    ["Fit", seconds(cost.fit)],
    ["Peak memory", megabytes(cost.peak)],
    ["Fallback", view.numbers.fallback[i] > 0 ? `${fallbackText(view.numbers.fallback[i])} of its forecasts are not its own` : ""],
  ]);
  const gaps = [
    [count.failed, "failed"],
    [count.skipped, "skipped"],
    [count.missing, "missing"],
    [count.stale, "stale"],
  ]
    .filter(([number]) => number)
    .map(([number, word]) => `${number} ${word}`);
  fill(
    byId("panel-body"),
    model.summary ? h("p", {}, shown(model.summary)) : null,
    h("p", { class: "finding" }, ...placeSentence(view, i)),
    about,
    block(
      "Tasks that make its score",
      h("p", { class: "how" }, "Against the median of the models: blue tasks lower its mean, orange ones raise it, by so much each."),
      driversTable(view, i),
    ),
    block("If one family is left out", h("p", {}, influenceSentence(view, i))),
    block(
      "Failures and gaps",
      h(
        "p",
        {},
        gaps.length
          ? `${count.done} of ${plural(count.total, "task")} done; ${gaps.join(", ")}.`
          : `All ${plural(count.total, "task")} done.`,
      ),
      gapTable(view, i),
      lackTable(view, i),
    ),
    block(`By ${DIMENSIONS.find(([name]) => name === view.state.by)[1].toLowerCase()}`, groupTable(view, i)),
    model.own ? block("Receipts", receiptTable(view, i)) : null,
  );
}

/** Where it stands and how sure that is. */
function placeSentence(view, i) {
  const { values, low, high } = view;
  if (Number.isNaN(values[i])) return ["No score on this slice."];
  const sure = between(low[i], high[i]);
  const best = view.ranked[0];
  const m = view.board.models.length;
  const place = view.numbers.pool[i]
    ? `Place ${view.place[i]} of ${view.ranked.length}`
    : `It lacks tasks; among the models with all of them its mean would be place ${view.place[i]} of ${view.ranked.length}`;
  const range = view.bestPlace[i] ? ` Its comparisons allow places ${rangeText(view, i).replace("–", " to ")}.` : "";
  const apart = view.apart[best * m + i] > 0 ? "is told apart from" : "cannot be told apart from";
  const certain = best === undefined || i === best ? "" : ` It ${apart} the best.`;
  const doubt = Number.isNaN(low[i]) ? ` How sure that is cannot be told: its tasks are of ${TOO_FEW}.` : certain;
  const ranks = ` Mean rank ${fixed(view.numbers.rank[view.state.score][i], 1)} by ${view.label}; win rate ${percent(view.numbers.win[i])}.`;
  return [
    `${place}${view.words ? ` on ${view.words}` : ""}: ${relative(view.label)} `,
    h("strong", {}, digits(values[i])),
    sure ? ` (95\u00a0% interval ${sure})` : "",
    `.${range}${doubt}${ranks}`,
  ];
}

/** What leaving one family out does to its place. */
function influenceSentence(view, i) {
  const found = view.memory.influence(view.state.score, view.tasks)[i];
  if (!found.place) return "It lacks tasks of this slice, so it has no place to lose.";
  if (view.units.names.length < 2) return "This slice has one dataset family, so none can be left out.";
  const parts = [];
  if (found.worst > found.place) parts.push(`Without ${cut(shown(found.worstWithout))} it would be ${ordinal(found.worst)}`);
  if (found.best < found.place)
    parts.push(
      `${parts.length ? "without" : "Without"} ${cut(shown(found.bestWithout))} ${parts.length ? "" : "it would be "}${ordinal(found.best)}`,
    );
  return parts.length
    ? `${parts.join(", ")}; now it is ${ordinal(found.place)}.`
    : `It stays ${ordinal(found.place)} whichever family is left out.`;
}

/** 1st, 2nd, 3rd, 11th. */
function ordinal(number) {
  const tens = number % 100;
  const ending = tens > 10 && tens < 14 ? "th" : { 1: "st", 2: "nd", 3: "rd" }[number % 10] || "th";
  return `${number}${ending}`;
}

/** The score under the three policies, where something is missing. */
function gapTable(view, i) {
  const count = view.numbers.counts[i];
  if (count.done === count.total && !count.undefined) return null;
  const found = policiesOf(view.board, view.state.score, i, view.tasks);
  const rows = [
    ["left out", found.drop],
    ["counted as the baseline", found.baseline],
    ["counted as the worst model", found.worst],
  ];
  return tableOf(
    "Score under policies for what is missing",
    [
      { head: "What is missing is", text: (row) => row[0] },
      { head: relative(view.label), number: true, text: (row) => digits(row[1]) },
    ],
    rows,
  );
}

/** Tasks that it lacks, with the reason where there is one. */
function lackTable(view, i) {
  const r = view.board.tasks.length;
  const rows = view.tasks.filter(
    (j) => view.board.status[i * r + j] !== OK && (view.board.status[i * r + j] !== 0 || view.board.models[i].own),
  );
  if (!rows.length) return null;
  const columns = [
    { head: "Task", cell: (j) => linkButton(nameOf(view.board.tasks[j].name), () => openPanel("task", taskKey(view.board.tasks[j]))) },
    { head: "State", text: (j) => STATES[view.board.status[i * r + j]] },
    { head: "Why", cell: (j) => nameOf(whyOf(view.board, i, j) || NONE) },
  ];
  return tableOf("Tasks that it lacks", columns, rows.slice(0, 100));
}

const STATES = ["missing", "ok", "failed", "skipped"];

/** Kind and words of a failure, "" when there is none. */
function whyOf(board, i, j) {
  const cell = board.cells.get(`${i},${j}`) || {};
  return [cell.failure, cell.reason].filter(Boolean).map(String).join(": ");
}

/** Its score in each group of tasks, with its place there. */
function groupTable(view, i) {
  const rows = groupsOf(view.board, view.tasks, view.state.by).map((group) => {
    const found = view.memory.numbers(group.tasks);
    const values = found.n[view.state.score];
    const size = found.pool.filter((there, k) => there && !Number.isNaN(values[k])).length;
    return { ...group, value: values[i], place: placesBy(values, found.pool)[i], whole: found.pool[i], size, done: found.counts[i].done };
  });
  const columns = [
    { head: "Group", cell: (row) => nameOf(row.name) },
    { head: relative(view.label), number: true, text: (row) => digits(row.value) },
    { head: "Place", number: true, text: (row) => (row.place ? `${row.whole ? row.place : `(${row.place})`} of ${row.size}` : NONE) },
    { head: "Tasks", number: true, text: (row) => `${row.done}/${row.tasks.length}` },
  ];
  return tableOf("Scores by group of tasks", columns, rows.slice(0, 60));
}
