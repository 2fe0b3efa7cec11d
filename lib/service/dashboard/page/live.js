// @ts-check
/** What happens, as it happens. */

import { access, EVENTS_PATH } from "./api.js";

/** @typedef {import("./types.ts").TaskEvent} TaskEvent */

/** More than this at once is not followed one by one. */
const MAX_LAG = 500;
const RETRY_MS = 3_000;

/**
 * Follows the events. Fires `task` for each, `reload` where some may have been
 * missed, and `status` when it is connected or not.
 */
export class Live extends EventTarget {
  /** @type {EventSource | undefined} */
  #source;
  /** @type {string | undefined} */
  #place;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #isWanted = false;
  isConnected = false;

  constructor() {
    super();
    // A browser gives a site six connections; a hidden page takes none.
    document.addEventListener("visibilitychange", () => {
      if (!this.#isWanted) return;
      if (document.hidden) this.#close();
      else this.#open();
    });
    access.addEventListener("unauthorized", () => this.stop());
  }

  start() {
    this.#isWanted = true;
    if (!document.hidden) this.#open();
  }

  stop() {
    this.#isWanted = false;
    this.#close();
  }

  #open() {
    this.#close();
    const query = new URLSearchParams({ max_lag: String(MAX_LAG) });
    if (this.#place !== undefined) query.set("after", this.#place);
    const source = this.#source = new EventSource(`${EVENTS_PATH}?${query}`);
    source.addEventListener("hello", (event) => {
      this.#place = event.lastEventId;
      this.#report(true);
      this.dispatchEvent(new Event("reload"));
    });
    source.addEventListener("gap", (event) => {
      this.#place = event.lastEventId;
      this.dispatchEvent(new Event("reload"));
    });
    source.addEventListener("task", (event) => {
      this.#place = event.lastEventId;
      /** @type {TaskEvent} */
      const detail = JSON.parse(event.data);
      this.dispatchEvent(new CustomEvent("task", { detail }));
    });
    source.addEventListener("error", () => {
      this.#report(false);
      // A browser comes back by itself, unless it got an answer that is no stream.
      if (source.readyState !== EventSource.CLOSED) return;
      this.#timer = setTimeout(() => this.#open(), RETRY_MS);
    });
  }

  #close() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = undefined;
  }

  /** @param {boolean} isConnected */
  #report(isConnected) {
    this.isConnected = isConnected;
    this.dispatchEvent(new Event("status"));
  }
}
