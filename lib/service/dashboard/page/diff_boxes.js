// @ts-check
/** The comments below their lines, and the box to write one. */

import { el, fill } from "./dom.js";

/**
 * @typedef {import("./diff_comments.js").Comments} Comments
 * @typedef {import("./diff_comments.js").LinePlace} LinePlace
 * @typedef {import("./diff_file.js").Line} Line
 */

/** Shows comments in a table of lines, and lets a person write them. */
export class CommentBoxes {
  #place;
  #comments;
  /** @type {Element | null} */
  #reachable = null;

  /**
   * @param {HTMLElement} place where the lines are.
   * @param {Comments} comments
   */
  constructor(place, comments) {
    this.#place = place;
    this.#comments = comments;
    place.addEventListener("click", ({ target }) => {
      const button = target instanceof Element && target.closest(".diff-line");
      if (button instanceof HTMLElement) this.#write(button);
    });
    place.addEventListener("keydown", (event) => this.#step(event));
  }

  /** Makes what is shown what there is. */
  show() {
    for (const box of this.#place.querySelectorAll(".diff-comment")) {
      box.remove();
    }
    for (const row of this.#place.querySelectorAll(".diff-lines tr")) {
      if (row instanceof HTMLElement) this.#showBelow(row);
    }
    this.#offerFocus();
  }

  /**
   * Shows below a row what was said of its lines.
   *
   * @param {HTMLElement} row
   * @param {{ path: string, lines: readonly Line[] }} of
   */
  addTo(row, { path, lines }) {
    const isSaid = lines.some(({ old, now }) =>
      (old !== undefined &&
        this.#comments.at({ path, side: "old", line: old })) ||
      (now !== undefined && this.#comments.at({ path, side: "new", line: now }))
    );
    if (isSaid) this.#showBelow(row);
    this.#offerFocus();
  }

  /** One of all the numbers can be reached with Tab; arrows lead to the others. */
  #offerFocus() {
    if (this.#reachable?.isConnected) return;
    this.#reach(this.#place.querySelector(".diff-line"));
  }

  /** @param {Element | null} button */
  #reach(button) {
    this.#reachable?.setAttribute("tabindex", "-1");
    button?.setAttribute("tabindex", "0");
    this.#reachable = button;
  }

  /** @param {HTMLElement} row */
  #showBelow(row) {
    for (const button of row.querySelectorAll(".diff-line")) {
      const place = placeOf(button);
      const comment = this.#comments.at(place);
      if (!comment) continue;
      const edit = el("button.button", { type: "button" }, "Edit");
      const box = boxFor(
        row,
        el("p", null, comment.text),
        el("div.form-end.changes", null, edit),
      );
      edit.addEventListener("click", () => {
        box.remove();
        if (button instanceof HTMLElement) this.#write(button);
      });
      row.after(box);
    }
  }

  /** @param {HTMLElement} button of the line. */
  #write(button) {
    const row = button.closest("tr");
    if (!row || document.body.classList.contains("is-read-only")) return;
    const place = placeOf(button);
    for (let next = row.nextElementSibling; next?.matches(".diff-comment");) {
      const writing = next.querySelector("textarea");
      if (writing) return writing.focus();
      const shown = next;
      next = next.nextElementSibling;
      shown.remove();
    }
    const field = el("textarea", {
      rows: 3,
      "aria-label": `Comment on line ${place.line}`,
      placeholder: "What is to be changed here?",
    });
    const keep = el("button.button.is-primary", null, "Keep comment");
    const drop = el("button.button", { type: "button" }, "Remove");
    const form = el("form", null, field, el("div.form-end", null, drop, keep));
    const box = boxFor(row, form);
    /** @param {string | undefined} text nothing: all stays as it was. */
    const end = (text) => {
      box.remove();
      if (text !== undefined) {
        const quote = button.closest("td")?.nextElementSibling ?? undefined;
        const code = quote?.matches(".diff-code")
          ? quote
          : row.querySelector(".diff-code");
        this.#comments.keep({ ...place, quote: code?.textContent ?? "", text });
      }
      this.#showBelow(row);
      button.focus();
    };
    if (!(field instanceof HTMLTextAreaElement)) return;
    field.value = this.#comments.at(place)?.text ?? "";
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      end(field.value.trim());
    });
    drop.addEventListener("click", () => end(""));
    field.addEventListener("keydown", (event) => {
      const isEnd = event.key === "Enter" && (event.ctrlKey || event.metaKey);
      // It closes the box, and not the window.
      if (event.key !== "Escape" && !isEnd) return;
      event.preventDefault();
      event.stopPropagation();
      end(isEnd ? field.value.trim() : undefined);
    });
    row.after(box);
    field.focus();
    box.scrollIntoView({ block: "nearest" });
  }

  /** @param {KeyboardEvent} event */
  #step(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const { target } = event;
    if (!step || !(target instanceof Element)) return;
    if (!target.matches(".diff-line")) return;
    const all = [...this.#place.querySelectorAll(".diff-line")];
    const next = all[all.indexOf(target) + step];
    event.preventDefault();
    if (!(next instanceof HTMLElement)) return;
    this.#reach(next);
    next.focus();
  }
}

/**
 * @param {Element} button
 * @returns {LinePlace}
 */
function placeOf(button) {
  const file = button.closest("[data-path]");
  return {
    path: file?.getAttribute("data-path") ?? "",
    side: button.getAttribute("data-side") === "old" ? "old" : "new",
    line: Number(button.getAttribute("data-line")),
  };
}

/**
 * @param {HTMLElement} row
 * @param {...Node} children
 */
function boxFor(row, ...children) {
  const colspan = row.children.length;
  return el("tr.diff-comment", null, fill(el("td", { colspan }), ...children));
}
