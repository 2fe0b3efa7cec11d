import { assertEquals } from "@std/assert";
import { connectDuckDb } from "../../../lib/store/duckdb/connection.ts";
import { openDuckDbStore } from "../../../lib/store/duckdb/store.ts";
import { Folder } from "../../cli/cli.ts";
import { denoArgs } from "../../support/project.ts";
import { handsFreeTable } from "./subject.ts";

const EARLIER = new URL(
  "../../support/fixtures/earlier_version.sql",
  import.meta.url,
);

/** The history as it was before `printed`, with a row of each task. */
const BEFORE_PRINTED = `
  CREATE SEQUENCE agent_task_event_ids;
  CREATE TABLE agent_task_events (
    id BIGINT NOT NULL DEFAULT nextval('agent_task_event_ids'),
    task_id UUID NOT NULL,
    kind TEXT NOT NULL,
    occurred_at TIMESTAMPTZ NOT NULL,
    attempt INTEGER NOT NULL,
    runner TEXT,
    detail TEXT
  );
  INSERT INTO agent_task_events (task_id, kind, occurred_at, attempt)
  SELECT uuid(), 'created', now(), 0 FROM range(3)`;

const FILES: Readonly<Record<string, string | undefined>> = {
  "a new file": undefined,
  "an earlier version's file": await Deno.readTextFile(EARLIER),
  "HandsFree's file": handsFreeTable("TIMESTAMPTZ"),
  "a file with a history as it was before": `${
    handsFreeTable("TIMESTAMP")
  }; ${BEFORE_PRINTED}`,
};

for (const [name, sql] of Object.entries(FILES)) {
  Deno.test(`openDuckDbStore() reads ${name} again after a process died that opened it first`, async () => {
    using folder = new Folder();
    const path = `${folder.path}/tasks.duckdb`;
    let events = 0;
    if (sql !== undefined) {
      const connection = await connectDuckDb(path);
      await connection.run(sql);
      const hasHistory = sql.includes("agent_task_events");
      events = hasHistory
        ? await connection.json<number>(
          "SELECT to_json(count(*)) FROM agent_task_events",
        ) ?? 0
        : 0;
      await connection.run("CHECKPOINT");
      connection.close();
    }
    const file = "tests/support/fixtures/duckdb_child.ts";
    const { signal } = await new Deno.Command(Deno.execPath(), {
      args: [...denoArgs(file, { permissions: ["-A"] }), "die", path],
    }).output();
    assertEquals(signal, "SIGKILL");
    await using store = await openDuckDbStore(path, { exclusive: true });
    const { tasks } = await store.admin.page({ limit: 1 });
    assertEquals(tasks.map(({ instruction }) => instruction), ["Survive"]);
    await store[Symbol.asyncDispose]();
    const connection = await connectDuckDb(path);
    const kept = await connection.json<number>(
      "SELECT to_json(count(*)) FROM agent_task_events",
    );
    connection.close();
    assertEquals(kept, events + 1);
  });
}
