/**
 * What `faults_test.ts` does on a file system of its own, which is the folder
 * for temporary files here: fills it or makes it read-only under a runner.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { AT_ONCE, ENABLED, Folder } from "../cli/cli.ts";

const DISK = Deno.env.get("TMPDIR") ?? "";
const FILLER = `${DISK}/filler`;
const COUNT = 400;

const scenarios: Record<string, () => Promise<void>> = {
  async fullInTheMiddle() {
    using folder = new Folder();
    await folder.create(tasksOfSize(10_000));
    await using runner = folder.start(
      ["run", "--loop", "--lease=2", "--interval=0.2"],
      { env: { ...ENABLED, HANDSFREE_AGENT_TASK_COMPLETION_DELAY: "0.05" } },
    );
    await runner.line(/ completed in /, 20);
    fillDisk();
    await runner.line(/(WARNING|ERROR) - .*the disk is full.*Free some space/);
    const from = performance.now();
    // It lasts for longer than the leases.
    while (performance.now() - from < 2_500) await folder.run(["list"]);
    const perSecond = 1_000 * errorsIn(runner.seen) /
      (performance.now() - from);
    assert(perSecond < 20, `${perSecond} errors/s:\n${runner.seen}`);
    Deno.removeSync(FILLER);
    await isDone(folder);
    runner.signal("SIGTERM");
    const { code, stderr } = await runner.ended();
    assertEquals(code, 0, stderr);
    await assertAllDone(folder, stderr);
  },

  async fullFromTheStart() {
    using folder = new Folder();
    await folder.create(tasksOfSize(10_000));
    fillDisk();
    const once = await folder.run(["run", "--once"], { env: AT_ONCE });
    assertEquals([once.code, once.stdout], [3, ""]);
    assertMatch(once.stderr, /error: Cannot use .*: the disk is full\. Free/);
    await using runner = folder.start(["run", "--loop", "--interval=0.2"], {
      env: AT_ONCE,
    });
    await runner.line(/ERROR - A pass failed: .*the disk is full/);
    Deno.removeSync(FILLER);
    // Nothing changes in the database that could wake it.
    await runner.line(/ completed in /, COUNT);
    runner.signal("SIGTERM");
    await assertAllDone(folder, (await runner.ended()).stderr);
  },

  async readOnly() {
    using folder = new Folder();
    await folder.create(tasksOfSize(10));
    await remount("ro");
    const before = contentOf(folder);
    for (const args of [["run"], ["list"], ["create", "x"]]) {
      const { code, stderr } = await folder.run(args, { env: AT_ONCE });
      assertEquals(code, 3, stderr);
      assertMatch(
        stderr,
        /Cannot use .*: no permission to read and write it\. .*runner sql/,
      );
    }
    assertEquals(contentOf(folder), before);
    await remount("rw");
    const { stderr } = await folder.run(["run"], { env: AT_ONCE });
    await assertAllDone(folder, stderr);
  },

  async readOnlyUnderALoop() {
    using folder = new Folder();
    await folder.create([{ instruction: "now" }]);
    await using runner = folder.start(["run", "--loop", "--interval=0.2"], {
      env: AT_ONCE,
    });
    await runner.line(/ completed in /);
    let tasks = 1;
    for (let dueMs = 500; await waiting(folder) === 0; dueMs *= 2) {
      await remount("rw");
      const runAt = new Date(Date.now() + dueMs).toISOString();
      await folder.create([{ instruction: "soon", run_at: runAt }]);
      tasks++;
      await remount("ro");
    }
    await runner.line(/ERROR - A pass failed: .*no permission/, 2);
    await remount("rw");
    await runner.line(/ completed in /, tasks);
    runner.signal("SIGTERM");
    assertEquals((await runner.ended()).code, 0, runner.seen);
  },
};

/** How many tasks nobody has begun; the disk may be read-only. */
async function waiting(folder: Folder): Promise<number> {
  const text = await folder.ok([
    ...["sql", "SELECT count(*) AS n FROM tasks WHERE state = 'created'"],
    "--json",
  ]);
  return JSON.parse(text)[0].n;
}

/** Texts that can't be compressed. */
function tasksOfSize(bytes: number): { instruction: string }[] {
  return Array.from({ length: COUNT }, () => ({
    instruction: crypto.getRandomValues(new Uint8Array(bytes)).toBase64(),
  }));
}

function fillDisk(): void {
  using file = Deno.openSync(FILLER, { create: true, write: true });
  // The last bytes too: small blocks at the end.
  for (const size of [65_536, 4_096, 1]) {
    try {
      while (true) file.writeSync(new Uint8Array(size));
    } catch (error) {
      if (!String(error).includes("No space left")) throw error;
    }
  }
}

async function remount(mode: string): Promise<void> {
  const args = ["-o", `remount,${mode}`, DISK];
  // While the runner has the file open for writing, it can't be done.
  for (let tries = 0; tries < 100; tries++) {
    const { success } = await new Deno.Command("mount", {
      args,
      stderr: "null",
    }).output();
    if (success) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`Cannot remount ${mode}`);
}

function contentOf(folder: Folder): string[] {
  return folder.names().map((name) =>
    `${name} ${Deno.readFileSync(`${folder.path}/${name}`).toBase64()}`
  );
}

function errorsIn(log: string): number {
  return log.split("\n").filter((line) => /WARNING|ERROR/.test(line)).length;
}

async function isDone(folder: Folder): Promise<void> {
  for (let tries = 0; tries < 60; tries++) {
    const text = await folder.ok(
      ["list", "--json", "--limit=1", "--state=created,running"],
    );
    if (JSON.parse(text).length === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("There are still tasks to do");
}

/** Each task is completed, once, and so is each that the log says is. */
async function assertAllDone(folder: Folder, log: string): Promise<void> {
  const rows = await folder.rows(
    `SELECT task_id::TEXT AS id, count(*)::INTEGER AS n
     FROM agent_task_events JOIN agent_tasks t ON t.id = task_id
     WHERE kind = 'completed' AND status = 'completed' AND lease_id IS NULL
     GROUP BY ALL`,
  );
  assertEquals(rows.length, COUNT);
  assertEquals(rows.filter(({ n }) => n !== 1), []);
  const ids = new Set(rows.map(({ id }) => id));
  for (const [, id] of log.matchAll(/Task (\S+) completed in/g)) {
    assert(ids.has(id), `${id} was said to be completed`);
  }
}

await scenarios[Deno.args[0] ?? ""]?.();
