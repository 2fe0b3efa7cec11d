// @ts-check
/**
 * The HTTP API. Addresses are relative, so that a proxy may put the service
 * below a path.
 *
 * @typedef {object} Task
 * @property {string} id
 * @property {string} state
 * @property {string} shown_state
 * @property {boolean} simulated
 * @property {string} user_id
 * @property {string} provider
 * @property {string | null} target_type
 * @property {string | null} target_ref
 * @property {string | null} instruction
 * @property {string | null} batch
 * @property {number} priority
 * @property {number} attempt
 * @property {number | null} max_attempts
 * @property {number | null} timeout_seconds
 * @property {string | null} run_at
 * @property {string | null} batch
 * @property {string | null} key
 * @property {string[]} tags
 * @property {string | null} lease_owner
 * @property {string | null} lease_expires_at
 * @property {boolean} blocked
 * @property {string | null} if_failed
 * @property {string | null} cancel_requested_at
 * @property {string} created_at
 * @property {string} updated_at
 *
 * @typedef {Task & {
 *   progress: string | null,
 *   progress_fraction: number | null,
 *   error: string | null,
 *   question: string | null,
 * }} ListedTask
 *
 * @typedef {Task & { trace: unknown }} WholeTask
 *
 * @typedef {object} TaskEvent
 * @property {number} id
 * @property {string} task_id
 * @property {string} kind
 * @property {string} occurred_at
 * @property {number} attempt
 * @property {string | null} runner
 * @property {string | null} detail
 * @property {Usage} [usage]
 *
 * @typedef {object} Usage
 * @property {number} [input] without what came from a cache
 * @property {number} [output]
 * @property {number} [cached]
 * @property {number} [costUsd]
 * @property {string} [model]
 *
 * @typedef {object} UsageSum
 * @property {string} provider
 * @property {string | null} model
 * @property {number} runs
 * @property {number} input
 * @property {number} output
 * @property {number} cached
 * @property {number} cost_usd
 *
 * @typedef {object} GraphNode
 * @property {string} id
 * @property {string | null} key
 * @property {string | null} instruction
 * @property {string} provider
 * @property {string} state
 * @property {string} shown_state
 *
 * @typedef {object} TaskGraph
 * @property {GraphNode[]} nodes
 * @property {{ task: string, after: string }[]} edges
 * @property {boolean} has_more
 *
 * @typedef {object} ChangedFile
 * @property {string} path
 * @property {string | null} old_path
 * @property {string} status
 * @property {number} insertions
 * @property {number} deletions
 * @property {boolean} binary
 * @property {string | null} patch null where it is too large
 *
 * @typedef {object} Changes
 * @property {string} base
 * @property {string} head
 * @property {string} branch
 * @property {boolean} uncommitted
 * @property {ChangedFile[]} files
 * @property {boolean} truncated
 *
 * @typedef {object} LogEntry
 * @property {string} at
 * @property {string} kind
 * @property {string} text
 *
 * @typedef {object} LogPage
 * @property {number | null} attempt
 * @property {number[]} attempts
 * @property {LogEntry[]} entries
 *
 * @typedef {{ p50: number, p95: number } | null} Percentiles
 *
 * @typedef {object} Bucket
 * @property {string} start
 * @property {number} created
 * @property {number} started
 * @property {number} completed
 * @property {number} simulated
 * @property {number} failed
 * @property {number} cancelled
 * @property {number} retried
 * @property {Percentiles} wait_seconds
 * @property {Percentiles} run_seconds
 *
 * @typedef {object} Stats
 * @property {number} total
 * @property {Record<string, number>} states
 * @property {{ provider: string, total: number }[]} providers
 * @property {number} waiting
 * @property {string | null} waiting_since
 * @property {number} in_flight
 * @property {number} bucket_seconds
 * @property {Bucket[]} buckets
 * @property {UsageSum[]} usage
 *
 * @typedef {object} Pause
 * @property {string} provider `*` of a batch, and of everything
 * @property {string | null} batch
 * @property {"person" | "limit" | "budget"} kind
 * @property {string} reason
 * @property {string} since
 * @property {string | null} until
 * @property {number} waiting
 *
 * @typedef {object} Runner
 * @property {string} name
 * @property {string} host
 * @property {number} pid
 * @property {string} version
 * @property {string} started_at
 * @property {string} seen_at
 * @property {boolean} draining
 * @property {boolean} gone
 * @property {number} in_hand
 *
 * @typedef {object} Session
 * @property {boolean} token_needed
 * @property {boolean} authorized
 * @property {boolean} may_change
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
