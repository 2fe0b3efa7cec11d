// @ts-check
/** The lines of a changed file: read by a library, drawn where they are looked at. */

import { el, fill } from "./dom.js";
import { count } from "./format.js";
// @ts-types="diff/lib/patch/parse.js"
import { parsePatch } from "./patch.js";

/**
 * @typedef {import("./types.ts").ChangedFile} ChangedFile
 *
 * @typedef {object} Line
 * @property {"same" | "added" | "deleted" | "hunk" | "note"} kind
 * @property {string} text
 * @property {number} [old]
 * @property {number} [now]
 * @property {boolean} [hasNoEnd] no newline comes after it.
 *
 * @typedef {readonly [Line | undefined, Line | undefined]} Pair
 */

/** Rows that are drawn at once. */
const CHUNK_ROWS = 150;
const ROW_PX = 20;
/** More of a line says nothing. */
const MAX_CHARACTERS = 2_000;

/** Only git's own lines count: within one, there may be what else ends a line. */
const HUNK = /(?<![^\n])@@ .*/g;

const COLUMNS = ["diff-narrow", "diff-narrow", "diff-wide"];
const SPLIT_COLUMNS = ["diff-narrow", "diff-wide", "diff-narrow", "diff-wide"];

/** Draws what comes near the part that is seen. */
export class Lazy {
  /** @type {WeakMap<Element, () => void>} */
  #draws = new WeakMap();
  #observer;

  /** @param {Element} root what scrolls. */
  constructor(root) {
    this.#observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) continue;
        this.#observer.unobserve(target);
        this.#draws.get(target)?.();
      }
    }, { root, rootMargin: "600px" });
  }

  /**
   * Takes about so much room until it is drawn.
   *
   * @param {HTMLElement} element
   * @param {{ rows: number, draw: () => void }} options
   */
  add(element, { rows, draw }) {
    element.style.minHeight = `${rows * ROW_PX}px`;
    this.#draws.set(element, () => {
      element.style.minHeight = "";
      draw();
    });
    this.#observer.observe(element);
  }

  clear() {
    this.#observer.disconnect();
  }
}

/**
 * Draws the lines of a file into an element, when they come near.
 *
 * @param {HTMLElement} place
 * @param {{
 *   file: ChangedFile,
 *   lazy: Lazy,
 *   isSplit: boolean,
 *   onRow: (row: HTMLElement, lines: readonly Line[]) => void,
 * }} options `onRow` may add to a row what belongs below it.
 */
export function drawFile(place, { file, lazy, isSplit, onRow }) {
  const rows = file.patch?.split("\n").length ?? 1;
  const draw = () => {
    const lines = linesOf(file);
    const pairs = isSplit ? paired(lines) : lines.map(alone);
    /** @type {HTMLElement[]} */
    const chunks = [];
    for (let at = 0; at < pairs.length; at += CHUNK_ROWS) {
      const part = pairs.slice(at, at + CHUNK_ROWS);
      const chunk = el("div.diff-chunk", null);
      const drawChunk = () => drawRows(chunk, { part, isSplit, onRow, file });
      lazy.add(chunk, { rows: part.length, draw: drawChunk });
      chunks.push(chunk);
    }
    fill(place, ...chunks);
  };
  lazy.add(place, { rows, draw });
}

/**
 * @param {HTMLElement} chunk
 * @param {{
 *   part: Pair[],
 *   isSplit: boolean,
 *   onRow: (row: HTMLElement, lines: readonly Line[]) => void,
 *   file: ChangedFile,
 * }} options
 */
function drawRows(chunk, { part, isSplit, onRow, file }) {
  const body = el("tbody", null);
  const columns = isSplit ? SPLIT_COLUMNS : COLUMNS;
  const table = el(
    isSplit ? "table.diff-lines.is-split" : "table.diff-lines",
    { "aria-label": file.path },
    el("colgroup", null, ...columns.map((it) => el(`col.${it}`, null))),
    body,
  );
  // They are in their place before what belongs below them.
  fill(chunk, table);
  for (const [left, right] of part) {
    const line = left ?? right;
    if (!line) continue;
    const isWide = line.kind === "hunk" || line.kind === "note";
    const row = isWide
      ? el(
        `tr.is-${line.kind}`,
        null,
        el("td", { colspan: columns.length }, line.text),
      )
      : el(
        "tr",
        null,
        ...isSplit
          ? [...half(left, "old"), ...half(right, "now")]
          : unified(line),
      );
    body.append(row);
    if (!isWide) onRow(row, [left, right].filter((it) => it !== undefined));
  }
}

/** @param {Line} line */
function unified(line) {
  const isOld = line.now === undefined;
  return [
    el("td.diff-number", null, isOld ? numberButton(line, "old") : line.old),
    el("td.diff-number", null, isOld ? null : numberButton(line, "now")),
    code(line),
  ];
}

/**
 * @param {Line | undefined} line
 * @param {"old" | "now"} side
 */
function half(line, side) {
  if (!line) {
    return [el("td.diff-number", null), el("td.diff-code.is-none", null)];
  }
  const isPlain = side === "old" && line.kind === "same";
  return [
    el("td.diff-number", null, isPlain ? line.old : numberButton(line, side)),
    code(line),
  ];
}

/**
 * @param {Line} line
 * @param {"old" | "now"} side
 */
function numberButton(line, side) {
  const number = line[side] ?? "";
  return el("button.diff-line", {
    type: "button",
    tabindex: -1,
    "data-side": side === "old" ? "old" : "new",
    "data-line": number,
    "aria-label": side === "old"
      ? `Comment on line ${number} before the changes`
      : `Comment on line ${number}`,
  }, number);
}

/** What turns the text around: a line would not be what it seems to be. */
const TURNS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** @param {Line} line */
function code({ kind, text: raw, hasNoEnd = false }) {
  const text = raw.replace(
    TURNS,
    (it) => `⟨U+${it.charCodeAt(0).toString(16).padStart(4, "0")}⟩`,
  );
  const shown = text.length <= MAX_CHARACTERS
    ? text
    : `${text.slice(0, MAX_CHARACTERS)} … and ${
      count(text.length - MAX_CHARACTERS)
    } more characters`;
  return el(
    `td.diff-code.is-${kind}`,
    null,
    shown,
    hasNoEnd && el("span.diff-end", null, "no newline at the end"),
  );
}

/**
 * @param {ChangedFile} file
 * @returns {Line[]}
 */
function linesOf({ patch, binary, path }) {
  if (patch === null) {
    return [
      note(`Too large to be shown here: agent-runner diff ID -- ${path}`),
    ];
  }
  const begin = patch.search(HUNK);
  const head = begin < 0 ? patch : patch.slice(0, begin);
  const notes = [
    ...head.match(/^(old mode|new mode|new file mode 1[26]|Submodule).*$/gm) ??
      [],
    ...binary ? ["Binary file"] : [],
  ].map(note);
  if (begin >= 0) return [...notes, ...hunkLines(patch.slice(begin))];
  return notes.length > 0 ? notes : [note("No line was changed")];
}

/**
 * @param {string} text
 * @returns {Line[]}
 */
function hunkLines(text) {
  /** @type {Line[]} */
  const lines = [];
  const heads = text.match(HUNK) ?? [];
  // Where a file became a link, there are two patches.
  const hunks = parsePatch(text).flatMap(({ hunks }) => hunks);
  for (const [index, hunk] of hunks.entries()) {
    lines.push({ kind: "hunk", text: heads[index] ?? "" });
    let old = hunk.oldStart;
    let now = hunk.newStart;
    for (const line of hunk.lines) {
      const text = line.slice(1);
      const [mark] = line;
      const last = lines.at(-1);
      if (mark === "+") lines.push({ kind: "added", text, now: now++ });
      else if (mark === "-") lines.push({ kind: "deleted", text, old: old++ });
      else if (mark !== "\\") {
        lines.push({ kind: "same", text, old: old++, now: now++ });
      } else if (last) last.hasNoEnd = true;
    }
  }
  return lines;
}

/** @param {string} text @returns {Line} */
function note(text) {
  return { kind: "note", text };
}

/** @param {Line} line @returns {Pair} */
function alone(line) {
  return [line, undefined];
}

/**
 * What was deleted beside what came for it.
 *
 * @param {readonly Line[]} lines
 */
function paired(lines) {
  /** @type {Pair[]} */
  const pairs = [];
  /** @type {Line[]} */
  let deleted = [];
  /** @type {Line[]} */
  let added = [];
  const flush = () => {
    for (let at = 0; at < Math.max(deleted.length, added.length); at++) {
      pairs.push([deleted[at], added[at]]);
    }
    deleted = [];
    added = [];
  };
  for (const line of lines) {
    if (line.kind === "deleted") {
      if (added.length > 0) flush();
      deleted.push(line);
    } else if (line.kind === "added") {
      added.push(line);
    } else {
      flush();
      pairs.push(line.kind === "same" ? [line, line] : alone(line));
    }
  }
  flush();
  return pairs;
}
