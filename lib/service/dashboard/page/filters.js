// @ts-check
/** Search and filters, kept in the page's address so that one can share them. */

import { byId, el, fill } from "./dom.js";
import { isState } from "./states.js";

/** @typedef {import("./task_list.js").Filter} Filter */

const TYPING_MS = 200;

/** Fires `change` when other tasks are to be shown. */
export class Filters extends EventTarget {
  #search = byId("search", HTMLInputElement);
  #provider = byId("provider", HTMLSelectElement);
  #clear = byId("clear-filters", HTMLButtonElement);
  #state = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {string} */
  #providers = "";

  constructor() {
    super();
    const query = new URLSearchParams(location.search);
    const state = query.get("state") ?? "";
    this.#state = isState(state) ? state : "";
    this.#search.value = query.get("q") ?? "";
    this.#addProvider(query.get("provider") ?? "");
    this.#search.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#changed(), TYPING_MS);
    });
    this.#provider.addEventListener("change", () => this.#changed());
    for (const button of [this.#clear, byId("clear-none")]) {
      button.addEventListener("click", () => {
        this.clear();
        this.#search.focus();
      });
    }
    this.#showClear();
  }

  /** @returns {Filter} */
  get value() {
    return {
      state: this.#state,
      provider: this.#provider.value,
      q: this.#search.value.trim(),
    };
  }

  /**
   * Shows tasks in this state; all, where these were shown already.
   *
   * @param {string} state
   */
  toggleState(state) {
    this.#state = this.#state === state ? "" : state;
    this.#changed();
  }

  clear() {
    this.#state = "";
    this.#search.value = "";
    this.#provider.value = "";
    this.#changed();
  }

  focusSearch() {
    this.#search.focus();
    this.#search.select();
  }

  /**
   * Offers these providers.
   *
   * @param {readonly string[]} names
   */
  offer(names) {
    const key = names.join("\n");
    if (key === this.#providers) return;
    this.#providers = key;
    const chosen = this.#provider.value;
    fill(
      this.#provider,
      el("option", { value: "" }, "All providers"),
      ...names.map((name) => el("option", { value: name }, name)),
    );
    this.#addProvider(chosen);
    fill(
      byId("known-providers"),
      ...names.map((name) => el("option", { value: name })),
    );
  }

  /** @param {string} name */
  #addProvider(name) {
    const isKnown = [...this.#provider.options].some((it) => it.value === name);
    if (!isKnown) this.#provider.append(el("option", { value: name }, name));
    this.#provider.value = name;
  }

  #changed() {
    clearTimeout(this.#timer);
    const url = new URL(location.href);
    for (const [name, value] of Object.entries(this.value)) {
      if (value === "") url.searchParams.delete(name);
      else url.searchParams.set(name, value);
    }
    history.replaceState(history.state, "", url);
    this.#showClear();
    this.dispatchEvent(new Event("change"));
  }

  #showClear() {
    const { state, provider, q } = this.value;
    this.#clear.hidden = state === "" && provider === "" && q === "";
  }
}
