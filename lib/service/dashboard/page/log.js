// @ts-check
/** What a task's runs printed and said, as it grows. */

import { logStreamPath } from "./api.js";
import { byId, el, fill } from "./dom.js";
import { logBlock, MAX_LINES, trim } from "./log_lines.js";

/** @typedef {import("./types.ts").LogPage} LogPage */

const RETRY_MS = 3_000;
/** So near to its end, a reader wants to see what comes. */
const NEAR_PX = 40;

/** The log of the task that is shown. */
export class LogView {
  #box = byId("log-box");
  #lines = byId("log");
  #chooser = byId("log-attempt", HTMLSelectElement);
  /** @type {string | undefined} */
  #id;
  /** The attempt that was chosen; undefined for the last, whichever that is. */
  /** @type {number | undefined} */
  #chosen;
  /** @type {number | null} */
  #shown = null;
  /** @type {string | undefined} */
  #place;
  /** @type {EventSource | undefined} */
  #source;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #hasEnded = false;

  constructor() {
    this.#chooser.addEventListener("change", () => {
      const { value, options } = this.#chooser;
      const isLast = value === options[options.length - 1]?.value;
      this.#begin(isLast ? undefined : Number(value));
    });
    // A browser gives a site six connections; a hidden page takes none.
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.#disconnect();
      else this.#connect();
    });
  }

  /**
   * Shows the log of a task from its beginning, unless that is shown already.
   *
   * @param {string} id
   */
  open(id) {
    if (id === this.#id) return;
    this.#id = id;
    this.#box.hidden = true;
    fill(this.#chooser);
    this.#begin(undefined);
  }

  close() {
    this.#id = undefined;
    this.#disconnect();
  }

  /** @param {number | undefined} attempt */
  #begin(attempt) {
    this.#disconnect();
    this.#chosen = attempt;
    this.#shown = null;
    this.#place = undefined;
    this.#hasEnded = false;
    fill(this.#lines);
    this.#connect();
  }

  #connect() {
    if (this.#id === undefined || this.#source || this.#hasEnded) return;
    if (document.hidden) return;
    const source = new EventSource(
      logStreamPath(this.#id, { attempt: this.#chosen, after: this.#place }),
    );
    this.#source = source;
    source.addEventListener("page", (event) => {
      this.#place = event.lastEventId;
      this.#add(JSON.parse(event.data));
    });
    source.addEventListener("end", () => {
      this.#hasEnded = true;
      this.#disconnect();
    });
    source.addEventListener("error", () => {
      // A browser comes back by itself, unless it got an answer that is no stream.
      if (source.readyState !== EventSource.CLOSED) return;
      this.#disconnect();
      this.#timer = setTimeout(() => this.#connect(), RETRY_MS);
    });
  }

  #disconnect() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = undefined;
  }

  /** @param {LogPage} page */
  #add({ attempt, attempts, entries }) {
    this.#box.hidden = false;
    const lines = this.#lines;
    const left = lines.scrollHeight - lines.scrollTop - lines.clientHeight;
    const isAtEnd = left < NEAR_PX;
    this.#offer(attempts, attempt);
    if (this.#shown !== null && attempt !== this.#shown) {
      lines.append(el("p.log-note", null, `Attempt ${attempt}`));
    }
    this.#shown = attempt;
    for (const entry of entries) logBlock(lines, entry);
    // Not under the eyes of who reads what is older, unless that is too much.
    trim(lines, isAtEnd ? MAX_LINES : 2 * MAX_LINES);
    if (isAtEnd) lines.scrollTop = lines.scrollHeight;
  }

  /**
   * @param {number[]} attempts
   * @param {number | null} shown
   */
  #offer(attempts, shown) {
    const chooser = this.#chooser;
    chooser.hidden = attempts.length < 2;
    if (chooser.options.length !== attempts.length) {
      const options = attempts.map((it) =>
        el("option", { value: it }, `Attempt ${it}`)
      );
      fill(chooser, ...options);
    }
    chooser.value = String(shown);
  }
}
