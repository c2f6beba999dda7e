/* The page as a whole: reads the payload, keeps the state, draws what is seen and marks the rest for later. */

const SECTIONS = {
  verdicts: drawVerdicts,
  intervals: drawIntervals,
  domains: drawDomains,
  heatmap: drawHeatmap,
  wins: drawWins,
  critical: drawCritical,
  influence: drawInfluence,
  drivers: drawDrivers,
  policies: drawPolicies,
  cost: drawCost,
  steps: drawSteps,
  calibration: drawCalibration,
  explorer: drawExplorer,
  receipts: drawReceipts,
};

/** The one object that others (tests, a curious reader's console) may use. */
const board = (window.board = {
  data: null,
  state: null,
  view: null,
  memory: null,
  errors: [],
  ready: false,
  times: {},
  compute: {
    sliceNumbers,
    certainty,
    lettersOf,
    placeRanges,
    orderBy,
    blockMeans,
    friedman,
    levelsOf,
    nemenyiDistance,
    wilcoxon,
    holm,
    influenceOf,
    medianLogs,
    driversOf,
    disagreementOf,
    policiesOf,
    costOf,
    coverage,
    duel,
    drawWeights,
  },
  format: { digits, shown, csvField, toMarkdown },
});
const seen = new Set(); // sections in or near the window
const dirty = new Set(Object.keys(SECTIONS));

const theState = () => board.state;
const theBoard = () => board.data;

/** Take a change of the state over, put it into the address, and draw what it changes. */
function changeState(change, push) {
  board.state = { ...board.state, ...change };
  storeState(board.state, push);
  draw(Object.keys(change));
}

const RECOMPUTES = new Set(["slice", "score"]);
const HIDES = new Set(["q", "filter"]);

/** Draw after a change of these parts of the state. */
function draw(changed) {
  const started = performance.now();
  const parts = new Set(changed);
  const all = changed.some((name) => RECOMPUTES.has(name));
  const view = (board.view = makeView(board.data, board.state, board.memory));
  if (all) drawHeader(view);
  if (all || parts.has("filter")) drawControls(view);
  if (all || changed.some((name) => HIDES.has(name) || ["sort", "desc", "all", "wide"].includes(name))) drawRanking(view);
  if (all || changed.some((name) => HIDES.has(name))) for (const name of Object.keys(SECTIONS)) dirty.add(name);
  if (parts.has("by")) dirty.add("domains");
  if (all || parts.has("open")) drawPanel(view);
  if (all) schedule(() => drawBests(board.view), "bests");
  for (const name of dirty) if (seen.has(name)) schedule(() => drawSection(name), name);
  board.times.draw = performance.now() - started;
  if (all && board.ready) say(byId("verdict").textContent);
}

const queue = new Map();
/** Do something soon, one thing at a time so that the page stays quick to answer. */
function schedule(work, key) {
  const idle = queue.size === 0;
  queue.set(key, work);
  if (idle) setTimeout(next, 0);
}

/** The next piece of work that was put off; one that fails harms no other. */
function next() {
  const [key, work] = queue.entries().next().value || [];
  if (!work) return;
  try {
    work();
  } catch (error) {
    board.errors.push(error);
    console.error(error);
  }
  if (queue.get(key) === work) queue.delete(key);
  if (queue.size) setTimeout(next, 0);
}

/** Draw a section that is out of date; one that cannot be drawn says so and harms no other. */
function drawSection(name) {
  if (!dirty.has(name)) return;
  dirty.delete(name);
  const body = document.querySelector(`[data-section="${name}"] .body`);
  try {
    SECTIONS[name](board.view, body);
  } catch (error) {
    board.errors.push(error);
    notDrawn(body, error);
  }
  forgetPictures();
}

/** Draw everything, for paper. */
function drawAll() {
  for (const name of Object.keys(SECTIONS)) drawSection(name);
}

/** Watch which sections come near the window. */
function watchSections() {
  const observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        const name = entry.target.dataset.section;
        if (entry.isIntersecting) seen.add(name);
        else seen.delete(name);
        if (entry.isIntersecting && dirty.has(name)) schedule(() => drawSection(name), name);
      }
    },
    { rootMargin: "400px 0px" },
  );
  for (const section of document.querySelectorAll("[data-section]")) observer.observe(section);
}

/** Pictures are drawn anew for another theme or width. */
function redrawPictures() {
  for (const name of Object.keys(SECTIONS)) dirty.add(name);
  for (const name of seen) schedule(() => drawSection(name), name);
  if (board.state?.open) drawPanel(board.view);
}

/** The switch of themes: as the system, light, dark. */
function watchTheme() {
  const button = byId("theme");
  const names = { "": "Theme: system", light: "Theme: light", dark: "Theme: dark" };
  const set = (theme) => {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    button.textContent = names[theme];
    try {
      localStorage.setItem("theme", theme);
    } catch {
      /* a browser that keeps nothing for files */
    }
  };
  let kept = "";
  try {
    kept = localStorage.getItem("theme") || "";
  } catch {
    /* as above */
  }
  set(kept in names ? kept : "");
  button.addEventListener("click", () => {
    const order = ["", "light", "dark"];
    set(order[(order.indexOf(document.documentElement.dataset.theme || "") + 1) % 3]);
    redrawPictures();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawPictures);
}

/** Paper gets all sections; a wider or narrower window gets pictures that fit. */
function watchPaper() {
  const paper = matchMedia("print");
  const prepare = () => {
    for (const name of Object.keys(SECTIONS)) dirty.add(name);
    drawAll();
  };
  window.addEventListener("beforeprint", prepare);
  paper.addEventListener("change", () => (paper.matches ? prepare() : redrawPictures()));
  byId("print").addEventListener("click", () => {
    drawAll();
    setTimeout(() => window.print(), 400);
  });
  let width = window.innerWidth;
  let timer = 0;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width || paper.matches) return;
    width = window.innerWidth;
    clearTimeout(timer);
    timer = setTimeout(redrawPictures, 200);
  });
}

/** Links within the page scroll without touching the part of the address that holds the view. */
function watchLinks() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    const target = link && !event.defaultPrevented && byId(link.getAttribute("href").slice(1));
    if (!target) return;
    event.preventDefault();
    target.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    (target.querySelector("h2") || target).focus({ preventScroll: true });
  });
}

/** Take a payload: the first, or a new one in live mode; the view stays. */
function take(raw) {
  board.data = readBoard(raw);
  board.state ||= readState(window.location.hash);
  nameRanges(board.data.tasks);
  board.memory = new Memory(board.data);
  const name = shown(board.data.suite.name);
  document.title = `${name ? `${cut(name, 120)} · ` : ""}leaderboard`;
  const { made } = board.data;
  const origin = [
    made.by && `Made by ${shown(made.by)}`,
    made.at && `at ${shown(made.at).replace("T", " ")}`,
    made.db && `from ${shown(made.db)}`,
  ]
    .filter(Boolean)
    .join(" ");
  fill(byId("made"), origin ? `${origin}.` : "", made.command ? command(String(made.command)) : "");
  buildControls(board.data);
  draw(["slice"]);
}

/** Begin. */
async function main() {
  watchTheme();
  const raw = JSON.parse(await unpacked("payload"));
  take(raw);
  watchMenus();
  watchRanking();
  watchPanel();
  watchPaper();
  watchLinks();
  watchSections();
  const reread = () => {
    board.state = readState(window.location.hash);
    draw(["slice", "open"]);
  };
  window.addEventListener("popstate", reread);
  document.documentElement.classList.add("ready");
  board.ready = true;
  board.times.usable = performance.now(); // since the page was asked for
  // So that paper gets its pictures at once, whenever it is asked for.
  (window.requestIdleCallback || ((work) => setTimeout(work, 1500)))(() => vega().catch((error) => board.errors.push(error)), {
    timeout: 3000,
  });
  if (byId("live").dataset.live) watchServer(raw, take);
}

main().catch((error) => {
  board.errors.push(error);
  console.error(error);
  byId("verdict").textContent =
    `This page could not be read: ${cut(String(error && error.message), 200)}. It may have been cut short on its way; fetch it again.`;
});
