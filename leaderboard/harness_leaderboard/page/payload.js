/* From the embedded payload to typed arrays. Nothing here trusts a length, a name or a number. */

const ARRAYS = { f8: Float64Array, f4: Float32Array, u1: Uint8Array, u2: Uint16Array, i4: Int32Array };

/** Bytes of base64 text. */
function bytesOf(text) {
  const clean = text.trim();
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(clean);
  const raw = atob(clean);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i += 1) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

/** The text that was packed with gzip and base64 into the element `id`. */
async function unpacked(id) {
  const stream = new Blob([bytesOf(document.getElementById(id).textContent)]).stream();
  return new Response(stream.pipeThrough(new DecompressionStream("gzip"))).text();
}

/**
 * A stored array as a typed array of exactly `size` numbers (little-endian, C order); what is missing is NaN or 0.
 * @param {{dtype: string, data: string}|null|undefined} record
 * @param {number} size  product of the axes that are expected; -1 takes what is there
 * @param {string} dtype  what it is when the record is absent
 */
function numbers(record, size, dtype = "f8") {
  const kind = ARRAYS[record && record.dtype] || ARRAYS[dtype];
  let found = new kind(0);
  if (record && record.data) {
    const bytes = bytesOf(record.data);
    found = new kind(bytes.buffer, 0, Math.floor(bytes.byteLength / kind.BYTES_PER_ELEMENT));
  }
  if (size < 0 || found.length === size) return found;
  const whole = new kind(size);
  if (kind === Float64Array || kind === Float32Array) whole.fill(NaN);
  whole.set(found.subarray(0, size));
  return whole;
}

const text = (value) => (value === null || value === undefined ? "" : String(value));
const list = (value) => (Array.isArray(value) ? value : []);

/** One model's record with every field there. */
function modelOf(raw, index) {
  const clean = { index };
  const fields = [
    "label",
    "model",
    "source",
    "mode",
    "budget",
    "scope",
    "type",
    "org",
    "license",
    "weights_license",
    "link",
    "leakage",
    "output",
    "summary",
  ];
  for (const field of fields) clean[field] = text(raw[field]);
  clean.label = clean.label || clean.model || `model ${index + 1}`;
  clean.parameters = Number.isFinite(raw.parameters) ? raw.parameters : NaN;
  clean.seeds = Number.isFinite(raw.seeds) ? raw.seeds : 1;
  const state = raw.contamination || {};
  const counts = state.counts || {};
  clean.contamination = {
    state: text(state.state) || "unknown",
    text: text(state.text),
    counts: Object.fromEntries(Object.entries(counts).filter(([, count]) => Number.isFinite(count))),
  };
  clean.own = clean.source === "own";
  clean.key = [clean.source, clean.mode, clean.budget, clean.scope, clean.model].join("|");
  return clean;
}

/** One task's record with every field there. */
function taskOf(raw, index) {
  const clean = { index };
  for (const field of ["name", "dataset", "family", "domain", "freq", "term"]) clean[field] = text(raw[field]);
  for (const field of ["horizon", "season_length", "variates"]) clean[field] = Number.isFinite(raw[field]) ? raw[field] : NaN;
  clean.name = clean.name || `task ${index + 1}`;
  clean.family = clean.family || clean.dataset || clean.name;
  return clean;
}

/**
 * The payload as the script uses it. Axes: M models, R tasks, S scores, Q levels.
 * @returns {object} models [M], tasks [R], scores [S] of {name, label, values [M×R], baseline [R]}, status, stale, cost, logs of ratios …
 */
function readBoard(raw) {
  const models = list(raw.models).map(modelOf);
  const tasks = list(raw.tasks).map(taskOf);
  const [m, r] = [models.length, tasks.length];
  const scores = list(raw.scores).map((score) => ({
    name: text(score.name),
    label: text(score.label || score.name),
    values: numbers(score.values, m * r),
    baseline: numbers(score.baseline, r),
    own: Boolean(score.own),
    what: text(score.what),
    unit: text(score.unit),
    direction: text(score.direction),
  }));
  for (const label of ["MASE", "CRPS"].slice(scores.length)) {
    scores.push({ name: label, label, values: new Float64Array(m * r).fill(NaN), baseline: new Float64Array(r).fill(NaN) });
  }
  const cost = raw.cost || {};
  const board = {
    suite: raw.suite || {},
    made: raw.made || {},
    notes: list(raw.notes).map(text),
    selection: text(raw.selection),
    shown: Array.isArray(raw.shown) ? new Set(raw.shown) : null, // rows that the command asked for; null = all
    models,
    tasks,
    scores,
    own: scores.map((_, s) => s).filter((s) => scores[s].own), // columns of the suite's own
    verdicts: list(raw.verdicts)
      .map((said) => ({ task: Number.isInteger(said?.task) ? said.task : null, text: text(said?.text), plain: text(said?.plain) }))
      .filter((said) => said.text && (said.task === null || tasks[said.task])),
    hidden: new Set(list(raw.hidden).map(text)), // sections that say nothing here
    logs: [logRatios(scores[0], m, r), logRatios(scores[1], m, r)],
    status: numbers(raw.status, m * r, "u1"),
    stale: numbers(raw.stale, m * r, "u1"),
    baselineStale: numbers(raw.baseline_stale, r, "u1"),
    cost: Object.fromEntries(["fit_s", "predict_s", "windows", "peak_mb"].map((name) => [name, numbers(cost[name], m * r, "f4")])),
    fallback: raw.fallback
      ? { fallen: numbers(raw.fallback.fallen, m * r, "f4"), answered: numbers(raw.fallback.answered, m * r, "f4") }
      : null, // forecasts that are not the models' own; null = there are none
    hardware: models.map((_, i) => text(list(cost.hardware)[i])),
    places: list(raw.receipts && raw.receipts.places), // machines and versions that receipts share
    cells: new Map(Object.entries((raw.receipts && raw.receipts.cells) || {})),
    statistics: { level: 0.95, fewest: 3, resamples: 2000, seed: 0, nemenyi: [], critical: [], tail: [], most: {}, ...(raw.statistics || {}) },
    calibration: readCalibration(raw.calibration, r),
    steps: readSteps(raw.steps, r),
    explorer: readExplorer(raw.explorer),
  };
  board.latest = latestDates(board);
  return board;
}

/** [M×R] logs of score / baseline; NaN where either is missing, zero, negative or infinite. */
function logRatios(score, m, r) {
  const logs = new Float64Array(m * r).fill(NaN);
  for (let i = 0; i < m; i += 1) {
    for (let j = 0; j < r; j += 1) {
      const [value, base] = [score.values[i * r + j], score.baseline[j]];
      if (value > 0 && base > 0 && value < Infinity && base < Infinity) logs[i * r + j] = Math.log(value / base);
    }
  }
  return logs;
}

/** [M] the newest time of a model's own cells as ISO text, "" when there is none. */
function latestDates(board) {
  const dates = board.models.map(() => "");
  for (const [place, cell] of board.cells) {
    const model = Number(place.split(",")[0]);
    const at = text(cell && cell.at);
    if (at > (dates[model] ?? at)) dates[model] = at;
  }
  return dates;
}

/** Calibration sums: {models [O], levels [Q], n [O×R], hits [O×R×Q]}, or null. */
function readCalibration(raw, r) {
  if (!raw || !list(raw.models).length || !list(raw.levels).length) return null;
  const [o, q] = [raw.models.length, raw.levels.length];
  return {
    models: raw.models,
    levels: raw.levels,
    n: numbers(raw.n, o * r, "f4"),
    hits: numbers(raw.hits, o * r * q, "f4"),
    leftOut: Number(raw.left_out) || 0,
  };
}

/** Errors by step: {models [O], points [R], offset [R], step [ΣP], mase [O×ΣP], width ΣP}, or null. */
function readSteps(raw, r) {
  if (!raw || !list(raw.models).length) return null;
  const step = numbers(raw.step, -1, "f4");
  return {
    models: raw.models,
    points: numbers(raw.points, r, "u2"),
    offset: numbers(raw.offset, r, "i4"),
    step,
    width: step.length,
    mase: numbers(raw.mase, raw.models.length * step.length, "f4"),
  };
}

/** Kept forecasts, or null; arrays are read when a window is drawn. */
function readExplorer(raw) {
  if (!raw || !list(raw.models).length || !list(raw.tasks).length) return null;
  return { models: raw.models, tasks: raw.tasks, levels: list(raw.levels), leftOut: text(raw.left_out) };
}
