// @ts-check
/** Draws tasks and what they wait for, from left to right. */

// @ts-types="@dagrejs/dagre"
import dagre from "./dagre.js";
import { titleOf } from "./rows.js";
import { isFinal, nameOf, stateClass, stateIcon } from "./states.js";

/**
 * @typedef {import("./types.ts").GraphNode} GraphNode
 * @typedef {import("./types.ts").TaskGraph} TaskGraph
 * @typedef {{ x: number, y: number }} Point
 * @typedef {Point & { element: SVGElement }} Box
 */

const WIDTH = 150;
const HEIGHT = 42;
/** Where a text begins, and how wide it may be. */
const TEXT_LEFT = 32;
const TEXT_WIDTH = WIDTH - TEXT_LEFT - 8;
const NAME_FONT = "500 12.5px Inter, system-ui, sans-serif";
const MARGIN = 10;
/** More than this takes the best layout seconds; then a good one will do. */
const BEST_NODES = 100;
const BEST_EDGES = 200;

/** A picture of one graph; the states in it may change. */
export class GraphPicture {
  element = svg("svg", { class: "graph-picture", role: "group" });
  width = 0;
  height = 0;
  #graph;
  /** @type {Map<string, Box>} */
  #boxes = new Map();
  /** @type {{ task: string, after: string, line: SVGElement }[]} */
  #lines = [];
  /** @type {Box | undefined} */
  #current;

  /** @param {TaskGraph} graph */
  constructor(graph) {
    this.#graph = graph;
    this.#draw(layoutOf(graph));
    this.element.setAttribute("aria-labelledby", "graph-title");
    this.element.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.element.addEventListener("keydown", (event) => this.#step(event));
  }

  /** @param {string} id */
  has(id) {
    return this.#boxes.has(id);
  }

  /**
   * Shows what is new of the same tasks.
   *
   * @param {readonly GraphNode[]} nodes
   * @param {string} current the task that is shown beside it
   */
  show(nodes, current) {
    this.#current = this.#boxes.get(current);
    /** @type {Set<string>} */
    const ended = new Set();
    for (const node of nodes) {
      const box = this.#boxes.get(node.id);
      if (!box) continue;
      if (isFinal(node.state)) ended.add(node.id);
      fillBox(box, node, { isCurrent: node.id === current });
    }
    for (const { task, after, line } of this.#lines) {
      line.classList.toggle("is-waiting", !ended.has(after));
      const isOwn = task === current || after === current;
      line.classList.toggle("is-own", isOwn);
      if (isOwn) line.parentElement?.append(line);
    }
  }

  /** @param {number} scale */
  scale(scale) {
    this.element.setAttribute("width", String(this.width * scale));
    this.element.setAttribute("height", String(this.height * scale));
  }

  /**
   * Scrolls to the task that is shown.
   *
   * @param {Element} place
   */
  center(place) {
    const { x = 0, y = 0 } = this.#current ?? {};
    const scale = Number(this.element.getAttribute("width")) / this.width;
    const { clientWidth, clientHeight } = place;
    place.scrollTo(x * scale - clientWidth / 2, y * scale - clientHeight / 2);
  }

  /** @param {ReturnType<typeof layoutOf>} layout */
  #draw(layout) {
    const { width = 0, height = 0 } = layout.graph();
    Object.assign(this, { width, height });
    const lines = svg("g", { class: "graph-lines" });
    for (const { task, after } of this.#graph.edges) {
      const edge = layout.edge(after, task);
      if (!edge) continue;
      const line = svg("path", {
        d: pathOf(layout.node(after), layout.node(task), edge.points),
        "marker-end": "url(#graph-arrow)",
      });
      lines.append(line);
      this.#lines.push({ task, after, line });
    }
    this.element.append(arrow(), lines);
    for (const node of this.#graph.nodes) {
      const { x, y } = layout.node(node.id);
      const box = { x, y, element: boxOf(node, { x, y }) };
      this.#boxes.set(node.id, box);
      this.element.append(box.element);
    }
  }

  /**
   * The keyboard goes along the lines, and up and down among tasks side by side.
   *
   * @param {KeyboardEvent} event
   */
  #step(event) {
    const { key, target } = event;
    const [id, from] =
      [...this.#boxes].find(([, { element }]) => element === target) ?? [];
    const to = from && id !== undefined ? this.#next(key, id, from) : undefined;
    if (!to || !from) return;
    event.preventDefault();
    event.stopPropagation();
    from.element.setAttribute("tabindex", "-1");
    to.element.setAttribute("tabindex", "0");
    to.element.focus();
  }

  /**
   * @param {string} key
   * @param {string} id
   * @param {Box} from
   */
  #next(key, id, from) {
    const isUp = key === "ArrowUp";
    /** @type {(Box | undefined)[]} */
    const all = key === "ArrowLeft"
      ? this.#lines.filter(({ task }) => task === id)
        .map(({ after }) => this.#boxes.get(after))
      : key === "ArrowRight"
      ? this.#lines.filter(({ after }) => after === id)
        .map(({ task }) => this.#boxes.get(task))
      : isUp || key === "ArrowDown"
      ? [...this.#boxes.values()].filter(({ x, y }) =>
        x === from.x && (isUp ? y < from.y : y > from.y)
      )
      : [];
    /** @param {Box | undefined} box */
    const distance = (box) => Math.abs((box?.y ?? 0) - from.y);
    return all.sort((a, b) => distance(a) - distance(b))[0];
  }
}

/** @param {TaskGraph} graph */
function layoutOf({ nodes, edges }) {
  const isBest = nodes.length <= BEST_NODES && edges.length <= BEST_EDGES;
  const layout = new dagre.graphlib.Graph();
  layout.setGraph({
    rankdir: "LR",
    nodesep: 12,
    ranksep: 34,
    marginx: MARGIN,
    marginy: MARGIN,
    ranker: isBest ? "network-simplex" : "tight-tree",
  });
  layout.setDefaultEdgeLabel(() => ({}));
  for (const { id } of nodes) {
    layout.setNode(id, { width: WIDTH, height: HEIGHT });
  }
  for (const { task, after } of edges) {
    const isWhole = layout.hasNode(task) && layout.hasNode(after);
    if (isWhole) layout.setEdge(after, task);
  }
  dagre.layout(layout, { disableOptimalOrderHeuristic: !isBest });
  return layout;
}

/**
 * Leaves a box and comes to the other one level, whatever is between.
 *
 * @param {Point} from
 * @param {Point} to
 * @param {readonly Point[]} points
 */
function pathOf(from, to, points) {
  const start = { x: from.x + WIDTH / 2, y: from.y };
  const end = { x: to.x - WIDTH / 2 - 1, y: to.y };
  // Where there is no box between the two, the middle needs no point.
  const between = points.length > 3 ? points.slice(1, -1) : [];
  let last = start;
  let path = `M${round(start.x)} ${round(start.y)}`;
  for (const point of [...between, end]) {
    const middle = round((last.x + point.x) / 2);
    path += `C${middle} ${round(last.y)} ${middle} ${round(point.y)} ` +
      `${round(point.x)} ${round(point.y)}`;
    last = point;
  }
  return path;
}

/** @param {number} value */
function round(value) {
  return Math.round(value * 10) / 10;
}

function arrow() {
  return svg(
    "defs",
    {},
    svg(
      "marker",
      {
        id: "graph-arrow",
        viewBox: "0 0 8 8",
        refX: 7,
        refY: 4,
        markerWidth: 7,
        markerHeight: 7,
        markerUnits: "userSpaceOnUse",
        orient: "auto",
      },
      svg("path", { d: "M0 .8 7 4 0 7.2z", class: "graph-arrow" }),
    ),
  );
}

/**
 * @param {GraphNode} node
 * @param {Point} center
 */
function boxOf(node, { x, y }) {
  const left = round(x - WIDTH / 2);
  const top = round(y - HEIGHT / 2);
  const name = svg("text", { class: "graph-name", y: 17 });
  const { key, instruction } = node;
  const title = titleOf({ instruction, target_ref: null });
  name.textContent = fitting(key ?? title);
  return svg(
    "a",
    { href: `#/tasks/${node.id}`, transform: `translate(${left} ${top})` },
    svg("title", {}),
    svg("rect", { width: WIDTH, height: HEIGHT, rx: 9 }),
    // What is wider than it was measured ends at its edge.
    svg(
      "svg",
      { x: TEXT_LEFT, width: TEXT_WIDTH, height: HEIGHT },
      name,
      svg("text", { class: "graph-state", y: 32 }),
    ),
  );
}

/**
 * @param {Box} box
 * @param {GraphNode} node
 * @param {{ isCurrent: boolean }} options
 */
function fillBox({ element }, node, { isCurrent }) {
  const { key, instruction, provider, shown_state } = node;
  const state = nameOf(shown_state);
  element.setAttribute("tabindex", isCurrent ? "0" : "-1");
  if (isCurrent) element.setAttribute("aria-current", "true");
  else element.removeAttribute("aria-current");
  if (element.dataset.state === shown_state) return;
  element.dataset.state = shown_state;
  element.setAttribute("class", `graph-node ${stateClass(shown_state)}`);
  const shape = stateIcon(shown_state);
  const place = { x: 9, y: HEIGHT / 2 - 8, width: 16, height: 16 };
  for (const [name, value] of Object.entries(place)) {
    shape.setAttribute(name, String(value));
  }
  element.querySelector(".state-icon")?.remove();
  element.append(shape);
  const [whole, text] = element.querySelectorAll("title, .graph-state");
  if (text) text.textContent = state;
  // Its name for who does not see it, and what is shown to who points at it.
  if (whole) {
    whole.textContent = [key, instruction?.trim(), `${provider}: ${state}`]
      .filter((it) => it).join("\n");
  }
}

const ruler = document.createElement("canvas").getContext("2d");

/**
 * As much of a text as has room in a box.
 *
 * @param {string} text
 */
function fitting(text) {
  if (!ruler) return text;
  ruler.font = NAME_FONT;
  /** @param {string} text */
  const fits = (text) => ruler.measureText(text).width <= TEXT_WIDTH;
  const characters = [...text.slice(0, 60)];
  if (characters.join("") === text && fits(text)) return text;
  while (characters.length > 1 && !fits(`${characters.join("")}…`)) {
    characters.pop();
  }
  return `${characters.join("").trimEnd()}…`;
}

/**
 * @param {string} name
 * @param {Record<string, string | number>} attributes
 * @param {...Node} children
 */
function svg(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) {
    made.setAttribute(key, String(value));
  }
  made.append(...children);
  return made;
}
