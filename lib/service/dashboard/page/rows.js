// @ts-check
/** A task as a row. */

import { el, timeElement } from "./dom.js";
import { relative, span } from "./format.js";
import { stateIcon, stateNameOf } from "./states.js";

/** @typedef {import("./types.ts").ListedTask} ListedTask */

/**
 * Makes a row.
 *
 * @param {ListedTask} task
 */
export function makeRow(task) {
  const row = el("div.row", { role: "row", "data-id": task.id });
  const link = el("a.row-link", {
    href: `#/tasks/${task.id}`,
    tabindex: -1,
  });
  row.append(
    el("div.cell.cell-state", { role: "cell" }),
    el("div.cell.cell-task", { role: "cell" }, link, el("div.note")),
    el("div.cell.cell-target", { role: "cell" }),
    el("div.cell.cell-provider", { role: "cell" }),
    el("div.cell.cell-attempt", { role: "cell" }),
    el("div.cell.cell-age", { role: "cell" }),
  );
  return row;
}

/**
 * Shows a task in its row.
 *
 * @param {HTMLElement} row
 * @param {ListedTask} task
 */
export function fillRow(row, task) {
  row.dataset.state = task.shown_state;
  const [state, main, target, provider, attempt, age] = row.children;
  const [link, note] = main?.children ?? [];
  state?.replaceChildren(
    stateIcon(task.shown_state),
    el("span.state-name", null, stateNameOf(task)),
  );
  if (link) link.textContent = titleOf(task);
  note?.replaceChildren(...noteOf(task));
  if (target) target.textContent = task.target_ref ?? "";
  if (provider) provider.textContent = task.provider;
  attempt?.replaceChildren(attemptOf(task));
  age?.replaceChildren(
    timeElement(task.created_at, relative(task.created_at)),
  );
}

/**
 * The first line of what is to be done.
 *
 * @param {{ instruction: string | null, target_ref: string | null }} task
 */
export function titleOf({ instruction, target_ref }) {
  const line = instruction?.trim().split("\n", 1)[0];
  return line || target_ref || "(no instruction)";
}

/**
 * @param {{ attempt: number, max_attempts: number | null }} task
 */
export function attemptOf({ attempt, max_attempts }) {
  if (attempt === 0) return "";
  return max_attempts === null ? String(attempt) : `${attempt}/${max_attempts}`;
}

/**
 * What is worth knowing of a task in its state.
 *
 * @param {ListedTask} task
 * @returns {(Node | string)[]}
 */
function noteOf(task) {
  const { state, progress, progress_fraction, question, error } = task;
  if (state === "failed") return [error ?? ""];
  if (state === "needs_input") return [question ?? ""];
  const due = task.run_at === null ? NaN : Date.parse(task.run_at);
  if (due > Date.now()) {
    const wait = span((due - Date.now()) / 1_000);
    return [
      state === "created" ? `Not before ${wait} from now` : `Again in ${wait}`,
    ];
  }
  if (state !== "running") return [];
  if (task.cancel_requested_at !== null) return ["Stopping…"];
  const text = progress ?? "";
  if (progress_fraction === null) return [text];
  const percent = Math.round(progress_fraction * 100);
  return [
    el("progress", {
      max: 100,
      value: percent,
      "aria-label": `${percent}% done`,
    }),
    el("span.percent", null, `${percent}%`),
    el("span.note-text", null, text),
  ];
}
