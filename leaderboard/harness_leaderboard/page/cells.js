/* What stands in the ranking's cells: places, names with their marks, intervals as bars. */

/** Why there is no interval. */
const TOO_FEW = "one or two dataset families, or nearly";

/** Place as text: 3, (12) for a model that lacks tasks. */
function placeText(view, i) {
  if (!view.place[i]) return NONE;
  return view.numbers.pool[i] ? String(view.place[i]) : `(${view.place[i]})`;
}

/** "2–9", or "3" where nothing else is possible; none where the scores are of too few dataset families. */
function rangeText(view, i) {
  if (!view.bestPlace[i]) return NONE;
  return view.bestPlace[i] === view.worstPlace[i] ? String(view.bestPlace[i]) : `${view.bestPlace[i]}–${view.worstPlace[i]}`;
}

/** Name, source, marks that the notes explain, and the disagreement of the two means in words. */
function modelCell(view, i) {
  const model = view.board.models[i];
  const count = view.numbers.counts[i];
  const marks = [
    [count.done < count.total, "†", "not all tasks"],
    [count.undefined > 0, "‡", "ratios that are not defined"],
    [count.stale > 0, "⚠ stale", "results that no longer hold"],
    [count.baselineStale > 0, "⚠ baseline", "a stale baseline"],
  ]
    .filter(([there]) => there)
    .map(([, mark, words]) => h("abbr", { class: "mark", title: words }, mark));
  const { flagged, byMean, byRank } = view.disagreement;
  return h(
    "span",
    {},
    h("span", { class: "who" }, modelLink(view, i), badgeOf(model), marks),
    flagged[i] ? h("span", { class: "flag" }, `#${byMean[i]} by ${relative(view.label)}, #${byRank[i]} by mean rank`) : null,
  );
}

/** Done of total, and in words what is not. */
function tasksCell(count) {
  const lacks = [
    [count.failed, "failed"],
    [count.skipped, "skipped"],
    [count.missing, "missing"],
  ]
    .filter(([number]) => number)
    .map(([number, word]) => `${number} ${word}`);
  return h("span", {}, `${count.done}/${count.total}`, lacks.length ? h("span", { class: "flag" }, lacks.join(", ")) : null);
}

/** The interval as a bar on a scale that all rows share, and as numbers. */
function intervalBar(view, i) {
  const [low, high, value] = [view.low[i], view.high[i], view.values[i]];
  if (!between(low, high)) return h("span", { class: "soft", title: Number.isNaN(value) ? null : `${TOO_FEW}: cannot be told` }, NONE);
  const at = view.scale;
  const bar = h(
    "span",
    { class: "range", "aria-hidden": "true" },
    h("span", { class: "one", style: { left: `${at(1)}%` } }),
    h("span", { class: "span", style: { left: `${at(low)}%`, width: `${Math.max(1, at(high) - at(low))}%` } }),
    h("span", { class: "point", style: { left: `${at(value)}%` } }),
  );
  return h("span", { class: "interval" }, bar, h("span", { class: "soft" }, `${digits(low)}–${digits(high)}`));
}

/** A logarithmic scale in per cent for the bars: most intervals of the shown rows and the baseline fit in. */
function barScale(view, rows) {
  const ends = rows
    .flatMap((i) => [view.low[i], view.high[i]])
    .filter((x) => Number.isFinite(x) && x > 0)
    .map(Math.log);
  const low = Math.max(Math.min(-0.05, ...ends), -2.3);
  const high = Math.min(Math.max(0.05, ...ends), 0.35);
  return (x) => Math.min(100, Math.max(0, (100 * (Math.log(x) - low)) / (high - low)));
}

/** A head with a button that sorts; the second click turns the order round. */
function headCell(view, column, isSorted) {
  const turn = () =>
    changeState({ sort: column.key, desc: isSorted ? !view.state.desc : column.high || ["win", "tasks", "date"].includes(column.key) }, false);
  const direction = view.state.desc ? "descending" : "ascending";
  return h(
    "th",
    { scope: "col", class: column.number ? "number" : null, "aria-sort": isSorted ? direction : "none", "data-key": column.key },
    h(
      "button",
      { type: "button", title: column.title, on: { click: turn } },
      column.head,
      h("span", { class: "arrow", "aria-hidden": "true" }, isSorted ? (view.state.desc ? "▼" : "▲") : ""),
      column.note ? h("span", { class: "unit" }, column.note) : null,
    ),
  );
}

/** A cell; `data-value` is what is copied: a number in full, or the text. */
function bodyCell(column, i) {
  const value = column.text ? column.text(i) : column.value(i);
  const whole = typeof value === "number" ? (Number.isNaN(value) ? "" : String(value)) : shown(value);
  const main = column.key === "model";
  return h(
    main ? "th" : "td",
    { scope: main ? "row" : null, class: [column.number && "number", `c-${column.key}`].filter(Boolean).join(" "), "data-value": whole },
    column.cell(i),
  );
}
