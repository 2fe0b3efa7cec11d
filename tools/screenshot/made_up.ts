/**
 * A day of a team that does not exist: the same tasks at every call, but their
 * times, which are those of the last 24 hours.
 *
 * @module
 */

import { DuckDBInstance } from "duckdb";
import { type Example, EXAMPLES } from "./examples.ts";

const TASKS = 300;
/** The states of the newest tasks; the others have ended. */
const NEWEST = [
  ...["created", "running", "running", "needs_input", "running", "completed"],
  ...["created", "running", "failed", "completed", "running", "completed"],
  ...["completed", "running", "created", "running", "completed", "needs_input"],
];
const HOUR_MS = 3_600_000;

/** A row of `agent_tasks`. */
type Row = Record<string, string | number | null>;

/** Small, fast, and the same everywhere (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** One made-up task and what happened to it. */
class Story {
  readonly events: Row[] = [];
  readonly trace: Record<string, unknown> = {};
  attempt = 0;

  constructor(
    readonly id: string,
    readonly runner: string,
    public nowMs: number,
  ) {
    this.tell("created");
  }

  tell(kind: string, detail: string | null = null, afterMs = 0): void {
    this.nowMs += afterMs;
    if (kind === "started") this.attempt++;
    this.events.push({
      task_id: this.id,
      kind,
      occurred_at: new Date(this.nowMs).toISOString(),
      attempt: this.attempt,
      runner: kind === "created" ? null : this.runner,
      detail,
    });
  }
}

/** Fills a database that has the tables and nothing in them. */
export async function makeUp(path: string, now: Date): Promise<void> {
  const random = randomFrom(20_261_122);
  const tasks: Row[] = [];
  const events: Row[] = [];
  for (let index = 0; index < TASKS; index++) {
    const { task, story } = taskOf(index, now.getTime(), random);
    tasks.push(task);
    events.push(...story.events);
  }
  events.sort((a, b) =>
    String(a.occurred_at).localeCompare(String(b.occurred_at))
  );
  await insert(path, { agent_tasks: tasks, agent_task_events: events });
}

function taskOf(index: number, nowMs: number, random: () => number) {
  const pick = <T>(values: readonly T[]) =>
    values[Math.floor(random() * values.length)] as T;
  const state = NEWEST[index] ?? (random() < 0.07 ? "failed" : "completed");
  const example: Example = EXAMPLES[index] ?? pick(EXAMPLES);
  const id = Array.from(
    { length: 32 },
    (_, at) =>
      at === 12
        ? "4"
        : at === 16
        ? "a"
        : Math.floor(random() * 16).toString(16),
  ).join("")
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  // More by day than by night, so that the plots have a shape.
  const share = (index + random()) / TASKS;
  const wave = share + 0.06 * Math.sin(share * Math.PI * 4 + 2.6) - 0.031;
  const createdMs = nowMs - 25_000 - Math.max(0, wave) * 23.4 * HOUR_MS;
  const story = new Story(id, pick(["build-01", "build-02"]), createdMs);
  const { trace } = story;
  let leaseMs: number | null = null;
  if (state !== "created") {
    story.tell(
      "started",
      null,
      (2 + 9 * random() ** 3) * (1 + 2 * Math.sin(share * 6) ** 2) * 1_000,
    );
    trace.progress = example.steps[0];
    story.tell("progress", example.steps[0], 2_000 + random() * 9_000);
  }
  const restMs = 20_000 + random() ** 2 * 420_000;
  if (state === "running") {
    const step = Math.floor(random() * example.steps.length);
    trace.progress = example.steps[step];
    trace.progress_fraction = Math.round(20 + random() * 70) / 100;
    leaseMs = nowMs + 20 * 60_000;
  } else if (state === "needs_input") {
    trace.question = example.question;
    story.tell("needs_input", example.question, restMs);
  } else if (state === "completed") {
    if (random() < 0.08) {
      story.tell(
        "retry_scheduled",
        "The model answered 529: overloaded",
        9_000,
      );
      story.tell("started", null, 30_000);
    }
    for (const step of example.steps.slice(1)) {
      story.tell("progress", step, restMs / example.steps.length);
    }
    trace.output = example.result;
    trace.progress = example.steps.at(-1);
    story.tell("completed", null, restMs / example.steps.length);
  } else if (state === "failed") {
    trace.error = example.error;
    story.tell("failed", example.error, restMs);
  }
  const iso = (ms: number) => new Date(ms).toISOString();
  const task: Row = {
    id,
    user_id: "11111111-2222-4333-8444-555555555555",
    provider: example.provider,
    repo_full_name: example.target?.[0] ?? null,
    issue_number: example.target?.[1] ?? null,
    instruction: example.instruction,
    status: state,
    last_update: JSON.stringify(trace),
    created_at: iso(createdMs),
    updated_at: iso(story.nowMs),
    priority: random() < 0.1 ? 5 : 0,
    attempt: story.attempt,
    max_attempts: 3,
    lease_owner: state === "created" ? null : story.runner,
    lease_expires_at: leaseMs === null ? null : iso(leaseMs),
  };
  return { task, story };
}

async function insert(
  path: string,
  tables: Readonly<Record<string, readonly Row[]>>,
): Promise<void> {
  const instance = await DuckDBInstance.create(path);
  const connection = await instance.connect();
  const file = `${path}.json`;
  for (const [name, rows] of Object.entries(tables)) {
    const columns = Object.keys(rows[0]!);
    await Deno.writeTextFile(file, JSON.stringify(rows));
    await connection.run(
      `INSERT INTO ${name} (${columns.join(", ")})
       SELECT ${columns.join(", ")} FROM read_json('${file}',
         columns = {${columns.map((it) => `${it}: 'TEXT'`).join(", ")}})`,
    );
  }
  connection.closeSync();
  instance.closeSync();
  await Deno.remove(file);
}
