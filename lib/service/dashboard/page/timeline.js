// @ts-check
/** A task's history. */

import { el, icon, timeElement } from "./dom.js";
import { clock, duration } from "./format.js";
import { briefUsage } from "./usage.js";

/** @typedef {import("./types.ts").TaskEvent} TaskEvent */

/** Of a run that notes all the time, only the newest notes are shown. */
const MAX_PROGRESS = 30;

/** @type {Readonly<Record<string, readonly [icon: string, text: string]>>} */
const KINDS = {
  created: ["created", "Created"],
  started: ["running", "Started"],
  progress: ["progress", "Progress"],
  completed: ["completed", "Completed"],
  failed: ["failed", "Failed"],
  needs_input: ["needs_input", "Asked a question"],
  retry_scheduled: ["retry", "Retry scheduled"],
  retried: ["retry", "Retried"],
  released: ["created", "Released by its runner"],
  handed_over: ["retry", "Given to another provider"],
  limited: ["retry", "Waits for its provider's limit"],
  session: ["answer", "Session"],
  session_lost: ["retry", "Session lost, began anew"],
  denied: ["cancelled", "Was not allowed"],
  idle: ["failed", "Said nothing for too long"],
  checked: ["completed", "Check passed"],
  check_failed: ["retry", "Check failed"],
  workspace: ["created", "Has a branch"],
  committed: ["progress", "Committed what was left"],
  merged: ["completed", "Merged"],
  conflicted: ["retry", "Conflicts with its base"],
  pull_request: ["completed", "Pull request"],
  commented: ["answer", "Told where it came from"],
  approved: ["answer", "Approved"],
  answered: ["answer", "Answered"],
  noted: ["answer", "A person left a note"],
  edited: ["answer", "Changed before it began"],
  cancel_requested: ["cancelled", "Cancellation requested"],
  cancelled: ["cancelled", "Cancelled"],
  skipped: ["cancelled", "Skipped"],
  batch_ended: ["completed", "The last of its batch"],
};

/**
 * The entries, oldest first.
 *
 * @param {readonly TaskEvent[]} events
 */
export function timelineEntries(events) {
  const notes = events.filter(({ kind }) => kind === "progress");
  const left = new Set(notes.slice(0, -MAX_PROGRESS));
  const shown = events.filter((event) => !left.has(event));
  return shown.map((event, index) => entry(event, shown[index - 1]));
}

/**
 * @param {TaskEvent} event
 * @param {TaskEvent | undefined} before
 */
function entry(event, before) {
  const { kind, occurred_at, detail, runner, attempt, usage } = event;
  const [symbol, text] = Object.hasOwn(KINDS, kind)
    ? KINDS[kind] ?? ["progress", kind]
    : ["progress", kind];
  const look = ["created", "running", "completed", "failed", "needs_input"]
      .includes(symbol)
    ? symbol
    : "cancelled";
  const seconds = before
    ? (Date.parse(occurred_at) - Date.parse(before.occurred_at)) / 1_000
    : 0;
  const who = kind === "started" && runner ? ` by ${runner}` : "";
  const which = kind === "started" && attempt > 1 ? `, attempt ${attempt}` : "";
  return el(
    `li.event.event-${symbol}`,
    null,
    icon(symbol, `state-icon is-${look}`),
    el(
      "div.event-body",
      null,
      el(
        "div.event-head",
        null,
        el("span.event-kind", null, text),
        el("span.event-who", null, `${which}${who}`),
        el(
          "span.event-time",
          null,
          seconds >= 0.001 &&
            el("span.event-gap", null, `+${duration(seconds)}`),
          timeElement(occurred_at, clock(new Date(occurred_at))),
        ),
      ),
      detail ? el("div.event-detail", null, detail) : null,
      usage && el("div.event-detail.event-usage", null, briefUsage(usage)),
    ),
  );
}
