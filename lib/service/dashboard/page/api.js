// @ts-check
/**
 * The HTTP API. Addresses are relative, so that a proxy may put the service
 * below a path.
 *
 * @import {
 *   Changes,
 *   ListedTask,
 *   Pause,
 *   Runner,
 *   Session,
 *   Stats,
 *   TaskEvent,
 *   TaskGraph,
 *   WholeTask,
 * } from "./types.ts"
 */

const BASE = "api/v1";

/** A request that was refused, or that nobody answered (status 0). */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} message
   * @param {{ path: string, message: string }[]} [fields]
   */
  constructor(status, message, fields = []) {
    super(message);
    this.status = status;
    this.fields = fields;
  }
}

/** Fires `unauthorized` when the service wants a token. */
export const access = new EventTarget();

/**
 * Sends a request and gives the body of the answer.
 *
 * @param {string} path
 * @param {{
 *   method?: string,
 *   body?: unknown,
 *   headers?: Record<string, string>,
 *   signal?: AbortSignal,
 * }} [options]
 * @returns {Promise<any>}
 */
export async function request(path, { method, body, headers, signal } = {}) {
  /** @type {Response} */
  let response;
  try {
    response = await fetch(path, {
      method: method ?? (body === undefined ? "GET" : "POST"),
      headers: body === undefined
        ? headers
        : { "Content-Type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "The service does not answer. Is it running?");
  }
  const type = response.headers.get("Content-Type") ?? "";
  const answer = /json/.test(type) ? await response.json() : null;
  if (response.ok) return answer;
  if (response.status === 401 && !path.endsWith("/session")) {
    access.dispatchEvent(new Event("unauthorized"));
  }
  throw new ApiError(
    response.status,
    answer?.detail ?? `The service answered ${response.status}.`,
    answer?.errors,
  );
}

/**
 * @param {URLSearchParams} query
 * @param {AbortSignal} [signal]
 * @returns {Promise<{
 *   tasks: ListedTask[], total: number, next_cursor: string | null,
 * }>}
 */
export function listTasks(query, signal) {
  return request(`${BASE}/tasks?${query}`, { signal });
}

/**
 * @param {string} id
 * @param {AbortSignal} [signal]
 * @returns {Promise<WholeTask>}
 */
export function getTask(id, signal) {
  return request(`${BASE}/tasks/${encodeURIComponent(id)}`, { signal });
}

/**
 * @param {string} id
 * @param {AbortSignal} [signal]
 * @returns {Promise<{ events: TaskEvent[] }>}
 */
export function getEvents(id, signal) {
  return request(`${BASE}/tasks/${encodeURIComponent(id)}/events`, { signal });
}

/**
 * The tasks that are the nearest to a task.
 *
 * @param {string} id
 * @param {{ limit: number, signal: AbortSignal }} options
 * @returns {Promise<TaskGraph>}
 */
export function getGraph(id, { limit, signal }) {
  return request(
    `${BASE}/tasks/${encodeURIComponent(id)}/graph?limit=${limit}`,
    { signal },
  );
}

/**
 * @param {string} id
 * @returns {Promise<Changes>}
 */
export function getChanges(id) {
  return request(`${BASE}/tasks/${encodeURIComponent(id)}/diff`);
}

/**
 * Approves what a task asks for: its start, or its changes.
 *
 * @param {string} id
 * @param {string} [head] only changes with this last commit, which was shown
 * @returns {Promise<{ result: string }>}
 */
export async function approve(id, head) {
  const body = { ids: [id], head };
  const { results: [result] } = await request(`${BASE}/tasks/approve`, {
    body,
  });
  return { result };
}

/**
 * @param {string} id
 * @param {string} text
 * @returns {Promise<{ result: string }>}
 */
export function noteTask(id, text) {
  return request(`${BASE}/tasks/note`, { body: { id, text } });
}

/**
 * @param {string} span
 * @param {number} buckets
 * @returns {Promise<Stats>}
 */
export function getStats(span, buckets) {
  return request(`${BASE}/stats?window=${span}&buckets=${buckets}`);
}

/**
 * Cancels, retries or answers a task.
 *
 * @param {string} id
 * @param {"cancel" | "retry" | "answer"} action
 * @param {Record<string, unknown>} [body]
 * @returns {Promise<{ result: string, new_id?: string | null }>}
 */
export function act(id, action, body = {}) {
  return request(`${BASE}/tasks/${encodeURIComponent(id)}/${action}`, { body });
}

/**
 * @param {Record<string, unknown>} body
 * @param {string} key the same for the same task, however often it is sent.
 * @returns {Promise<WholeTask & { warnings: string[] }>}
 */
export function createTask(body, key) {
  return request(`${BASE}/tasks`, {
    body,
    headers: { "Idempotency-Key": key },
  });
}

/** @returns {Promise<{ runners: Runner[] }>} */
export function getRunners() {
  return request(`${BASE}/runners`);
}

/**
 * @param {string} name
 * @returns {Promise<{ results: string[] }>}
 */
export function drainRunner(name) {
  return request(`${BASE}/runners/drain`, { body: { names: [name] } });
}

/** @returns {Promise<{ pauses: Pause[] }>} */
export function getPauses() {
  return request(`${BASE}/pauses`);
}

/**
 * @param {{ provider: string, reason: string, seconds: number | null }} pause
 * @returns {Promise<{ pauses: Pause[] }>}
 */
export function pauseProvider(pause) {
  return request(`${BASE}/pauses`, { body: pause });
}

/**
 * @param {Pause} pause
 * @returns {Promise<{ ended: number }>}
 */
export function resume({ provider, batch }) {
  const body = batch
    ? { batch }
    : provider === "*"
    ? { all: true }
    : { provider };
  return request(`${BASE}/pauses/resume`, { body });
}

/** @returns {Promise<Session>} */
export function getSession() {
  return request(`${BASE}/session`);
}

/**
 * @param {string} token
 * @returns {Promise<Session>}
 */
export function beginSession(token) {
  return request(`${BASE}/session`, { body: { token } });
}

export function endSession() {
  return request(`${BASE}/session`, { method: "DELETE", body: {} });
}

/** @type {Promise<boolean> | undefined} */
let retryKnown;

/** Says whether this service can retry tasks: its document says so. */
export function canRetry() {
  retryKnown ??= request("openapi.json").then(
    ({ paths }) => Boolean(paths?.["/api/v1/tasks/{id}/retry"]?.post),
    () => {
      retryKnown = undefined;
      return false;
    },
  );
  return retryKnown;
}

/**
 * Where the log of a task comes from, as it grows.
 *
 * @param {string} id
 * @param {{ attempt?: number, after?: string }} place
 */
export function logStreamPath(id, { attempt, after }) {
  const query = new URLSearchParams();
  if (attempt !== undefined) query.set("attempt", String(attempt));
  if (after !== undefined) query.set("after", after);
  return `${BASE}/tasks/${encodeURIComponent(id)}/logs/stream?${query}`;
}

/** Where events come from. */
export const EVENTS_PATH = `${BASE}/events`;
