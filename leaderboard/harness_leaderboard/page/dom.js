/* Elements without strings of HTML: whatever a stranger named becomes a text node or an attribute's value. */

/**
 * Make an element. `props`: class, attributes by name, `on` {event: handler}; null and false are left out. Children: elements or text.
 * @returns {HTMLElement}
 */
function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, handler] of Object.entries(value)) element.addEventListener(event, handler);
    else if (name === "style") for (const [key, part] of Object.entries(value)) element.style.setProperty(key, part);
    else element.setAttribute(name === "class" ? "class" : name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Replace what is inside an element. */
const fill = (element, ...children) =>
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));

const byId = (id) => document.getElementById(id);

/** A name that a stranger chose: cut by the style, whole in the title, its direction kept to itself. */
function nameOf(value, props = {}) {
  const visible = shown(value);
  return h("bdi", { class: "name", title: visible, ...props }, visible);
}

/** Where a model's results come from, as text beside its name. */
function badgeOf(model) {
  const title = model.own ? "run with this harness" : `published results: ${shown(model.source)}`;
  return h("span", { class: model.own ? "badge own" : "badge", title }, shown(model.own ? "own" : model.source || "?"));
}

/** A button that looks like one of the text's links. */
const linkButton = (child, onclick, props = {}) => h("button", { type: "button", class: "link", on: { click: onclick }, ...props }, child);

/**
 * A table. Columns: {head, text(row) or cell(row), number?, title?, head row header?}; in a box that scrolls by itself.
 * @param {string} caption  what the table shows, for those who do not see it
 */
function tableOf(caption, columns, rows, props = {}) {
  const head = h(
    "tr",
    {},
    columns.map((column) => h("th", { scope: "col", class: column.number ? "number" : null, title: column.title }, column.head)),
  );
  const body = rows.map((row) =>
    h(
      "tr",
      { class: props.rowClass ? props.rowClass(row) : null },
      columns.map((column, k) => {
        const content = column.cell ? column.cell(row) : shown(column.text(row));
        return h(k === 0 ? "th" : "td", { scope: k === 0 ? "row" : null, class: column.number ? "number" : null }, content);
      }),
    ),
  );
  return boxOf(
    caption,
    h("table", {}, h("caption", { class: "unseen" }, caption), h("thead", {}, head), h("tbody", {}, body)),
    props.class,
  );
}

/** A box that scrolls by itself, reachable by keyboard. */
function boxOf(label, content, extra = "") {
  return h("div", { class: `box ${extra || ""}`.trim(), tabindex: "0", role: "region", "aria-label": cut(label, 150) }, content);
}

/** The texts of the table inside an element: head and rows that are shown. */
function tableTexts(element) {
  const texts = (row) => [...row.cells].map((cell) => (cell.dataset.value ?? cell.innerText ?? "").replace(/\s+/g, " ").trim());
  return [...element.querySelectorAll("tr")].filter((row) => row.cells.length && !row.hidden).map(texts);
}

/** Put text on the clipboard, also from a file that opens from disk; resolves to whether it worked. */
async function copyText(value) {
  try {
    await navigator.clipboard.writeText(value);
    return true;
  } catch {
    const area = h("textarea", { class: "unseen", "aria-hidden": "true", tabindex: "-1" });
    area.value = value;
    const place = document.querySelector("dialog[open]") || document.body;
    place.append(area);
    const focused = document.activeElement;
    area.select();
    const worked = document.execCommand("copy");
    area.remove();
    if (focused) focused.focus();
    return worked;
  }
}

/** A button that copies what `make` returns, and says that it did. */
function copyButton(label, make) {
  const button = h("button", { type: "button", class: "small" }, label);
  button.addEventListener("click", async () => {
    const worked = await copyText(make());
    say(worked ? "Copied." : "Copying is not allowed here.");
    button.textContent = worked ? "Copied" : "Not allowed here";
    setTimeout(() => {
      button.textContent = label;
    }, 1500);
  });
  return button;
}

/** Two buttons that copy a table (rows of text, made when asked) as CSV and Markdown. */
const copyButtons = (make) =>
  h(
    "span",
    { class: "copy" },
    copyButton("Copy as CSV", () => toCsv(make())),
    copyButton("Copy as Markdown", () => toMarkdown(make())),
  );

/** Say something to those who listen to the page. */
function say(message) {
  const place = document.querySelector("dialog[open] .spoken") || byId("spoken");
  place.textContent = message;
}

/** A labelled choice; options are [value, text]. */
function choice(label, options, value, onchange, props = {}) {
  const select = h(
    "select",
    { on: { change: (event) => onchange(event.target.value) }, ...props },
    options.map(([key, name]) => h("option", { value: key, selected: key === value }, cut(shown(name), 48))),
  );
  return h("label", { class: "field" }, h("span", {}, label), select);
}
