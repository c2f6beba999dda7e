/* What is looked at: kept in the part of the address behind #, so that a link, a reload and the back button keep it. */

const DIMENSIONS = [
  ["domain", "Domain"],
  ["freq", "Frequency"],
  ["term", "Term"],
  ["horizon", "Horizon"],
  ["variates", "Variates"],
  ["dataset", "Dataset"],
];
const FILTERS = [
  ["source", "Source"],
  ["type", "Type"],
  ["mode", "Mode"],
  ["license", "Licence"],
  ["contamination", "Test data seen"],
];

/** What the two scores that models are compared by are called, as an address names them. */
const scoreNames = () =>
  theBoard()
    .scores.slice(0, 2)
    .map(({ label }) => label);

/** The view of someone who has chosen nothing. */
function freshState() {
  return {
    slice: Object.fromEntries(DIMENSIONS.map(([name]) => [name, []])),
    filter: Object.fromEntries(FILTERS.map(([name]) => [name, ""])),
    score: 0,
    q: "",
    sort: "main",
    desc: false,
    all: false,
    wide: false,
    by: "domain",
    open: null, // {kind: "model"|"task", key}
  };
}

/** The state that an address names; unknown parts are left out. */
function readState(hash) {
  const state = freshState();
  if (!hash.includes("=")) return state;
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  for (const [name] of DIMENSIONS) state.slice[name] = [...new Set(given.getAll(name))];
  for (const [name] of FILTERS) state.filter[name] = given.get(`m.${name}`) || "";
  state.score = Math.max(0, scoreNames().indexOf(given.get("score")));
  state.q = given.get("q") || "";
  state.sort = given.get("sort") || "main";
  state.desc = given.get("desc") === "1";
  state.all = given.get("all") === "1";
  state.wide = given.get("wide") === "1";
  state.by = DIMENSIONS.some(([name]) => name === given.get("by")) ? given.get("by") : "domain";
  for (const kind of ["model", "task"]) if (given.get(kind)) state.open = { kind, key: given.get(kind) };
  return state;
}

/** The address of a state: only what differs from the plain view. */
function writeState(state) {
  const out = new URLSearchParams();
  for (const [name] of DIMENSIONS) for (const value of state.slice[name]) out.append(name, value);
  for (const [name] of FILTERS) if (state.filter[name]) out.append(`m.${name}`, state.filter[name]);
  if (state.score) out.append("score", scoreNames()[state.score]);
  if (state.q) out.append("q", state.q);
  if (state.sort !== "main") out.append("sort", state.sort);
  for (const name of ["desc", "all", "wide"]) if (state[name]) out.append(name, "1");
  if (state.by !== "domain") out.append("by", state.by);
  if (state.open) out.append(state.open.kind, state.open.key);
  const hash = out.toString();
  return hash ? `#${hash}` : "";
}

/** Put the state into the address, as a new step of the history or in place of the last. */
function storeState(state, push) {
  const hash = writeState(state);
  if (hash === window.location.hash) return;
  const address = window.location.pathname + window.location.search + hash;
  try {
    if (push) window.history.pushState(null, "", address);
    else window.history.replaceState(null, "", address);
  } catch {
    // A browser that guards the history of files or limits its steps: the page works, only the address stays.
  }
}

/** Horizons in at most six ranges ("30–60") where there are more than eight of them; sets `range` of each task. */
function nameRanges(tasks) {
  const values = [...new Set(tasks.map((task) => task.horizon).filter(Number.isFinite))].sort((a, b) => a - b);
  if (values.length <= 8) return;
  const wanted = 6;
  for (let k = 0; k < wanted; k += 1) {
    const part = values.slice(Math.round((k * values.length) / wanted), Math.round(((k + 1) * values.length) / wanted));
    const [low, high] = [part[0], part[part.length - 1]];
    for (const task of tasks) if (task.horizon >= low && task.horizon <= high) task.range = low === high ? `${low}` : `${low}–${high}`;
  }
}

/** Values of a dimension with the number of tasks of each, in a sensible order. */
const valuesOf = (board, name) =>
  groupsOf(
    board,
    board.tasks.map((task) => task.index),
    name,
  );

/** Indices of the tasks that the chosen values leave; values that the board lacks are dropped from the state. */
function tasksOf(board, slice) {
  for (const [name] of DIMENSIONS) {
    const known = new Set(board.tasks.map((task) => groupName(task, name)));
    slice[name] = slice[name].filter((value) => known.has(value));
  }
  return board.tasks
    .filter((task) => DIMENSIONS.every(([name]) => !slice[name].length || slice[name].includes(groupName(task, name))))
    .map((task) => task.index);
}

/** The slice in words: "Energy and Web, short term", "" for the whole suite. */
function sliceWords(slice) {
  const words = {
    domain: (values) => listed(values),
    freq: (values) => `frequency ${listed(values)}`,
    term: (values) => `${listed(values)} term`,
    horizon: (values) => `horizon ${listed(values)}`,
    variates: (values) => `${listed(values)} ${values.length === 1 && values[0] === "1" ? "variate" : "variates"}`,
    dataset: (values) => (values.length > 3 ? `${values.length} datasets` : listed(values)),
  };
  return DIMENSIONS.filter(([name]) => slice[name].length)
    .map(([name]) => words[name](slice[name].map((value) => cut(shown(value)))))
    .join(", ");
}

/** States in which no label was seen: the training data is known and without them, or is older. */
const CLEAN = new Set(["clean", "after cut-off"]);

/** Whether a model's row is shown under the filters; ranks do not change by it. */
function passes(model, state) {
  const { source, type, mode, license, contamination } = state.filter;
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  const about = `${model.label} ${model.org} ${model.source} ${model.type}`.toLowerCase();
  const seen = model.contamination.state;
  const declared = seen === "declared" || model.leakage === "Yes";
  const marked = new Map([
    ["", true],
    ["clean", !declared && CLEAN.has(seen)],
    ["undeclared", !declared],
  ]);
  return (
    (!source || model.source === source) &&
    (!type || model.type === type) &&
    (!mode || model.mode === mode) &&
    (!license || model.license === license) &&
    (marked.get(contamination) ?? seen === contamination) &&
    words.every((word) => about.includes(word))
  );
}

/** The key by which an address names a model; a very long name goes by its number. */
const modelKey = (model) => (model.key.length > 200 ? `#${model.index}` : model.key);
const taskKey = (task) => (task.name.length > 200 ? `#${task.index}` : task.name);

/** The model or task that a key names, or undefined. */
function find(things, keyOf, key) {
  return things.find((thing) => keyOf(thing) === key);
}
