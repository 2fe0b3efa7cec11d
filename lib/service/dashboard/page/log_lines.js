// @ts-check
/** The lines of a log, in blocks of those that belong together. */

import { el, fill, timeElement } from "./dom.js";
import { count } from "./format.js";

/** @typedef {import("./types.ts").LogEntry} LogEntry */

/** More than these would make the page slow. */
export const MAX_LINES = 3_000;
/** Lines that come so long after the first of their block begin another. */
const BLOCK_MS = 60_000;

/**
 * Adds a line to the last block, or to a new one after it.
 *
 * @param {HTMLElement} log
 * @param {LogEntry} entry
 */
export function logBlock(log, { at, kind, text }) {
  if (kind === "omitted") {
    log.append(el("p.log-note", null, `… ${text} …`));
    return;
  }
  const last = log.lastElementChild;
  const isSame = last instanceof HTMLElement && last.dataset.kind === kind &&
    Date.parse(at) - Date.parse(last.dataset.at ?? "") < BLOCK_MS;
  const block = isSame ? last : newBlock(kind, at);
  // An empty line has its height too.
  block.append(el("p", null, text === "" ? "\u00a0" : text));
  if (!isSame) log.append(block);
}

/** @type {Readonly<Record<string, string>>} */
const NAMES = {
  stdout: "Printed",
  stderr: "Printed to stderr",
  text: "Said",
  tool: "Used",
  notice: "Noted",
};

/**
 * @param {string} kind
 * @param {string} at
 */
function newBlock(kind, at) {
  const time = new Date(at).toLocaleTimeString([], { hourCycle: "h23" });
  return el(
    `div.log-block.is-${kind}`,
    { "data-kind": kind, "data-at": at },
    el("span.unseen", null, NAMES[kind] ?? kind),
    timeElement(at, time),
  );
}

/**
 * Leaves so many lines, the newest, and says that there were others.
 *
 * @param {HTMLElement} log
 * @param {number} most
 */
export function trim(log, most) {
  const lines = log.querySelectorAll("p:not(.log-left-out)");
  const surplus = lines.length - most;
  if (surplus <= 0) return;
  for (const line of Array.from(lines).slice(0, surplus)) {
    const block = line.parentElement;
    line.remove();
    if (block !== log && !block?.querySelector("p")) block?.remove();
  }
  const note = log.querySelector(".log-left-out") ??
    log.insertBefore(el("p.log-note.log-left-out", null), log.firstChild);
  const gone = Number(note.getAttribute("data-lines") ?? 0) + surplus;
  note.setAttribute("data-lines", String(gone));
  fill(note, `${count(gone)} earlier lines: agent-runner logs has them`);
}
