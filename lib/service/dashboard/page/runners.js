// @ts-check
/** Who runs tasks, and draining them; providers are beside them. */

import { drainRunner, getRunners } from "./api.js";
import { byId, el, fill, timeElement } from "./dom.js";
import { count, plural, relative } from "./format.js";
import { confirmed, notify, notifyFailure } from "./notice.js";
import { pauses } from "./pauses.js";

/** @typedef {import("./types.ts").Runner} Runner */

/** How often the list is read while it is open. */
const REFRESH_MS = 5_000;

/** Makes the dialog work. */
export function setUpRunners() {
  byId("runners-button").addEventListener("click", openRunners);
  setInterval(() => {
    if (byId("runners", HTMLDialogElement).open && !document.hidden) show();
  }, REFRESH_MS);
}

export async function openRunners() {
  const isShown = await show();
  const dialog = byId("runners", HTMLDialogElement);
  if (isShown && !dialog.open) dialog.showModal();
}

async function show() {
  try {
    const [{ runners }] = await Promise.all([getRunners(), pauses.refresh()]);
    const focused = document.activeElement?.id ?? "";
    fill(byId("runner-rows"), ...runners.map(row));
    if (focused.startsWith("drain-")) document.getElementById(focused)?.focus();
    byId("runner-table").hidden = runners.length === 0;
    byId("no-runners").hidden = runners.length > 0;
    return true;
  } catch (error) {
    notifyFailure(error);
    return false;
  }
}

/** @param {Runner} runner */
function row(runner) {
  const { name, host, pid, version, started_at, seen_at, in_hand } = runner;
  return el(
    "tr",
    null,
    el(
      "th",
      { scope: "row" },
      el("code", null, name),
      el("span.runner-place", null, `${host}, process ${pid}, ${version}`),
    ),
    el("td", null, stateOf(runner)),
    el("td", null, count(in_hand)),
    el("td", null, timeElement(started_at, relative(started_at))),
    el("td", null, timeElement(seen_at, relative(seen_at))),
    el("td.changes", null, !runner.draining && drainButton(runner)),
  );
}

/** @param {Runner} runner */
function stateOf({ gone, draining }) {
  return gone ? "Gone" : draining ? "Draining" : "Running";
}

/** @param {Runner} runner */
function drainButton(runner) {
  const { name } = runner;
  const button = el(
    "button.button",
    { type: "button", id: `drain-${name}`, "aria-label": `Drain ${name}` },
    "Drain",
  );
  button.addEventListener("click", () => drain(runner));
  return button;
}

/** @param {Runner} runner */
async function drain({ name, in_hand }) {
  const isSure = await confirmed({
    title: "Drain this runner?",
    text: `${name} claims no more, gives what it has in hand ` +
      `(${plural(in_hand, "task")}) time to finish, and ends.`,
    action: "Drain it",
  });
  if (!isSure) return;
  try {
    const { results } = await drainRunner(name);
    notify(
      results[0] === "asked"
        ? "The runner drains, and ends"
        : "The runner has ended already",
    );
  } catch (error) {
    notifyFailure(error);
  }
  await show();
  byId("runners-title").focus();
}
