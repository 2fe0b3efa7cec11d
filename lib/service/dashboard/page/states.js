// @ts-check
/** What states are called and look like: never by colour alone. */

import { el, icon } from "./dom.js";

/** The states in the order in which people read them. */
export const STATES = /** @type {const} */ ([
  "created",
  "running",
  "needs_input",
  "completed",
  "failed",
]);

/** @type {Readonly<Record<string, string>>} */
const NAMES = {
  created: "Created",
  running: "Running",
  needs_input: "Needs input",
  completed: "Completed",
  failed: "Failed",
  cancelled: "Cancelled",
};

/**
 * The name of a state; another program may have put any text there.
 *
 * @param {string} state
 */
export function nameOf(state) {
  return Object.hasOwn(NAMES, state) ? NAMES[state] ?? state : state;
}

/**
 * The state as it looks: a cancelled task is a failed one that nobody minds.
 *
 * @param {{ state: string, error?: string | null }} task
 */
export function lookOf({ state, error }) {
  return state === "failed" && error === "Cancelled" ? "cancelled" : state;
}

/**
 * The shape of a state.
 *
 * @param {string} look
 */
export function stateIcon(look) {
  const known = Object.hasOwn(NAMES, look) ? look : "created";
  return icon(known, `state-icon is-${known}`);
}

/**
 * The shape and the name of a state.
 *
 * @param {string} look
 */
export function stateBadge(look) {
  return el(
    "span.state",
    null,
    stateIcon(look),
    el("span", null, nameOf(look)),
  );
}

/**
 * Says whether nothing follows.
 *
 * @param {string} state
 */
export function isFinal(state) {
  return state === "completed" || state === "failed";
}
