// @ts-check
/** What is said to people: on the screen, or to a screen reader only. */

import { byId, el, fill, icon } from "./dom.js";

const SHOWN_MS = 5_000;
const FAILURE_SHOWN_MS = 9_000;

/**
 * Shows a line for a while; screen readers read it.
 *
 * @param {string} text
 * @param {{ isFailure?: boolean }} [options]
 */
export function notify(text, { isFailure = false } = {}) {
  const line = el(
    isFailure ? "p.toast.is-failure" : "p.toast",
    null,
    icon(isFailure ? "failed" : "completed"),
    el("span", null, text),
  );
  const region = byId(isFailure ? "alerts" : "toasts");
  region.append(line);
  setTimeout(() => line.remove(), isFailure ? FAILURE_SHOWN_MS : SHOWN_MS);
}

/** @param {unknown} error */
export function notifyFailure(error) {
  notify(error instanceof Error ? error.message : String(error), {
    isFailure: true,
  });
}

/**
 * Says something to screen readers only.
 *
 * @param {string} text
 */
export function announce(text) {
  fill(byId("announcer"), text);
}

/**
 * Asks before something that can't be undone.
 *
 * @param {{ title: string, text: string, action: string }} question
 * @returns {Promise<boolean>}
 */
export function confirmed({ title, text, action }) {
  const dialog = byId("confirm", HTMLDialogElement);
  fill(byId("confirm-title"), title);
  fill(byId("confirm-text"), text);
  fill(byId("confirm-yes"), action);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => resolve(dialog.returnValue === "yes"),
      { once: true },
    );
  });
}
