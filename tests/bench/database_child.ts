/**
 * What the benchmark does to a database by itself, in a process of its own.
 *
 * - `fill PATH N`: makes the tables by the program's code, and N tasks by SQL.
 * - `programs PATH N INSTRUCTION`: adds N tasks that are programs.
 * - `floor PATH`: claims and completes all by SQL alone; prints the times.
 * - `write PATH N MS`: commits N tasks, one each MS; prints when each was.
 * - `started PATH`: prints when each task was started.
 * - `attempts PATH`: prints how many attempts all tasks have spent.
 * - `watch PATH MS`: prints a {@linkcode Look} each MS, until its stdin ends.
 */

import { DuckDBInstance } from "duckdb";
import {
  connectDuckDb,
  type Connection,
} from "../../lib/store/duckdb/connection.ts";
import { openDuckDbStore } from "../../lib/store/duckdb/store.ts";
import { PROGRAM_PROVIDER } from "../support/journal.ts";
import type { Floor, Look, Written } from "./database.ts";

/** As many as the runner claims at a time at most. */
const SET_ROWS = 10_000;

const INSERT = `INSERT INTO agent_tasks
  (id, user_id, provider, instruction, status, created_at, updated_at)`;

/** More at once do not fit into the memory that the program gives to DuckDB. */
const FILL_ROWS = 100_000;

/** Tasks that differ in what the tasks of one queue differ in. */
async function fill(path: string, count: string): Promise<null> {
  const store = await openDuckDbStore(path);
  await store[Symbol.asyncDispose]();
  const connection = await connectDuckDb(path);
  for (let start = 0; start < Number(count); start += FILL_ROWS) {
    await connection.run(
      `${INSERT}
       SELECT uuid(), '6ba7b810-9dad-41d1-80b4-00c04fd430c8', 'simulate',
         'Summarise the open issues of octo/app, part ' || i, 'created',
         now() - to_milliseconds($3::BIGINT - i), now()
       FROM range($1::BIGINT, $2::BIGINT) r(i) ORDER BY i`,
      [start, Math.min(start + FILL_ROWS, Number(count)), Number(count)],
    );
  }
  await connection.run(
    `INSERT INTO agent_task_events (task_id, kind, occurred_at, attempt)
     SELECT id, 'created', created_at, 0 FROM agent_tasks ORDER BY rowid`,
  );
  connection.close();
  return null;
}

async function programs(
  path: string,
  count: string,
  instruction: string,
): Promise<null> {
  const connection = await connectDuckDb(path);
  await connection.run(
    `${INSERT} SELECT uuid(), uuid(), $1, $2, 'created', now(), now()
     FROM range($3::BIGINT)`,
    [PROGRAM_PROVIDER, instruction, Number(count)],
  );
  connection.close();
  return null;
}

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

/** The program's own connection, so that threads and memory are the same. */
async function floor(path: string): Promise<Floor> {
  const connection = await connectDuckDb(path);
  const count = await connection.json<number>(
    "SELECT to_json(count(*)) FROM agent_tasks",
  ) ?? 0;
  const floor = { updatesMs: 0, historyMs: 0 };
  for (let start = 0; start < count; start += SET_ROWS) {
    const set = [start, Math.min(start + SET_ROWS, count)];
    const lease = crypto.randomUUID();
    for (const kind of ["started", "completed"] as const) {
      const update = kind === "started" ? CLAIM : COMPLETE;
      await connection.run("BEGIN TRANSACTION");
      floor.updatesMs += await timeOf(async () => {
        const changed = await connection.run(update, [...set, lease]);
        if (changed !== set[1]! - set[0]!) throw new Error("A row was missed");
      });
      floor.historyMs += await timeOf(() =>
        connection.run(HISTORY, [...set, kind])
      );
      floor.updatesMs += await timeOf(() => connection.run("COMMIT"));
    }
  }
  connection.close();
  return floor;
}

const CLAIM = `
  UPDATE agent_tasks SET status = 'running', attempt = 1, lease_id = $3,
    lease_owner = 'floor', lease_expires_at = now() + INTERVAL 1 MINUTE,
    updated_at = now(), last_update = '{"auto_started_at": "now"}'
  WHERE rowid >= $1 AND rowid < $2 AND status = 'created'`;
const COMPLETE = `
  UPDATE agent_tasks SET status = 'completed', lease_id = NULL,
    lease_owner = NULL, lease_expires_at = NULL, updated_at = now(),
    last_update = '{"auto_started_at": "now", "completed_at": "now"}'
  WHERE rowid >= $1 AND rowid < $2 AND status = 'running' AND lease_id = $3`;
const HISTORY = `
  INSERT INTO agent_task_events (task_id, kind, occurred_at, attempt, runner)
  SELECT id, $3, now(), 1, 'floor' FROM agent_tasks
  WHERE rowid >= $1 AND rowid < $2`;

/** As another program would: nothing of the runner's code. */
async function openPatiently(
  path: string,
  options: Record<string, string> = {},
): Promise<DuckDBInstance> {
  while (true) {
    try {
      return await DuckDBInstance.create(path, options);
    } catch (error) {
      if (!String(error).includes("Could not set lock")) throw error;
    }
    await sleep(5);
  }
}

async function write(
  path: string,
  count: string,
  everyMs: string,
): Promise<Written[]> {
  const written: Written[] = [];
  for (let index = 0; index < Number(count); index++) {
    // Unequal times, so that no rhythm of the runner's is met each time.
    await sleep(Number(everyMs) * (0.8 + 0.4 * Math.random()));
    const id = crypto.randomUUID();
    const wantedAt = performance.now();
    const instance = await openPatiently(path);
    const openMs = performance.now() - wantedAt;
    const connection = await instance.connect();
    await connection.run(
      `${INSERT} VALUES ($1, uuid(), 'simulate', 'Look', 'created', now(), now())`,
      [id],
    );
    const committedAt = Date.now();
    connection.closeSync();
    instance.closeSync();
    written.push({ id, openMs, committedAt, closedAt: Date.now() });
  }
  return written;
}

async function started(path: string): Promise<[string, number][]> {
  const connection: Connection = await connectDuckDb(path);
  const times = await connection.json<[string, number][]>(
    `SELECT to_json(list(json_array(task_id, epoch_ms(occurred_at))))
     FROM agent_task_events WHERE kind = 'started'`,
  );
  connection.close();
  return times ?? [];
}

async function attempts(path: string): Promise<number> {
  const connection = await connectDuckDb(path);
  const count = await connection.json<number>(
    "SELECT to_json(sum(attempt)::BIGINT) FROM agent_tasks",
  );
  connection.close();
  return count ?? 0;
}

async function watch(path: string, everyMs: string): Promise<null> {
  let isOver = false;
  Deno.stdin.readable.pipeTo(new WritableStream()).then(() => isOver = true);
  while (!isOver) {
    const instance = await openPatiently(path, { access_mode: "READ_ONLY" });
    const connection = await instance.connect();
    const reader = await connection.runAndReadAll(
      `SELECT to_json({
         leased: coalesce(list(id::TEXT) FILTER (lease_id IS NOT NULL), []),
         "left": count(*)})
       FROM agent_tasks WHERE status IN ('created', 'running')`,
    );
    const at = Date.now();
    connection.closeSync();
    instance.closeSync();
    const [[text] = []] = reader.getRows();
    const look: Look = { at, ...JSON.parse(String(text)) };
    console.log(JSON.stringify(look));
    await sleep(Number(everyMs));
  }
  return null;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const commands: Record<string, (...args: string[]) => Promise<unknown>> = {
  fill,
  floor,
  write,
  started,
  programs,
  attempts,
  watch,
};
const [command = "", ...args] = Deno.args;
console.log(JSON.stringify(await commands[command]?.(...args)));
