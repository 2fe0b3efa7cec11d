// @ts-check
/** What a person says of lines, until it is sent: kept while the window is open. */

/**
 * @typedef {object} LinePlace
 * @property {string} path
 * @property {"old" | "new"} side where the line is: before or after the changes
 * @property {number} line
 *
 * @typedef {LinePlace & { quote: string, text: string }} LineComment
 */

/** The comments on the changes of one task. Fires `change`. */
export class Comments extends EventTarget {
  #key = "";
  /** @type {LineComment[]} */
  #all = [];

  /** @param {string} taskId */
  open(taskId) {
    this.#key = `comments ${taskId}`;
    this.#all = JSON.parse(sessionStorage.getItem(this.#key) ?? "[]");
    this.dispatchEvent(new Event("change"));
  }

  get all() {
    return this.#all;
  }

  /** @param {LinePlace} place */
  at(place) {
    return this.#all.find((it) => isAt(it, place));
  }

  /**
   * Keeps a comment in the place of the one that was there; an empty one goes.
   *
   * @param {LineComment} comment
   */
  keep(comment) {
    const others = this.#all.filter((it) => !isAt(it, comment));
    this.#set(comment.text === "" ? others : [...others, comment]);
  }

  clear() {
    this.#set([]);
  }

  /** @param {LineComment[]} all */
  #set(all) {
    this.#all = all;
    if (all.length === 0) sessionStorage.removeItem(this.#key);
    else sessionStorage.setItem(this.#key, JSON.stringify(all));
    this.dispatchEvent(new Event("change"));
  }

  /**
   * All of them as one note to the agent, in the order of the files.
   *
   * @param {readonly string[]} paths
   */
  note(paths) {
    const sorted = this.#all.toSorted((a, b) =>
      paths.indexOf(a.path) - paths.indexOf(b.path) || a.line - b.line
    );
    return [
      "These are comments on your changes, line by line. Please see to each of " +
      "them.",
      ...sorted.map(({ path, side, line, quote, text }) => {
        const before = side === "old" ? " (before your changes)" : "";
        return `${path}:${line}${before}: ${text}\n> ${quote}`;
      }),
    ].join("\n\n");
  }
}

/**
 * @param {LinePlace} one
 * @param {LinePlace} other
 */
function isAt(one, other) {
  return one.path === other.path && one.side === other.side &&
    one.line === other.line;
}
