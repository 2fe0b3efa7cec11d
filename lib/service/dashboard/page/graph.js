// @ts-check
/** The tasks around the one that is shown: a picture, where there are any. */

import { getGraph } from "./api.js";
import { byId, fill, throttled } from "./dom.js";
import { count } from "./format.js";
import { notifyFailure } from "./notice.js";

/** @typedef {import("./types.ts").TaskGraph} TaskGraph */

const REFRESH_MS = 700;
/** So many of the nearest are drawn, */
const FIRST = 200;
/** and so many where a person asks: more take seconds to lay out. */
const MOST = 1_000;
const ZOOM = 1.3;
/** Smaller than this, it can't be read. */
const MIN_FIT = 0.85;
const MIN_SCALE = 0.1;
const MAX_SCALE = 2;

/** The graph around the task that is shown. */
export class GraphView {
  #box = byId("graph-box");
  #place = byId("graph");
  /** @type {string | undefined} */
  #id;
  #limit = FIRST;
  #scale = 1;
  #abort = new AbortController();
  /** @type {import("./graph_picture.js").GraphPicture | undefined} */
  #picture;
  /** What the picture was made of. */
  #drawn = "";
  /** Reads the graph again, soon. */
  refresh = throttled(() => this.#read(), REFRESH_MS);

  constructor() {
    byId("graph-out").addEventListener("click", () => this.#zoom(1 / ZOOM));
    byId("graph-in").addEventListener("click", () => this.#zoom(ZOOM));
    byId("graph-whole").hidden = !document.fullscreenEnabled;
    byId("graph-whole").addEventListener("click", () => this.#fillScreen());
    byId("graph-all").addEventListener("click", () => {
      this.#limit = MOST;
      fill(byId("graph-all"), "Drawing…");
      this.#read();
    });
    this.#box.addEventListener("fullscreenchange", () => this.#fit());
    this.#place.addEventListener("click", ({ target }) => {
      const isTask = target instanceof Element && target.closest("a");
      if (isTask && document.fullscreenElement) document.exitFullscreen();
    });
  }

  /** @param {string} id */
  open(id) {
    if (id === this.#id) return this.refresh();
    this.#id = id;
    this.#limit = FIRST;
    // Of a task in the same graph, the picture stays.
    if (!this.#picture?.has(id)) this.#clear();
    this.#read();
  }

  close() {
    this.#id = undefined;
    this.#abort.abort();
    this.#clear();
  }

  /**
   * Something happened to a task.
   *
   * @param {string} id
   * @param {string} kind
   */
  touch(id, kind) {
    // A new one may wait for one of these.
    const isNews = this.#picture?.has(id) || kind === "created";
    if (this.#picture && isNews) this.refresh();
  }

  #clear() {
    this.#box.hidden = true;
    this.#picture = undefined;
    this.#drawn = "";
    fill(this.#place);
  }

  async #read() {
    const id = this.#id;
    if (id === undefined) return;
    this.#abort.abort();
    const { signal } = this.#abort = new AbortController();
    try {
      const limit = this.#limit;
      const graph = drawable(await getGraph(id, { limit, signal }), 2 * limit);
      if (graph.edges.length === 0) return this.#clear();
      const { GraphPicture } = await import("./graph_picture.js");
      if (signal.aborted) return;
      this.#show(graph, id, GraphPicture);
    } catch (error) {
      if (!signal.aborted) notifyFailure(error);
    }
  }

  /**
   * @param {TaskGraph} graph
   * @param {string} id
   * @param {typeof import("./graph_picture.js").GraphPicture} Picture
   */
  #show(graph, id, Picture) {
    const form = formOf(graph);
    const isNew = form !== this.#drawn;
    const picture = isNew || !this.#picture
      ? new Picture(graph)
      : this.#picture;
    picture.show(graph.nodes, id);
    this.#box.hidden = false;
    if (isNew) {
      this.#picture = picture;
      this.#drawn = form;
      fill(this.#place, picture.element);
      this.#fit();
    }
    this.#tell(graph);
  }

  /** @param {TaskGraph} graph */
  #tell({ nodes, has_more }) {
    const shown = count(nodes.length);
    fill(byId("graph-count"), has_more ? "" : `${shown} tasks`);
    byId("graph-more").hidden = !has_more;
    fill(byId("graph-more-text"), `The ${shown} nearest tasks, … and more`);
    byId("graph-all").hidden = this.#limit === MOST;
    fill(byId("graph-all"), `Show up to ${count(MOST)}`);
  }

  #fillScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.#box.requestFullscreen().catch(notifyFailure);
  }

  /** As large as can be read, with the task in its middle. */
  #fit() {
    if (!this.#picture) return;
    const { clientWidth } = this.#place;
    const whole = clientWidth / this.#picture.width;
    this.#scale = Math.min(1, Math.max(MIN_FIT, whole));
    this.#picture.scale(this.#scale);
    this.#picture.center(this.#place);
  }

  /** @param {number} factor */
  #zoom(factor) {
    const place = this.#place;
    const { clientWidth: width, clientHeight: height } = place;
    const x = (place.scrollLeft + width / 2) / this.#scale;
    const y = (place.scrollTop + height / 2) / this.#scale;
    const wanted = this.#scale * factor;
    this.#scale = Math.min(MAX_SCALE, Math.max(MIN_SCALE, wanted));
    this.#picture?.scale(this.#scale);
    place.scrollTo(x * this.#scale - width / 2, y * this.#scale - height / 2);
  }
}

/**
 * Lines make it slow too: with too many of them, fewer tasks are drawn.
 *
 * @param {TaskGraph} graph with the nearest first
 * @param {number} maxEdges
 * @returns {TaskGraph}
 */
function drawable(graph, maxEdges) {
  const places = new Map(graph.nodes.map(({ id }, place) => [id, place]));
  /** @param {TaskGraph["edges"][number]} edge */
  const laterOf = ({ task, after }) =>
    Math.max(places.get(task) ?? Infinity, places.get(after) ?? Infinity);
  const size = graph.edges.map(laterOf).sort((a, b) => a - b)[maxEdges];
  if (size === undefined) return graph;
  return {
    nodes: graph.nodes.slice(0, size),
    edges: graph.edges.filter((edge) => laterOf(edge) < size),
    has_more: true,
  };
}

/**
 * What decides how a graph is drawn, whoever asked for it.
 *
 * @param {TaskGraph} graph
 */
function formOf({ nodes, edges }) {
  return [
    ...nodes.map(({ id }) => id),
    ...edges.map(({ task, after }) => `${after} ${task}`),
  ].sort().join();
}
