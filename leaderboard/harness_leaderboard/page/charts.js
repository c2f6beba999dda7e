/* Pictures: Vega-Lite specifications made in Python, drawn by the bundle that lies packed in the page until the first one is wanted. */

const Pictures = {
  ready: null,
  described: null,
  drawn: new Map(), // element -> what to finalize
};

/** Unpack and run the bundle once; gives vega-embed's function. Nothing of it stays global. */
function vega() {
  Pictures.ready ||= unpacked("bundle").then(async (source) => {
    await pause();
    const script = h("script", {}, `(function () {${source}\n})();`);
    document.head.append(script);
    script.remove();
    const embed = window.vegaEmbed;
    if (!embed) throw new Error("the bundle that draws pictures did not start");
    for (const name of ["vegaEmbed", "vega", "vegaLite"]) delete window[name];
    await pause();
    return embed;
  });
  return Pictures.ready;
}

/** Let the browser answer its reader between two long pieces of work. */
const pause = () => new Promise((go) => setTimeout(go, 0));

/** {specs, light, dark}: specifications by name and the configuration of each theme. */
function described() {
  Pictures.described ||= JSON.parse(byId("specifications").textContent);
  return Pictures.described;
}

const isDark = () => {
  const chosen = document.documentElement.dataset.theme;
  if (matchMedia("print").matches) return false;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

/** A record without NaN and infinity, which the pictures cannot draw. */
const finiteRow = (row) =>
  Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, typeof value === "number" && !Number.isFinite(value) ? null : value]),
  );

/**
 * Draw a picture into an element.
 * @param {string} label  what is to be seen, in a sentence, for those who do not see it
 * @param {object[]} rows  records with the columns of the picture's docstring
 * @param {{facet?: number, gap?: number, left?: string, most?: number, change?: Function}} options  facet: least width of a small multiple
 */
async function picture(element, name, label, rows, options = {}) {
  const spec = described().specs[name];
  const width = element.clientWidth;
  if (!spec || !width || !rows.length) return fill(element, spec ? null : "This picture is not in the page.");
  const token = {};
  element.pictureToken = token;
  const embed = await vega();
  const narrow = width < 560;
  const theme = described()[isDark() ? "dark" : "light"];
  const limit = Math.round(Math.min(180, Math.max(70, width * 0.32)));
  // A mark's colour of the configuration is stronger than the fill or stroke of a style, so styles name it as colour too.
  const style = Object.fromEntries(
    Object.entries(theme.style).map(([key, value]) => [key, { color: value.fill || value.stroke, ...value }]),
  );
  const config = {
    ...theme,
    style,
    aria: false,
    axis: { ...theme.axis, labelLimit: limit },
    legend: { ...theme.legend, labelLimit: Math.min(220, width - 60) },
  };
  const drawing = structuredClone({ ...spec, config, datasets: { ...(spec.datasets || {}), rows: rows.map(finiteRow) } });
  nameModels(drawing, rows, narrow ? 2 : 4);
  if (options.facet) {
    // Small multiples: `left` is taken by names or numbers of the first column, `gap` by what stands right of each.
    const left = options.left === "names" ? limit + 12 : 40;
    const room = Math.max(1, Math.min(options.most, Math.floor((width - left) / (options.facet + options.gap))));
    const many = new Set(rows.map((row) => row.group ?? row.model)).size;
    const columns = Math.ceil(many / Math.ceil(many / room)); // 3 + 2 rather than 4 + 1
    drawing.columns = columns;
    drawing.spec.width = Math.max(60, Math.floor((width - left - 12) / columns) - options.gap);
    drawing.spacing = { row: 18, column: options.gap };
  } else if (drawing.width === "container") {
    drawing.autosize = { type: "fit-x", contains: "padding" };
    // A height in numbers: with one in steps Vega-Lite remarks on the console that it cannot fit both.
    if (drawing.height && drawing.height.step) drawing.height = drawing.height.step * bandsOf(rows);
  }
  if (options.change) options.change(drawing, narrow);
  const canvas = h("div", { class: "canvas", "aria-hidden": "true" }); // the element around it says what it shows
  // vega measures the element, so it must be in the page.
  const old = [...element.children];
  canvas.style.width = `${width}px`;
  element.append(canvas);
  const result = await embed(canvas, drawing, { ast: true, actions: false, renderer: "svg", logLevel: 1, mode: "vega-lite" });
  if (element.pictureToken !== token) {
    result.finalize();
    canvas.remove();
    return undefined;
  }
  for (const other of old) other.remove();
  Pictures.drawn.get(element)?.finalize();
  Pictures.drawn.set(element, result);
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", cut(label, 300));
  return result;
}

/** Name the models of colours, dashes and shapes outright: only then are they one legend; it has `columns` of names. */
function nameModels(spec, rows, columns) {
  const order = new Map();
  for (const row of rows) if (row.model !== undefined && !order.has(row.model)) order.set(row.model, row.order ?? order.size);
  const domain = [...order.keys()].sort((a, b) => order.get(a) - order.get(b));
  for (const { encoding } of spec.layer || []) {
    for (const channel of ["color", "strokeDash", "shape"]) {
      const part = encoding && encoding[channel];
      if (!part || part.field !== "model") continue;
      part.scale = { ...part.scale, domain };
      if (part.legend) part.legend.columns = columns;
    }
  }
}

/** How many bands a picture has: its models, or the rows that the critical-difference picture lays out. */
function bandsOf(rows) {
  const places = rows.flatMap((row) => ("row" in row ? [row.row, row.above, row.base] : [row.model]));
  return new Set(places.filter((place) => place !== undefined)).size;
}

/** An element to draw into, with the numbers behind it to open and to copy. */
function pictureWithNumbers(view, name, label, rows, columns, options = {}) {
  const place = h("div", { class: options.square ? "picture square" : "picture" });
  const shownRows = options.tableRows || rows;
  const figure = h("figure", {}, place, shownRows.length && columns ? numbersBehind(label, columns, shownRows) : null);
  // Drawn when it is in the page and has a width.
  queueMicrotask(() => picture(place, name, label, rows, options).catch((error) => notDrawn(place, error)));
  return figure;
}

/** The numbers behind a picture: a table that is made when it is opened. */
function numbersBehind(label, columns, rows) {
  const details = h("details", { class: "numbers" }, h("summary", {}, "The numbers"));
  details.addEventListener("toggle", () => {
    if (!details.open || details.children.length > 1) return;
    const table = tableOf(label, columns, rows);
    details.append(
      table,
      copyButtons(() => tableTexts(table)),
    );
  });
  return details;
}

/** Say that something could not be drawn, and keep the reason for those who look for it. */
function notDrawn(element, error) {
  console.error(error);
  fill(element, h("p", { class: "empty" }, `This could not be drawn: ${cut(shown(error && error.message), 200)}`));
}

/** Forget pictures of elements that have left the page. */
function forgetPictures() {
  for (const [element, result] of Pictures.drawn) {
    if (element.isConnected) continue;
    result.finalize();
    Pictures.drawn.delete(element);
  }
}
