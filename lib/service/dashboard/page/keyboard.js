// @ts-check
/** Keys that work everywhere but in fields and dialogs. */

import { byId } from "./dom.js";

/** @typedef {Readonly<Record<string, () => void>>} Keys */

/**
 * Calls what belongs to a key.
 *
 * @param {Keys} keys
 */
export function setUpKeys(keys) {
  document.addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return;
    const isTyping = target instanceof HTMLElement &&
      target.matches("input, textarea, select");
    if (isTyping) {
      // Out of the field, and with the next one out of the panel.
      if (key === "Escape") target.blur();
      return;
    }
    const act = Object.hasOwn(keys, key) ? keys[key] : undefined;
    if (!act || isForElement(key, target)) return;
    event.preventDefault();
    act();
  });
}

/**
 * Keys that mean something to what has the focus keep that meaning.
 *
 * @param {string} key
 * @param {EventTarget | null} target
 */
function isForElement(key, target) {
  if (!(target instanceof Element)) return false;
  if (key.startsWith("Arrow")) return !target.closest("#rows");
  return key === "Enter" && target.closest("a, button, summary") !== null;
}

/** Buttons that close the dialog that they are in. */
export function setUpDialogs() {
  for (const dialog of document.querySelectorAll("dialog")) {
    if (dialog.id === "login") continue;
    dialog.addEventListener("click", ({ target }) => {
      const isBackdrop = target === dialog;
      const isClose = target instanceof Element &&
        target.closest("[data-close]");
      if (isBackdrop || isClose) dialog.close();
    });
  }
  byId("help-button").addEventListener("click", openHelp);
}

export function openHelp() {
  byId("help", HTMLDialogElement).showModal();
}

/** The button that goes from light to dark and back. */
export function setUpTheme() {
  byId("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const isDark = root.dataset.theme === "dark" ||
      (!root.dataset.theme &&
        matchMedia("(prefers-color-scheme: dark)").matches);
    const detail = isDark ? "light" : "dark";
    root.dispatchEvent(new CustomEvent("choose-theme", { detail }));
  });
}
