// @ts-check
/** The counts by state: what there is, and the filter by it. */

import { byId, fill } from "./dom.js";
import { compact, count, plural, span } from "./format.js";
import { announce } from "./notice.js";
import { nameOf, STATES } from "./states.js";

/** @typedef {import("./types.ts").Stats} Stats */

export class Overview {
  /** @type {number | undefined} */
  #asking;

  /** @param {(state: string) => void} onChoose */
  constructor(onChoose) {
    for (const tile of document.querySelectorAll(".tile")) {
      const state = tile instanceof HTMLElement ? tile.dataset.state ?? "" : "";
      tile.addEventListener("click", () => onChoose(state));
    }
  }

  /**
   * Marks what is filtered by.
   *
   * @param {string} state
   */
  mark(state) {
    for (const tile of document.querySelectorAll(".tile")) {
      const own = tile instanceof HTMLElement ? tile.dataset.state : "";
      tile.setAttribute("aria-pressed", String(own === state));
    }
  }

  /**
   * @param {Stats} stats
   * @param {string} within the time that the plots show.
   */
  show(stats, within) {
    const { states, total, waiting_since, in_flight, buckets } = stats;
    /** @param {"completed" | "failed" | "created"} name */
    const sum = (name) =>
      `${count(buckets.reduce((all, it) => all + it[name], 0))} in ${within}`;
    const due = waiting_since === null
      ? "none is due"
      : `oldest due ${span((Date.now() - Date.parse(waiting_since)) / 1_000)}`;
    const asking = states.needs_input ?? 0;
    show("", total, sum("created"));
    show("created", states.created ?? 0, due);
    show("running", states.running ?? 0, `${count(in_flight)} in flight`);
    show(
      "needs_input",
      asking,
      asking > 0 ? "waiting for you" : "nothing to answer",
    );
    show("completed", states.completed ?? 0, sum("completed"));
    show("failed", states.failed ?? 0, sum("failed"));
    for (const state of STATES) {
      byId(`tile-${state}`).classList.toggle("is-zero", !states[state]);
    }
    document.title = asking > 0 ? `(${asking}) agent-runner` : "agent-runner";
    if (this.#asking !== undefined && asking > this.#asking) {
      announce(`${plural(asking, "task")} ${nameOf("needs_input")}`);
    }
    this.#asking = asking;
  }
}

/**
 * @param {string} state
 * @param {number} value
 * @param {string} note
 */
function show(state, value, note) {
  const tile = byId(state === "" ? "tile-all" : `tile-${state}`);
  const [, number, line] = tile.children;
  if (number) fill(number, compact(value));
  if (line) fill(line, note);
  tile.classList.remove("is-loading");
}
