/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
// @ts-check
/** Puts the dashboard together. */

import { access, getStats } from "./api.js";
import { openCreate, setUpCreate, showFirstCommand } from "./create.js";
import { byId, fill, throttled } from "./dom.js";
import { Filters } from "./filters.js";
import { openHelp, setUpDialogs, setUpKeys, setUpTheme } from "./keyboard.js";
import { Live } from "./live.js";
import { letIn, setUpSignOut } from "./login.js";
import { notifyFailure } from "./notice.js";
import { Overview } from "./overview.js";
import { Panel } from "./panel.js";
import { pauses, setUpPauses } from "./pauses.js";
import { Plots, WINDOWS } from "./plots.js";
import { offerProviders, setUpProviders } from "./providers.js";
import { openRunners, setUpRunners } from "./runners.js";
import { Table } from "./table.js";
import { TaskList } from "./task_list.js";
import { showAgents } from "./usage.js";

/** How often at most the page asks for news of a busy service. */
const LIST_MS = 700;
const STATS_MS = 1_500;
/** Time goes by though nothing happens, and a stream can be refused. */
const IDLE_MS = 15_000;
const PAUSES_MS = 30_000;

const list = new TaskList();
const table = new Table(list);
const filters = new Filters();
const overview = new Overview((state) => filters.toggleState(state));
const plots = new Plots();
const panel = new Panel();
const live = new Live();

const refreshList = throttled(() => list.refresh(), LIST_MS);
const refreshStats = throttled(readStats, STATS_MS);
const refreshPauses = throttled(readPauses, STATS_MS);

function chosenWindow() {
  const chosen = document.querySelector("input[name=window]:checked");
  return chosen instanceof HTMLInputElement ? chosen.value : "24h";
}

async function readStats() {
  const span = chosenWindow();
  try {
    const stats = await getStats(span, WINDOWS.get(span) ?? 72);
    if (span !== chosenWindow()) return;
    overview.show(stats, span);
    plots.show(stats);
    showAgents(stats.usage, span);
    const providers = stats.providers.map(({ provider }) => provider);
    filters.offer(providers);
    offerProviders(providers);
  } catch (error) {
    failed(error);
  }
}

function readPauses() {
  return pauses.refresh().catch(failed);
}

/** What went wrong is said once, not each time that it does. */
let isFailing = false;

/** @param {unknown} error */
function failed(error) {
  if (!isFailing && !document.body.classList.contains("is-locked")) {
    notifyFailure(error);
  }
  isFailing = true;
}

function select() {
  overview.mark(filters.value.state);
  table.wait();
  return list.select(filters.value);
}

function showStatus() {
  const status = byId("status");
  status.classList.toggle("is-live", live.isConnected);
  fill(byId("status-text"), live.isConnected ? "Live" : "Reconnecting…");
  if (live.isConnected) isFailing = false;
}

/** The address says which task is open, so that "back" closes it. */
function route() {
  const id = /^#\/tasks\/([\w-]+)$/.exec(location.hash)?.[1];
  if (id === undefined) panel.hide();
  else panel.open(id, { takesFocus: !isStepping });
  table.markOpen(id);
}

/** The keyboard goes from task to task: the focus stays in the table. */
let isStepping = false;

/** @param {number} step */
function move(step) {
  const id = table.move(step);
  if (id === undefined || panel.id === undefined) return;
  isStepping = true;
  history.replaceState(null, "", `#/tasks/${id}`);
  route();
  isStepping = false;
}

function openActive() {
  if (table.active) location.hash = `#/tasks/${table.active}`;
}

list.addEventListener(
  "failure",
  (event) => failed(/** @type {CustomEvent<unknown>} */ (event).detail),
);
filters.addEventListener("change", () => {
  scrollTo({ top: Math.min(scrollY, byId("tasks").offsetTop - 56) });
  select();
});
panel.addEventListener("close", () => {
  history.pushState(null, "", location.pathname + location.search);
  route();
  if (!table.focusActive()) byId("tasks-title").focus();
});
for (const radio of document.querySelectorAll("input[name=window]")) {
  radio.addEventListener("change", readStats);
}
globalThis.addEventListener("hashchange", route);
globalThis.addEventListener("popstate", route);

live.addEventListener("status", showStatus);
live.addEventListener("reload", () => {
  refreshList();
  refreshStats();
  readPauses();
  panel.reload();
});
live.addEventListener("task", (event) => {
  const { task_id, kind } =
    /** @type {CustomEvent<import("./types.ts").TaskEvent>} */ (event)
      .detail;
  list.touch(task_id);
  refreshList();
  refreshStats();
  if (kind === "limited") refreshPauses();
  panel.touch(task_id, kind);
});

access.addEventListener("unauthorized", () => start());

setUpDialogs();
setUpTheme();
setUpSignOut();
setUpRunners();
setUpPauses(openRunners);
setUpProviders();
setUpCreate((id) => {
  refreshList();
  refreshStats();
  location.hash = `#/tasks/${id}`;
});
showFirstCommand(new URL("api/v1/tasks", document.baseURI).href);
setUpKeys({
  "/": () => filters.focusSearch(),
  j: () => move(1),
  k: () => move(-1),
  ArrowDown: () => move(1),
  ArrowUp: () => move(-1),
  Enter: openActive,
  Escape: () => panel.close(),
  c: openCreate,
  r: openRunners,
  "?": openHelp,
});

let isStarting = false;

async function start() {
  if (isStarting) return;
  isStarting = true;
  try {
    await letIn();
  } catch (error) {
    failed(error);
    setTimeout(start, 3_000);
    return;
  } finally {
    isStarting = false;
  }
  live.start();
  const others = Promise.all([readStats(), readPauses()]);
  await Promise.all([select(), table.holdFor(others)]);
  route();
}

/**
 * @param {() => void} act
 * @param {number} ms
 */
function everyWhileSeen(act, ms) {
  setInterval(() => {
    const isLocked = document.body.classList.contains("is-locked");
    if (!document.hidden && !isLocked) act();
  }, ms);
}

everyWhileSeen(() => {
  refreshList();
  refreshStats();
}, IDLE_MS);
everyWhileSeen(readPauses, PAUSES_MS);

start();
