// @ts-check
/** Making elements. Texts of tasks only ever become text nodes. */

/**
 * The element with this id.
 *
 * @template {Element} [T=HTMLElement]
 * @param {string} id
 * @param {new () => T} [type]
 * @returns {T}
 */
export function byId(id, type) {
  const found = document.getElementById(id);
  if (!found || (type && !(found instanceof type))) {
    throw new Error(`There is no #${id}`);
  }
  return /** @type {T} */ (/** @type {unknown} */ (found));
}

/**
 * @typedef {string | number | boolean | null | undefined} Attribute
 * @typedef {Node | string | number | null | undefined | false} Child
 */

/**
 * Makes an element. A class comes with the name: `div.row.wide`.
 *
 * @param {string} selector
 * @param {Record<string, Attribute> | null} [attributes]
 * @param {...Child} children
 * @returns {HTMLElement}
 */
export function el(selector, attributes, ...children) {
  const [name = "div", ...classes] = selector.split(".");
  const made = document.createElement(name);
  made.classList.add(...classes);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    made.setAttribute(key, value === true ? "" : String(value));
  }
  return fill(made, ...children);
}

/**
 * Replaces what is in an element.
 *
 * @template {Element} T
 * @param {T} element
 * @param {...Child} children
 * @returns {T}
 */
export function fill(element, ...children) {
  const given = children.filter((it) =>
    it !== null && it !== undefined && it !== false
  );
  element.replaceChildren(
    ...given.map((it) => it instanceof Node ? it : String(it)),
  );
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/**
 * One of the page's symbols, hidden from screen readers.
 *
 * @param {string} name
 * @param {string} [className]
 */
export function icon(name, className = "") {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `icon ${className}`.trim());
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/**
 * A time as people say it, with the whole time to point at.
 *
 * @param {string} iso
 * @param {string} text
 */
export function timeElement(iso, text) {
  const whole = new Date(iso).toLocaleString();
  return el("time", { datetime: iso, title: whole }, text);
}

/**
 * Calls `act` at most once in `ms`, the last time after the last call.
 *
 * @param {() => void} act
 * @param {number} ms
 */
export function throttled(act, ms) {
  let lastAt = -Infinity;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  return () => {
    if (timer !== undefined) return;
    const waitMs = Math.max(0, lastAt + ms - performance.now());
    timer = setTimeout(() => {
      timer = undefined;
      lastAt = performance.now();
      act();
    }, waitMs);
  };
}
