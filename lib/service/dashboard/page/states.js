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
  needs_input: "Waiting for you",
  completed: "Completed",
  failed: "Failed",
  cancelled: "Cancelled",
  retrying: "Retrying",
  queued: "Waiting for a runner",
  simulated: "Completed (simulated)",
  blocked: "Blocked",
  skipped: "Skipped",
};

/**
 * Says whether tasks can be chosen by it.
 *
 * @param {string} text
 */
export function isState(text) {
  return Object.hasOwn(NAMES, text);
}

/**
 * The shape and the colour of states that have none of their own name.
 *
 * @type {Readonly<Record<string, [shape: string, colour: string]>>}
 */
const LOOKS = {
  retrying: ["retry", "running"],
  queued: ["created", "created"],
  simulated: ["completed", "completed"],
  blocked: ["blocked", "created"],
  skipped: ["cancelled", "cancelled"],
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
 * What the state is called, and that nothing was done where that is so.
 *
 * @param {{ shown_state: string, simulated: boolean }} task
 */
export function stateNameOf({ shown_state, simulated }) {
  const name = nameOf(shown_state);
  return simulated && shown_state !== "simulated"
    ? `${name} (simulated)`
    : name;
}

/** @param {string} state */
function lookOf(state) {
  const known = Object.hasOwn(NAMES, state) ? state : "created";
  return LOOKS[known] ?? [known, known];
}

/**
 * The shape of a state.
 *
 * @param {string} state
 */
export function stateIcon(state) {
  return icon(lookOf(state)[0], `state-icon ${stateClass(state)}`);
}

/**
 * The class that gives something a state's colour.
 *
 * @param {string} state
 */
export function stateClass(state) {
  return `is-${lookOf(state)[1]}`;
}

/**
 * The shape and the name of a task's state.
 *
 * @param {{ shown_state: string, simulated: boolean }} task
 */
export function stateBadge(task) {
  return el(
    "span.state",
    null,
    stateIcon(task.shown_state),
    el("span", null, stateNameOf(task)),
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
