import {
  assert,
  assertEquals,
  assertFalse,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { DatabaseBusyError } from "../../lib/base/errors.ts";
import { Watched } from "../../lib/cli/watch.ts";
import { renderFrame, renderLine } from "../../lib/cli/watch_report.ts";
import type { Overview, ShownTask } from "../../lib/store/contract.ts";
import { commandOf, keptVariables } from "../support/project.ts";
import { AT_ONCE, ENABLED, Folder } from "./cli.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { hasPseudoTerminals, PseudoTerminal } from "./pseudo_terminal.ts";

const NOW = new Date("2026-01-19T18:30:00Z");

function before(seconds: number): Date {
  return new Date(NOW.getTime() - seconds * 1_000);
}

function shown(fields: Partial<ShownTask> = {}): ShownTask {
  return {
    id: "550e8400-e29b-41d4-a716-446655440000",
    provider: "claude",
    instruction: "Mend it",
    state: "running",
    traceText: null,
    startedAt: before(5),
    leaseExpiresAt: before(-60),
    updatedAt: before(5),
    ...fields,
  };
}

function overviewOf(fields: Partial<Overview> = {}): Overview {
  return {
    counts: { created: 3, running: 1, failed: 2 },
    running: [shown()],
    runningCount: 1,
    ended: [],
    endedBySecond: new Map(),
    simulatedLately: 0,
    ...fields,
  };
}

function frameOf(
  fields: Partial<Overview> = {},
  { columns = 80, rows = 24, hasColor = false, problem = "" } = {},
): string[] {
  const frame = {
    title: "watch tasks.duckdb",
    overview: overviewOf(fields),
    now: NOW,
    problem: problem || undefined,
  };
  return renderFrame(frame, { columns, rows, hasColor });
}

Deno.test("renderFrame() shows counts, what runs with its progress, and what ended", () => {
  const traceText = JSON.stringify({
    progress: "Half way",
    progress_fraction: 0.5,
  });
  const failed = shown({
    id: "abcdef00-e29b-41d4-a716-446655440000",
    state: "failed",
    traceText: JSON.stringify({ error: "Exit code 3" }),
    updatedAt: before(200),
  });
  const lines = frameOf({
    running: [shown({ traceText, startedAt: before(3_725) })],
    ended: [failed],
    endedBySecond: new Map([
      [NOW.getTime() / 1_000, 4],
      [NOW.getTime() / 1_000 - 59, 2],
      [NOW.getTime() / 1_000 - 60, 9],
    ]),
  });
  assertMatch(lines[0] ?? "", /^watch tasks\.duckdb +\d\d:30:00$/);
  assertEquals(
    lines[1],
    "created 3   running 1   needs_input 0   completed 0   failed 2",
  );
  assertMatch(lines[2] ?? "", /^6 ended in the last minute {2}[▁-█] +█$/);
  const text = lines.join("\n");
  assertStringIncludes(
    text,
    "  550e8400  claude    1h2m  50%: Half way  Mend it",
  );
  assertStringIncludes(
    text,
    "  abcdef00  claude    3m20s  failed  Exit code 3",
  );
});

for (
  const [columns, rows] of [[80, 24], [40, 12], [20, 5], [200, 60], [
    1,
    1,
  ]] as const
) {
  Deno.test(`renderFrame() fits ${columns} columns, and ${rows} rows where that can be`, () => {
    const many = Array.from({ length: 100 }, (_, n) =>
      shown({
        id: `${n}`.padStart(36, "0"),
        instruction: "🦆 many words ".repeat(30),
        provider: "a-provider-with-a-long-name",
      }));
    const lines = frameOf(
      {
        running: many,
        runningCount: 1_234,
        ended: many.map((task) => ({ ...task, state: "failed" })),
      },
      { columns, rows, problem: "Somebody holds the file. ".repeat(9) },
    );
    for (const line of lines) {
      assert([...line].length <= Math.max(columns, 10), line);
    }
    if (rows >= 12) assertEquals(lines.length, rows);
  });
}

Deno.test("renderFrame() gives the room that one half does not need to the other", () => {
  const task = shown({ state: "completed" });
  const lines = frameOf({ running: [], ended: Array(50).fill(task) });
  assertEquals(lines.length, 24);
  assertEquals(lines.filter((line) => line.includes("completed ")).length, 14);
});

Deno.test("renderFrame() lets no text of a task steer the terminal", () => {
  const hostile = "\x1b[2J\x07\x9b31m\nnext\r\u202e";
  const lines = frameOf(
    {
      running: [
        shown({
          provider: hostile,
          instruction: hostile,
          traceText: JSON.stringify({ progress: hostile }),
        }),
      ],
      ended: [
        shown({
          state: "failed",
          traceText: JSON.stringify({ error: hostile }),
        }),
      ],
      counts: { [hostile]: 1 } as Overview["counts"],
    },
    { columns: 300, problem: hostile },
  );
  // deno-lint-ignore no-control-regex -- looking for them is the point
  assertFalse(/[\x00-\x1f\x7f-\x9f\u202e]/.test(lines.join("")), lines.join());
});

Deno.test("renderFrame() leaves out a task whose lease is over", () => {
  const lines = frameOf({
    running: [shown(), shown({ leaseExpiresAt: before(1) })],
    runningCount: 2,
  });
  assertStringIncludes(lines.join("\n"), "Running: 1\n");
});

Deno.test("renderLine() is one line", () => {
  const line = renderLine(overviewOf(), NOW);
  assertMatch(
    line,
    /^2026-01-19 \d\d:30:00 {2}created 3, running 1, needs_input 0, completed 0, failed 2; 0 ended in the last minute$/,
  );
});

/** A store that counts how often it is looked at. */
function fakeStore(clock: FakeClock, { lookMs = 0 } = {}) {
  let listener: (() => void) | undefined;
  const store = {
    looks: 0,
    error: undefined as Error | undefined,
    change: () => listener?.(),
    events: {
      onChange(added: () => void): Disposable {
        listener = added;
        return { [Symbol.dispose]: () => listener = undefined };
      },
    },
    admin: {
      async overview() {
        store.looks++;
        if (lookMs > 0) await clock.advance(lookMs);
        if (store.error) throw store.error;
        return overviewOf();
      },
    },
  };
  return store;
}

Deno.test("Watched looks once, and again after a change, or after 5 seconds", async () => {
  const clock = new FakeClock();
  const store = fakeStore(clock);
  using watched = new Watched(store, clock);
  assertEquals(watched.overview, undefined);
  assertEquals(await watched.look(), true);
  for (let n = 0; n < 4; n++) {
    await clock.advance(1_000);
    assertEquals(await watched.look(), false);
  }
  assertEquals(store.looks, 1);
  store.change();
  assertEquals(await watched.look(), true);
  assertEquals(store.looks, 2);
  await clock.advance(4_999);
  assertEquals(await watched.look(), false);
  await clock.advance(1);
  assertEquals(await watched.look(), true);
});

Deno.test("Watched looks each time at what can't be heard of", async () => {
  const clock = new FakeClock();
  const store = fakeStore(clock);
  using watched = new Watched({ admin: store.admin }, clock);
  assertEquals([await watched.look(), await watched.look()], [true, true]);
  assertEquals(store.looks, 2);
});

Deno.test("Watched looks once more where a change came while it looked", async () => {
  const clock = new FakeClock();
  const store = fakeStore(clock);
  using watched = new Watched(store, clock);
  const looking = watched.look();
  store.change();
  await looking;
  assertEquals([await watched.look(), await watched.look()], [true, false]);
  assertEquals(store.looks, 2);
});

Deno.test("Watched rests nine times as long as a look took, 5 seconds at most", async () => {
  const clock = new FakeClock();
  const store = fakeStore(clock, { lookMs: 100 });
  using watched = new Watched(store, clock);
  await watched.look();
  store.change();
  await clock.advance(899);
  assertEquals(await watched.look(), false);
  await clock.advance(1);
  assertEquals(await watched.look(), true);

  const slow = fakeStore(clock, { lookMs: 10_000 });
  using watchedSlow = new Watched(slow, clock);
  await watchedSlow.look();
  slow.change();
  await clock.advance(4_999);
  assertEquals(await watchedSlow.look(), false);
  await clock.advance(1);
  assertEquals(await watchedSlow.look(), true);
});

Deno.test("Watched keeps what it saw where the file is held, says by whom, and looks again", async () => {
  const clock = new FakeClock();
  const store = fakeStore(clock);
  using watched = new Watched(store, clock);
  await watched.look();
  store.change();
  store.error = new DatabaseBusyError("Cannot open it: deno holds it.");
  assertEquals(await watched.look(), true);
  assertEquals(watched.problem, "Cannot open it: deno holds it.");
  assert(watched.overview);
  store.error = undefined;
  assertEquals(await watched.look(), true);
  assertEquals(watched.problem, undefined);
});

// The program itself

/** The program, and its lines as they come. */
class LineReader implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #rest = "";

  constructor(folder: Folder, args: readonly string[]) {
    const [program = "", ...words] = commandOf(args);
    this.#child = new Deno.Command(program, {
      args: words,
      cwd: folder.path,
      clearEnv: true,
      env: keptVariables(),
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
  }

  async next(): Promise<string> {
    while (!this.#rest.includes("\n")) {
      const { value, done } = await this.#lines.read();
      assert(!done, `It ended: ${this.#rest}`);
      this.#rest += value;
    }
    const end = this.#rest.indexOf("\n");
    const line = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + 1);
    return line;
  }

  /** Reads lines up to one that looks so. */
  async until(pattern: RegExp): Promise<void> {
    while (!pattern.test(await this.next()));
  }

  stopReading(): Promise<void> {
    return this.#lines.cancel();
  }

  async end(signal?: Deno.Signal): Promise<number> {
    if (signal) this.#child.kill(signal);
    return (await this.#child.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
    await this.#child.status;
    await this.#lines.cancel();
  }
}

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`watch prints a line for each change without a terminal, until ${signal}`, async () => {
    using folder = new Folder();
    await folder.create([{ instruction: "a" }]);
    await using watch = new LineReader(folder, ["watch", "--interval", "0.05"]);
    assertMatch(await watch.next(), / created 1, .* completed 0, /);
    await folder.create([{ instruction: "b" }]);
    assertMatch(await watch.next(), / created 2, .* completed 0, /);
    await folder.run(["run", "--once"], { env: AT_ONCE });
    await watch.until(
      / created 0, .* completed 2, .*; 2 ended in the last minute \(2 simulated\)/,
    );
    assertEquals(await watch.end(signal), 0);
  });
}

Deno.test("watch --json prints an object for each change", async () => {
  using folder = new Folder();
  await folder.create([{ instruction: "a" }]);
  await using watch = new LineReader(folder, [
    ...["watch", "--json", "--interval", "0.05"],
  ]);
  const { time, ...rest } = JSON.parse(await watch.next());
  assertMatch(time, /^\d{4}-\d\d-\d\dT/);
  assertEquals(rest, {
    states: { created: 1, running: 0, needs_input: 0, completed: 0, failed: 0 },
    in_flight: 0,
    ended_last_minute: 0,
    simulated_last_minute: 0,
  });
  await folder.create([{ instruction: "b" }]);
  assertEquals(JSON.parse(await watch.next()).states.created, 2);
});

Deno.test("watch | head -1 ends", async () => {
  using folder = new Folder();
  await folder.create([{ instruction: "a" }]);
  await using watch = new LineReader(folder, ["watch", "--interval", "0.05"]);
  await watch.next();
  await watch.stopReading();
  await folder.create([{ instruction: "b" }]);
  assertEquals(await watch.end(), 0);
});

const ENTERED = "\x1b[?1049h\x1b[?25l";
const LEFT = "\x1b[?25h\x1b[?1049l";

for (const [name, key] of [["q", "q"], ["Ctrl-C", "\x03"]] as const) {
  Deno.test({
    name:
      `watch on a terminal is live, ends with ${name}, and leaves the terminal as it was`,
    ignore: !hasPseudoTerminals,
    async fn() {
      using folder = new Folder();
      await folder.create([{ instruction: "Mend the roof" }]);
      await using terminal = new PseudoTerminal(
        ["watch", "--interval", "0.1"],
        { folder: folder.path, env: { NO_COLOR: "1" } },
      );
      await terminal.shows(/created 1 /);
      await folder.ok(["run", "--once"], { env: AT_ONCE });
      await terminal.shows(
        /completed 1 /,
        /Mend the roof/,
        /1 ended in the last minute/,
      );
      await folder.create([{ instruction: "Paint it" }]);
      await using runner = folder.start(["run", "--loop", "--drain=0"], {
        env: { ...ENABLED, HANDSFREE_AGENT_TASK_COMPLETION_DELAY: "3600" },
      });
      await terminal.shows(/[0-9a-f]{8} {2}simulate +\d+m?\d*s {2}Working/);
      await terminal.type(key);
      assertEquals(await terminal.ended(), 0);
      assert(terminal.text.startsWith(ENTERED), terminal.text.slice(0, 50));
      assert(terminal.text.endsWith(LEFT), terminal.text.slice(-50));
      runner.signal("SIGTERM");
      await runner.ended();
    },
  });
}

Deno.test({
  name: "watch fits a small terminal",
  ignore: !hasPseudoTerminals,
  async fn() {
    using folder = new Folder();
    await folder.create(Array(30).fill({ instruction: "x".repeat(200) }));
    await folder.run(["run", "--once"], { env: AT_ONCE });
    await using terminal = new PseudoTerminal(
      ["watch", "--interval", "0.1"],
      { folder: folder.path, columns: 50, rows: 12, env: { NO_COLOR: "1" } },
    );
    await terminal.shows(/q quits/);
    const lines = terminal.screen.split("\n");
    assertEquals(lines.length, 12);
    assertEquals(lines.filter((line) => [...line].length > 50), []);
    await terminal.type("q");
    assertEquals(await terminal.ended(), 0);
  },
});
