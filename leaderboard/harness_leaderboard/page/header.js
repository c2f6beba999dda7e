/* The first thing that is read: the verdict in words, and the best model of each domain. */

/** Draw the heading: suite, verdict, your best, facts. */
function drawHeader(view) {
  const { board } = view;
  const suite = shown(board.suite.name) || "Leaderboard";
  fill(byId("suite"), h("bdi", {}, cut(suite, 120)));
  fill(byId("summary"), cut(shown(board.suite.summary), 600));
  fill(byId("verdict"), ...verdict(view));
  fill(byId("own"), ...ownVerdict(view));
  byId("own").hidden = !byId("own").childNodes.length;
  const own = board.models.filter((model) => model.own).length;
  const done = tasksDone(view);
  const families = new Set(done.map((j) => board.tasks[j].family)).size;
  const facts = [
    done.length < view.tasks.length
      ? `${done.length} of ${plural(view.tasks.length, "task")} with results`
      : done.length < board.tasks.length
        ? `${done.length} of ${plural(board.tasks.length, "task")}`
        : plural(done.length, "task"),
    plural(families, "dataset family", "dataset families"),
    `${plural(board.models.length, "model")} (${own} own, ${board.models.length - own} published)`,
    board.suite.version && `suite version ${shown(board.suite.version)}`,
    day(shown(board.made.at)) && `made ${day(board.made.at)}`,
  ];
  fill(
    byId("facts"),
    facts.filter(Boolean).map((fact) => h("li", {}, fact)),
  );
  fill(
    byId("notes"),
    [board.selection && `Only a selection: ${cut(shown(board.selection), 600)}`, ...board.notes.map((note) => cut(shown(note), 600))]
      .filter(Boolean)
      .map((note) => h("li", {}, note)),
  );
  byId("notes").hidden = !byId("notes").childNodes.length;
  for (const name of Object.keys(SECTIONS)) {
    const out = board.hidden.has(name) || (name === "verdicts" && !board.verdicts.length);
    byId(`s-${name}`).hidden = out;
    document.querySelector(`nav a[href="#s-${name}"]`).parentElement.hidden = out;
  }
}

/** A model in a sentence: a button that opens its panel. */
function modelLink(view, i, props = {}) {
  return linkButton(nameOf(view.board.models[i].label), () => openPanel("model", modelKey(view.board.models[i])), props);
}

/** A model within a sentence: a real link, as its name breaks like the words around it; a very long one is cut. */
function modelWord(view, i) {
  const model = view.board.models[i];
  const open = { kind: "model", key: modelKey(model) };
  const follow = (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a tab of its own
    event.preventDefault();
    changeState({ open }, true);
  };
  return h(
    "a",
    { class: "word", href: writeState({ ...view.state, open }), on: { click: follow } },
    h("bdi", { title: shown(model.label) }, cut(shown(model.label), 80)),
  );
}

/** The verdict for the slice: who is best, how sure that is, who is as good. */
function verdict(view) {
  const { values, ranked } = view;
  const where = view.words ? ` on ${view.words}` : "";
  if (!view.tasks.length) return [view.board.tasks.length ? "No task is in this slice. Remove a choice below." : "This suite has no task."];
  if (!ranked.length) return [`No model has an ${relative(view.label)}${where} yet.`];
  const [best] = ranked;
  const first = h("strong", { class: "winner" }, modelWord(view, best));
  const number = h("strong", { class: "figure" }, digits(values[best]));
  const sure = between(view.low[best], view.high[best]);
  const interval = sure ? h("span", { class: "soft" }, ` (95\u00a0% interval ${sure} over ${unitWords(view, [best])})`) : "";
  if (ranked.length === 1)
    return [
      first,
      ` is the only model with ${view.numbers.full[best] ? "every task" : "a score"}${where}: ${relative(view.label)} `,
      number,
      interval,
      ".",
    ];
  const ties = ranked.filter((i) => i !== best && values[i] === values[best]);
  const shared = ties.length
    ? ` shares the lowest ${relative(view.label)}${where} with ${plural(ties.length, "other model")}: `
    : ` has the lowest ${relative(view.label)}${where}: `;
  return [first, shared, number, interval, ". ", ...closeWords(view, best), ...pathWords(view)];
}

/** Who cannot be told apart from the best. */
function closeWords(view, best) {
  const m = view.board.models.length;
  if (Number.isNaN(view.low[best])) return [`Its tasks are of ${TOO_FEW}: how sure that is cannot be told.`];
  const close = view.ranked.filter((i) => i !== best && view.apart[best * m + i] <= 0);
  if (!close.length) return ["Every other model is told apart from it."];
  const names = close.slice(0, 3).flatMap((i, k) => [k ? ", " : "", modelWord(view, i)]);
  const more = close.length > 3 ? ` and ${close.length - 3} more` : "";
  return [`${plural(close.length, "model")} cannot be told apart from it: `, ...names, `${more}.`];
}

/** A caution where no model has all tasks. */
function pathWords(view) {
  if (view.numbers.full.includes(1)) return [];
  if (alike(view)) return [` All are on the same ${tasksDone(view).length} of ${plural(view.tasks.length, "task")}.`];
  return [" No model has every task here, so the means are over different tasks."];
}

/** The best own model: one with all tasks where there is one, and the baseline only where there is no other; undefined without any. */
function ownBest(view, values = view.values, found = view.numbers) {
  const mine = orderBy(view.board, values).filter((i) => view.board.models[i].own && !Number.isNaN(values[i]));
  const real = mine.filter((i) => view.board.models[i].model !== view.board.suite.baseline);
  const among = real.length ? real : mine;
  return among.find((i) => found.full[i]) ?? among[0];
}

/** The sentence about the best own model; nothing where there is none, or it is the best of all. */
function ownVerdict(view) {
  const { board, values } = view;
  const best = ownBest(view);
  if (best === undefined) return board.models.some((model) => model.own) ? ["Your own models have no score on this slice yet."] : [];
  if (best === view.ranked[0]) return ["The best is one of your own models."];
  const place = `place ${view.place[best]} of ${view.ranked.length}`;
  const count = view.numbers.counts[best];
  const where = view.numbers.pool[best]
    ? place
    : `on ${count.done} of ${plural(count.total, "task")}; among models with all tasks that mean would be ${place}`;
  return ["Your best: ", h("strong", {}, modelWord(view, best)), `, ${digits(values[best])}, ${where}.`];
}

/** The best model of each group of the whole suite; a click chooses that slice. */
function drawBests(view) {
  const { board, state, memory } = view;
  const column =
    valuesOf(board, "domain").length > 1
      ? "domain"
      : ["term", "freq", "dataset"].find((name) => valuesOf(board, name).length > 1) || "domain";
  const title = { domain: "domain", term: "term", freq: "frequency", dataset: "dataset" }[column];
  byId("h-bests").textContent = `Best by ${title}`;
  const groups = valuesOf(board, column).map((group) => ({ ...group, best: memory.best(state.score, group.tasks) }));
  const ranged = groups.some(({ best }) => best && between(best.low, best.high));
  const pick = (group) => changeState({ slice: { ...freshState().slice, [column]: [group.name] } }, true);
  const columns = [
    {
      head: title[0].toUpperCase() + title.slice(1),
      cell: (group) =>
        linkButton(nameOf(group.name), () => pick(group), { "aria-pressed": String(state.slice[column].includes(group.name)) }),
    },
    { head: "Best model", cell: (group) => (group.best ? modelLink(view, group.best.model) : NONE) },
    { head: relative(view.label), number: true, cell: (group) => intervalCell(group.best, ranged) },
    {
      head: "Not told apart",
      title: "models with all tasks of the group that cannot be told apart from the best",
      text: (group) => closeText(group.best),
    },
    { head: "Your best", cell: (group) => ownCell(view, group) },
    { head: "Tasks", number: true, text: (group) => String(group.tasks.length) },
  ].filter(({ head }) => head !== "Your best" || board.models.some((model) => model.own));
  fill(byId("bests"), tableOf(`Best model by ${title}`, columns, groups.slice(0, 40), { class: "bests" }));
}

/** The best own model of a group with its score, and of how many tasks where it lacks some. */
function ownCell(view, group) {
  const found = view.memory.numbers(group.tasks);
  const values = found.n[view.state.score];
  const own = ownBest(view, values, found);
  if (own === undefined) return NONE;
  const count = found.counts[own];
  return h(
    "span",
    { class: "pair" },
    modelLink(view, own),
    digits(values[own]),
    count.done < count.total ? h("span", { class: "soft" }, `${count.done} of ${count.total} tasks`) : null,
  );
}

/** "0.61" with the interval in a lighter tone, and room for it where others in the column have one. */
function intervalCell(best, ranged) {
  if (!best) return NONE;
  const range = between(best.low, best.high);
  return h("span", { class: "pair" }, h("strong", {}, digits(best.value)), ranged ? h("span", { class: "soft wide" }, range) : null);
}

/** "5 others", "none", or why that cannot be told. */
function closeText(best) {
  if (!best || best.close === null) return best ? TOO_FEW : NONE;
  return best.close.length ? plural(best.close.length, "other") : "none";
}
