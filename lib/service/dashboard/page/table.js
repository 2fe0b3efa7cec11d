// @ts-check
/**
 * The table: only the rows that can be seen are in the document, so that
 * 100,000 tasks are no more work than 30.
 */

import { byId, el, fill } from "./dom.js";
import { count, plural } from "./format.js";
import { announce } from "./notice.js";
import { fillRow, makeRow } from "./rows.js";

/**
 * @typedef {import("./types.ts").ListedTask} ListedTask
 * @typedef {import("./task_list.js").TaskList} TaskList
 */

const OVERSCAN_ROWS = 8;
/** The next page is read before its place comes into sight. */
const AHEAD_ROWS = 40;
const SKELETON_ROWS = 12;

export class Table {
  /** @type {TaskList} */
  #list;
  #body = byId("rows");
  /** @type {Map<string, { row: HTMLElement, task: ListedTask }>} */
  #rows = new Map();
  /** @type {string | undefined} */
  #active;
  /** @type {string | undefined} */
  #open;
  #isQueued = false;
  #isHeld = false;

  /** @param {TaskList} list */
  constructor(list) {
    this.#list = list;
    list.addEventListener("change", () => this.#changed());
    const queue = () => this.#queue();
    globalThis.addEventListener("scroll", queue, { passive: true });
    globalThis.addEventListener("resize", queue);
    // "3m ago" does not stay true.
    setInterval(() => this.#refill(), 10_000);
    this.#body.addEventListener("focusin", ({ target }) => {
      const row = target instanceof Element ? target.closest(".row") : null;
      if (row instanceof HTMLElement) this.#activate(row.dataset.id);
    });
    fill(
      byId("skeleton"),
      ...Array.from({ length: SKELETON_ROWS }, () => el("div.skeleton-row")),
    );
  }

  /** Shows that other tasks are on their way. */
  wait() {
    byId("tasks").setAttribute("aria-busy", "true");
  }

  /**
   * Shows no tasks before what stands above them is there, so that no row moves
   * away from under a pointer.
   *
   * @param {Promise<unknown>} others
   */
  async holdFor(others) {
    this.#isHeld = true;
    await others;
    this.#isHeld = false;
    if (!this.#list.isLoading) this.#changed();
  }

  /**
   * Marks the row of the task that the panel shows.
   *
   * @param {string | undefined} id
   */
  markOpen(id) {
    this.#open = id;
    if (id !== undefined) this.#activate(id);
    this.render();
  }

  /** The task that the keyboard is at. */
  get active() {
    return this.#active;
  }

  /**
   * Goes some rows down, or up, and gives the id of the task there.
   *
   * @param {number} step
   */
  move(step) {
    const { tasks } = this.#list;
    const from = tasks.findIndex(({ id }) => id === this.#active);
    const to = from < 0
      ? 0
      : Math.min(tasks.length - 1, Math.max(0, from + step));
    const id = tasks[to]?.id;
    if (id === undefined) return undefined;
    this.#activate(id);
    this.#scrollTo(to);
    this.render();
    this.focusActive();
    return id;
  }

  /** Puts the focus on the row that the keyboard is at. */
  focusActive() {
    const row = this.#active === undefined
      ? undefined
      : this.#rows.get(this.#active)?.row;
    if (!row) return false;
    linkOf(row)?.focus({ preventScroll: true });
    return true;
  }

  /** Puts the rows in sight into the document. */
  render() {
    this.#isQueued = false;
    const { tasks } = this.#list;
    const height = this.#rowHeight();
    this.#body.style.height = `${tasks.length * height}px`;
    const top = -this.#body.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(top / height) - OVERSCAN_ROWS);
    const inSight = Math.ceil(innerHeight / height) + 2 * OVERSCAN_ROWS;
    const last = Math.min(tasks.length, first + inSight);
    const shown = tasks.slice(first, last);
    const ids = new Set(shown.map(({ id }) => id));
    for (const [id, { row }] of this.#rows) {
      if (ids.has(id)) continue;
      row.remove();
      this.#rows.delete(id);
    }
    /** @type {Element | null} */
    let next = this.#body.firstElementChild;
    shown.forEach((task, index) => {
      const row = this.#rowOf(task);
      row.style.transform = `translateY(${(first + index) * height}px)`;
      row.setAttribute("aria-rowindex", String(first + index + 2));
      // A row that moves loses the focus, so one that is in place stays there.
      if (row === next) next = row.nextElementSibling;
      else this.#body.insertBefore(row, next);
    });
    if (last + AHEAD_ROWS >= tasks.length) this.#list.more();
  }

  /** @param {ListedTask} task */
  #rowOf(task) {
    const known = this.#rows.get(task.id);
    const row = known?.row ?? makeRow(task);
    if (known?.task !== task) {
      fillRow(row, task);
      this.#rows.set(task.id, { row, task });
    }
    const active = this.#active ?? this.#list.tasks[0]?.id;
    linkOf(row)?.setAttribute("tabindex", task.id === active ? "0" : "-1");
    row.classList.toggle("is-open", task.id === this.#open);
    return row;
  }

  #refill() {
    for (const { row, task } of this.#rows.values()) fillRow(row, task);
  }

  #changed() {
    if (this.#isHeld) return;
    const { tasks, total, added, isLoading, isUnfiltered } = this.#list;
    // What is looked at must not move away because something came in above.
    const isBelowTop = this.#body.getBoundingClientRect().top < 0;
    if (added > 0 && isBelowTop) scrollBy(0, added * this.#rowHeight());
    const isEmpty = !isLoading && tasks.length === 0;
    byId("skeleton").hidden = !isLoading;
    byId("table").hidden = isEmpty;
    byId("none").hidden = !isEmpty || isUnfiltered;
    byId("first-task").hidden = !isEmpty || !isUnfiltered;
    const table = byId("table");
    table.setAttribute("aria-rowcount", String(total + 1));
    const text = plural(total, "task");
    const counted = byId("found");
    if (counted.textContent !== text) {
      fill(counted, text);
      const tasksElement = byId("tasks");
      if (tasksElement.getAttribute("aria-busy") === "true") {
        announce(`${text} found`);
      }
    }
    byId("tasks").setAttribute("aria-busy", "false");
    fill(
      byId("end"),
      tasks.length < total
        ? `${count(tasks.length)} of ${count(total)} loaded; scroll for more`
        : "",
    );
    this.render();
  }

  /** @param {string | undefined} id */
  #activate(id) {
    if (id === undefined || id === this.#active) return;
    this.#active = id;
    for (const [other, { row }] of this.#rows) {
      linkOf(row)?.setAttribute("tabindex", other === id ? "0" : "-1");
    }
  }

  /** @param {number} index */
  #scrollTo(index) {
    const height = this.#rowHeight();
    const top = this.#body.getBoundingClientRect().top + index * height;
    const head = byId("table-head").getBoundingClientRect().bottom;
    if (top < head) scrollBy(0, top - head);
    else if (top + height > innerHeight) {
      scrollBy(0, top + height - innerHeight + 8);
    }
  }

  #queue() {
    if (this.#isQueued) return;
    this.#isQueued = true;
    requestAnimationFrame(() => this.render());
  }

  #rowHeight() {
    const text = getComputedStyle(this.#body).getPropertyValue("--row-height");
    return parseFloat(text) || 52;
  }
}

/**
 * @param {Element} row
 * @returns {HTMLElement | null}
 */
function linkOf(row) {
  return row.querySelector(".row-link");
}
