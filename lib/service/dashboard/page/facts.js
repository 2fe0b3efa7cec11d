// @ts-check
/** What is known of a task, as terms and descriptions. */

import { el, timeElement } from "./dom.js";
import { clock, duration, relative } from "./format.js";
import { attemptOf } from "./rows.js";
import { searchAddress } from "./search.js";

/** @typedef {import("./types.ts").WholeTask} WholeTask */

/**
 * What comes of a task when one that it waits for has failed.
 *
 * @type {Readonly<Record<string, string>>}
 */
const IF_FAILED = {
  fail: "it fails too",
  skip: "it is skipped",
  run: "it runs all the same",
};

/**
 * The list's children.
 *
 * @param {WholeTask} task
 */
export function factElements(task) {
  /** @param {string | null} iso */
  const when = (iso) =>
    iso && timeElement(iso, `${clock(new Date(iso))} (${relative(iso)})`);
  const isLive = task.lease_expires_at !== null &&
    Date.parse(task.lease_expires_at) > Date.now();
  /** @type {[string, Node | string | number | null][]} */
  const facts = [
    ["Provider", task.provider],
    [
      "Target",
      task.target_ref &&
      `${task.target_ref} (${
        task.target_type === "pr" ? "pull request" : "issue"
      })`,
    ],
    ["Batch", task.batch && searchLink("batch", task.batch)],
    ["Key", task.key && searchLink("key", task.key)],
    [
      "Tags",
      task.tags.length === 0 ? null : el(
        "span.tags",
        null,
        ...task.tags.map((it) => searchLink("tag", it)),
      ),
    ],
    ["Attempt", attemptOf(task) || "not started"],
    ["Priority", task.priority === 0 ? null : task.priority],
    ["Blocked", task.blocked ? "until what it waits for has ended" : null],
    [
      "If that fails",
      task.if_failed && (IF_FAILED[task.if_failed] ?? task.if_failed),
    ],
    ["Created", when(task.created_at)],
    ["Updated", when(task.updated_at)],
    [
      task.state === "needs_input" ? "Answer by" : "Not before",
      when(task.run_at),
    ],
    [isLive ? "Runner" : "Last runner", task.lease_owner],
    ["Lease until", isLive ? when(task.lease_expires_at) : null],
    [
      "Timeout",
      task.timeout_seconds === null ? null : duration(task.timeout_seconds),
    ],
    ["User", task.user_id],
  ];
  return facts.filter(([, value]) => value !== null && value !== "")
    .map(([name, value]) =>
      el("div.fact", null, el("dt", null, name), el("dd", null, value))
    );
}

/**
 * Leads to the tasks that have the same.
 *
 * @param {"batch" | "tag" | "key"} name
 * @param {string} value
 */
function searchLink(name, value) {
  return el("a", { href: searchAddress(name, value) }, value);
}
