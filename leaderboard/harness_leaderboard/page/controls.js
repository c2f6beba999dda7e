/* Choices: slices of the tasks (they recompute everything) and filters of the models (they only hide rows). */

/** Build the menus of slices once for a board; what is chosen is marked by drawControls. */
function buildControls(board) {
  const menus = DIMENSIONS.map(([name, title]) => sliceMenu(board, name, title)).filter(Boolean);
  const scores = h(
    "fieldset",
    { class: "toggle" },
    h("legend", { class: "unseen" }, "Score"),
    scoreNames().map((label, k) =>
      h(
        "label",
        {},
        h("input", { type: "radio", name: "score", value: label, "data-score": k, on: { change: () => changeState({ score: k }, true) } }),
        h("span", {}, nameOf(label)),
      ),
    ),
  );
  fill(byId("menus"), h("span", { class: "lead-in" }, "Tasks"), menus, twins(board) ? null : scores);
  fill(byId("filters"), filterFields(board));
}

/** Whether both main scores are one, as in a suite that has a single metric. */
const twins = (board) => board.scores[0].name === board.scores[1].name;

/** A menu of checkboxes for one dimension; none where all tasks are alike in it. */
function sliceMenu(board, name, title) {
  const values = valuesOf(board, name);
  if (values.length < 2) return null;
  const boxes = values.map((value) =>
    h(
      "label",
      { class: "tick" },
      h("input", { type: "checkbox", "data-value": value.name, on: { change: () => chooseSlice(menu, name) } }),
      nameOf(value.name),
      h("span", { class: "soft" }, ` ${value.tasks.length}`),
    ),
  );
  const menu = h(
    "details",
    { class: "menu", "data-dimension": name },
    h("summary", {}, title),
    h(
      "fieldset",
      {},
      h("legend", { class: "unseen" }, title),
      values.length > 12 ? narrowing(boxes, title) : null,
      h("div", { class: "ticks" }, boxes),
    ),
  );
  menu.addEventListener("toggle", () => {
    if (menu.open) for (const other of document.querySelectorAll("details.menu[open]")) if (other !== menu) other.open = false;
  });
  return menu;
}

/** A field that narrows a long list of checkboxes. */
function narrowing(boxes, title) {
  return h("input", {
    type: "search",
    "aria-label": `Narrow the list of ${title.toLowerCase()}s`,
    placeholder: "Narrow …",
    on: {
      input: (event) => {
        const wanted = event.target.value.toLowerCase();
        for (const box of boxes) box.hidden = !box.textContent.toLowerCase().includes(wanted);
      },
    },
  });
}

/** Take the ticked values of a menu into the state. */
function chooseSlice(menu, name) {
  const values = [...menu.querySelectorAll("input[data-value]:checked")].map((box) => box.dataset.value);
  changeState({ slice: { ...theState().slice, [name]: values } }, true);
}

const CONTAMINATION = [
  ["clean", "clean on every task"],
  ["undeclared", "none declared"],
];

/** Fields that hide rows of the ranking. */
function filterFields(board) {
  const search = h("input", {
    type: "search",
    id: "search",
    autocomplete: "off",
    spellcheck: "false",
    on: { input: (event) => changeState({ q: event.target.value }, false) },
  });
  const change = (name) => (value) => changeState({ filter: { ...theState().filter, [name]: value } }, true);
  const fields = FILTERS.map(([name, title]) => {
    const of = (model) => (name === "contamination" ? model.contamination.state : model[name]);
    const values = [...new Set(board.models.map(of))].filter(Boolean).sort(compareText);
    if (values.length < 2) return null;
    const options = [
      ["", "all"],
      ...(name === "contamination" ? CONTAMINATION : []),
      ...values.filter((value) => name !== "contamination" || value !== "clean").map((value) => [value, name === "source" && value === "own" ? "own runs" : value]),
    ];
    return choice(title, options, "", change(name), { "data-filter": name });
  });
  return [h("label", { class: "field wide" }, h("span", {}, "Find a model"), search), ...fields];
}

/** Mark what is chosen, show it as removable chips, and say what is left. */
function drawControls(view) {
  const { state, board } = view;
  for (const menu of document.querySelectorAll("details.menu")) {
    const chosen = state.slice[menu.dataset.dimension];
    for (const box of menu.querySelectorAll("input[data-value]")) box.checked = chosen.includes(box.dataset.value);
    menu.classList.toggle("chosen", chosen.length > 0);
  }
  for (const radio of document.querySelectorAll("#menus input[name=score]")) radio.checked = Number(radio.dataset.score) === state.score;
  for (const select of document.querySelectorAll("select[data-filter]")) select.value = state.filter[select.dataset.filter];
  const search = byId("search");
  if (search && search.value !== state.q) search.value = state.q;
  const chips = DIMENSIONS.flatMap(([name, title]) => state.slice[name].map((value) => chip(name, title, value)));
  if (chips.length)
    chips.push(
      h(
        "button",
        { type: "button", class: "small", on: { click: () => changeState({ slice: freshState().slice }, true) } },
        "The whole suite",
      ),
    );
  fill(
    byId("chips"),
    chips.length ? [h("span", { class: "soft" }, `${view.tasks.length} of ${plural(board.tasks.length, "task")}`), ...chips] : [],
  );
}

/** One chosen value; a click removes it. */
function chip(name, title, value) {
  const remove = () => {
    changeState({ slice: { ...theState().slice, [name]: theState().slice[name].filter((other) => other !== value) } }, true);
    (document.querySelector("#chips button") || document.querySelector("#menus summary")).focus();
  };
  return h(
    "button",
    { type: "button", class: "chip", "aria-label": `Remove ${title}: ${cut(shown(value))}`, on: { click: remove } },
    h("span", { class: "soft" }, `${title} `),
    nameOf(value),
    h("span", { class: "cross", "aria-hidden": "true" }, "×"),
  );
}

/** Menus close on Escape and on a click elsewhere. */
function watchMenus() {
  document.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && document.querySelector("details.menu[open]");
    if (!open) return;
    open.open = false;
    open.querySelector("summary").focus();
  });
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
}
