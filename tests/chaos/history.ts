/**
 * Checks a database's whole history against what was promised: at least once,
 * fenced, and nothing acknowledged is lost.
 *
 * @module
 */

import { DuckDBInstance } from "duckdb";
import { isBy, isHarmed, type RunnerLife } from "./runners.ts";

/** A row of `agent_tasks`. */
interface TaskRow {
  readonly id: string;
  readonly provider: string;
  readonly status: string;
  readonly attempt: number;
  readonly max_attempts: number | null;
  readonly lease_id: string | null;
  readonly lease_owner: string | null;
}

/** A row of `agent_task_events`. */
export interface EventRow {
  readonly id: number;
  readonly task_id: string;
  readonly kind: string;
  readonly at: number;
  readonly attempt: number;
  readonly runner: string | null;
  readonly detail: string | null;
}

/** What a database holds. */
export interface History {
  readonly tasks: ReadonlyMap<string, TaskRow>;
  readonly events: ReadonlyMap<string, readonly EventRow[]>;
  /** Numbers of events that two events have. */
  readonly doubleIds: number;
}

/** A line of a log that was written after its commit. */
export interface LoggedOutcome {
  readonly taskId: string;
  readonly kind: "completed" | "failed" | "cancelled" | "released";
  readonly pid: number;
}

/** What the database was told, and what it said. */
export interface Expected {
  /** The ids of each `create`, and whether that said that they are there. */
  readonly batches: readonly Batch[];
  readonly outcomes: readonly LoggedOutcome[];
  readonly leaseMs: number;
  readonly maxAttempts: number;
  /** By process id. */
  readonly runners: ReadonlyMap<number, RunnerLife>;
}

/** The tasks of one `create`. */
export interface Batch {
  readonly ids: readonly string[];
  readonly isAcknowledged: boolean;
}

/** What the check found. */
export interface Checked {
  readonly counts: Counts;
  /** Each with the whole history of its task. */
  readonly problems: readonly string[];
}

/** How much happened. */
export interface Counts {
  tasks: number;
  attempts: number;
  completed: number;
  failed: number;
  cancelled: number;
  released: number;
  retried: number;
  /** Ended because their runner died at each attempt. */
  died: number;
  /** Claimed by another while the first had the lease but no outcome. */
  takenOver: number;
  /** The same from a runner that nobody had killed, frozen or told to abort. */
  takenFromLive: number;
}

/** Makes counts of nothing. */
export function noCounts(): Counts {
  return {
    tasks: 0,
    attempts: 0,
    completed: 0,
    failed: 0,
    cancelled: 0,
    released: 0,
    retried: 0,
    died: 0,
    takenOver: 0,
    takenFromLive: 0,
  };
}

/** Reads a value that a query gives as JSON; writes nothing. */
export async function readJson<T>(path: string, sql: string): Promise<T> {
  const instance = await DuckDBInstance.create(path, {
    access_mode: "READ_ONLY",
    threads: "1",
  });
  try {
    const connection = await instance.connect();
    const reader = await connection.runAndReadAll(sql);
    connection.closeSync();
    return JSON.parse(String(reader.getRows()[0]?.[0] ?? "null"));
  } finally {
    instance.closeSync();
  }
}

/** Reads everything. */
export async function readHistory(path: string): Promise<History> {
  const tasks = await readJson<TaskRow[] | null>(
    path,
    `SELECT to_json(list(t)) FROM (
       SELECT id, provider, status, attempt, max_attempts, lease_id, lease_owner
       FROM agent_tasks) t`,
  ) ?? [];
  const rows = await readJson<EventRow[] | null>(
    path,
    `SELECT to_json(list(t ORDER BY id)) FROM (
       SELECT id, task_id, kind, epoch_ms(occurred_at) AS at, attempt, runner,
         detail FROM agent_task_events) t`,
  ) ?? [];
  const events = Map.groupBy(rows, (row) => row.task_id);
  return {
    tasks: new Map(tasks.map((task) => [task.id, task])),
    events,
    doubleIds: rows.length - new Set(rows.map(({ id }) => id)).size,
  };
}

/** Checks every task, after all have ended. */
export function checkHistory(history: History, expected: Expected): Checked {
  const counts = noCounts();
  const problems: string[] = [];
  const report = (id: string, problem: string) =>
    problems.push(`Task ${id}: ${problem}\n${describe(history, id)}`);

  if (history.doubleIds > 0) {
    problems.push(`${history.doubleIds} events have the number of another`);
  }
  checkBatches(history, expected, report);
  for (const [id, task] of history.tasks) {
    counts.tasks++;
    const walk = new Walk(expected, counts);
    const problem = walk.follow(history.events.get(id) ?? []) ??
      walk.compare(task);
    if (problem) report(id, problem);
  }
  for (const id of history.events.keys()) {
    if (!history.tasks.has(id)) report(id, "it has a history but no row");
  }
  for (const { taskId, kind, pid } of expected.outcomes) {
    const isThere = history.events.get(taskId)?.some((event) =>
      event.kind === kind &&
      (kind === "cancelled" || isDeath(event) || isBy(event, pid))
    );
    if (!isThere) report(taskId, `process ${pid} had said "${kind}"`);
  }
  return { counts, problems };
}

function checkBatches(
  { tasks }: History,
  { batches }: Expected,
  report: (id: string, problem: string) => void,
): void {
  let known = 0;
  for (const { ids, isAcknowledged } of batches) {
    const there = ids.filter((id) => tasks.has(id));
    known += there.length;
    const [lost] = ids.filter((id) => !tasks.has(id));
    if (lost === undefined) continue;
    if (isAcknowledged) report(lost, "it was created, and is gone");
    else if (there.length > 0) report(lost, "only others of its batch exist");
  }
  if (known < tasks.size) report("?", "there are tasks that nobody created");
}

const DEATH = /^The runner died at attempt (\d+) of \d+; it was /;

function isDeath({ kind, detail }: EventRow): boolean {
  return kind === "failed" && DEATH.test(detail ?? "");
}

/** One task's events, in their order. */
class Walk {
  readonly #expected: Expected;
  readonly #counts: Counts;
  #attempt = 0;
  /** The last start that nothing has ended yet. */
  #current: EventRow | undefined;
  #end: EventRow | undefined;

  constructor(expected: Expected, counts: Counts) {
    this.#expected = expected;
    this.#counts = counts;
  }

  /** The first thing that is wrong. */
  follow(events: readonly EventRow[]): string | undefined {
    if (events[0]?.kind !== "created") return "its history has no beginning";
    for (const event of events.slice(1)) {
      const problem = this.#step(event);
      if (problem) return `${problem} (event ${event.id})`;
    }
    return this.#end ? undefined : "it has not ended";
  }

  /** What the row says that the history does not. */
  compare(task: TaskRow): string | undefined {
    const state = this.#end?.kind === "completed" ? "completed" : "failed";
    if (task.status !== state) return `its row says ${task.status}`;
    if (task.attempt !== this.#attempt) {
      return `its row says attempt ${task.attempt}, not ${this.#attempt}`;
    }
    if (task.lease_id !== null || task.lease_owner !== null) {
      return "it has ended and has a lease";
    }
    if (
      this.#end && isDeath(this.#end) &&
      this.#attempt < (task.max_attempts ?? this.#expected.maxAttempts)
    ) return `it was given up after ${this.#attempt} attempts`;
    return undefined;
  }

  #step(event: EventRow): string | undefined {
    if (this.#end) return `"${event.kind}" after its end`;
    switch (event.kind) {
      case "started":
        return this.#start(event);
      case "cancel_requested":
        return undefined;
      case "cancelled":
        this.#end = event;
        this.#counts.cancelled++;
        // Whoever waits, or whose runner died, is cancelled by anyone.
        return undefined;
      case "completed":
      case "failed":
      case "progress":
      case "released":
      case "retry_scheduled":
        return this.#write(event);
      default:
        return `"${event.kind}" is not expected`;
    }
  }

  #start(event: EventRow): string | undefined {
    const { leaseMs, runners } = this.#expected;
    this.#counts.attempts++;
    if (event.attempt !== this.#attempt + 1) {
      return `attempt ${event.attempt} after ${this.#attempt}`;
    }
    const before = this.#current;
    if (before) {
      this.#counts.takenOver++;
      const isFromHarmed = runners.values().some((it) =>
        isHarmed(it) && isBy(before, it.pid)
      );
      if (!isFromHarmed) this.#counts.takenFromLive++;
      // What was held has had its lease for a while when it is begun.
      if (event.at - before.at < leaseMs / 2) {
        return `taken over ${event.at - before.at} ms after its last start`;
      }
    }
    this.#attempt = event.attempt;
    this.#current = event;
    return undefined;
  }

  #write(event: EventRow): string | undefined {
    const run = this.#current;
    if (!run) return `"${event.kind}" without a run`;
    if (event.runner !== run.runner || event.attempt !== run.attempt) {
      return `"${event.kind}" by a run that was not the last`;
    }
    if (event.kind === "progress") return undefined;
    this.#current = undefined;
    if (event.kind === "released") {
      this.#counts.released++;
      this.#attempt--;
    } else if (event.kind === "retry_scheduled") this.#counts.retried++;
    else {
      this.#end = event;
      if (event.kind === "completed") this.#counts.completed++;
      else this.#counts.failed++;
    }
    return isDeath(event) ? this.#died(event) : undefined;
  }

  #died({ detail, attempt }: EventRow): string | undefined {
    this.#counts.died++;
    const [, said] = DEATH.exec(detail ?? "") ?? [];
    return Number(said) === attempt ? undefined : `it says ${said} attempts`;
  }
}

/** A task's row and its history, to be read by a person. */
function describe({ tasks, events }: History, id: string): string {
  const lines = (events.get(id) ?? []).map((event) =>
    `  ${event.id} ${new Date(event.at).toISOString()} ${event.kind} ` +
    `#${event.attempt} ${event.runner ?? ""} ${event.detail ?? ""}`
  );
  return [`  ${JSON.stringify(tasks.get(id) ?? "no row")}`, ...lines].join(
    "\n",
  );
}
