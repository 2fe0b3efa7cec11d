import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { UsageError } from "../../lib/base/errors.ts";
import {
  MAX_TASK_BYTES,
  newTaskOf,
  TASK_FIELDS,
  userIdOf,
} from "../../lib/task/new_task.ts";
import type { JsonValue } from "../../lib/task/task.ts";

const ID = "550e8400-e29b-41d4-a716-446655440000";

/** Made by Python: `uuid.uuid5(uuid.NAMESPACE_DNS, text)`. */
const USER_IDS: [user: string, id: string][] = [
  ["demo-user", "e2895575-a786-551f-ac71-b2530bbc877e"],
  ["local", "e6b612bf-d985-5024-a244-4206e5dd869d"],
  ["naïve ☃", "39801fcc-24a4-5080-ba23-9130129b9412"],
];

for (const [user, id] of USER_IDS) {
  Deno.test(`userIdOf() makes of ${user} the UUID that Python makes`, async () => {
    assertEquals(await userIdOf(user), id);
  });
}

Deno.test("userIdOf() gives each user the same id whoever came before", async () => {
  for (const [user, id] of [...USER_IDS, ...USER_IDS]) {
    assertEquals(await userIdOf(user), id);
    assertEquals(await userIdOf(user), id);
  }
});

Deno.test("userIdOf() keeps a UUID, in lower case", async () => {
  assertEquals(await userIdOf(ID.toUpperCase()), ID);
});

Deno.test("newTaskOf() fills in what is not given", async () => {
  assertEquals(await newTaskOf({}), {
    id: undefined,
    userId: "e6b612bf-d985-5024-a244-4206e5dd869d",
    provider: "simulate",
    instruction: undefined,
    targetType: undefined,
    targetRef: undefined,
    trace: undefined,
    priority: undefined,
    runAt: undefined,
    maxAttempts: undefined,
    timeoutMs: undefined,
    batch: undefined,
    after: undefined,
    ifFailed: undefined,
    key: undefined,
    keyForMs: undefined,
    replaces: undefined,
    tags: undefined,
    workspace: undefined,
    touches: undefined,
    needsApproval: undefined,
  });
});

Deno.test("newTaskOf() takes null for not given", async () => {
  const nulls = Object.fromEntries(TASK_FIELDS.map((name) => [name, null]));
  assertEquals(await newTaskOf(nulls), await newTaskOf({}));
});

Deno.test("newTaskOf() takes every field", async () => {
  const task = await newTaskOf({
    id: ID.toUpperCase(),
    instruction: " Fix\nit ",
    provider: "claude",
    user: "demo-user",
    target: "octo/app#12",
    target_type: "pr",
    trace: { source: "test", big: 9_007_199_254_740_993n },
    priority: -5,
    run_at: "2026-12-31T08:00:00Z",
    attempts: 3,
    timeout: 1.5,
    after: [ID.toUpperCase(), "build", "build"],
    if_failed: "skip",
    batch: "nightly",
    key: "deploy",
    key_for: "24h",
    tags: "a, b",
    repo: "../app",
    base: "main",
    branch: "agent/x",
    touches: ["src/**", "docs/*.md"],
    needs_approval: true,
  });
  assertEquals(task, {
    id: ID,
    userId: "e2895575-a786-551f-ac71-b2530bbc877e",
    provider: "claude",
    instruction: " Fix\nit ",
    targetType: "pr",
    targetRef: "octo/app#12",
    trace: { source: "test", big: 9_007_199_254_740_993n },
    priority: -5,
    runAt: new Date("2026-12-31T08:00:00Z"),
    maxAttempts: 3,
    timeoutMs: 1_500,
    after: [ID, "build"],
    ifFailed: "skip",
    batch: "nightly",
    key: "deploy",
    keyForMs: 86_400_000,
    replaces: undefined,
    tags: ["a", "b"],
    workspace: { repo: "../app", base: "main", branch: "agent/x" },
    touches: ["src/**", "docs/*.md"],
    needsApproval: true,
  });
  const { replaces } = await newTaskOf({ key: "deploy", replace: true });
  assertEquals(replaces, true);
});

Deno.test("newTaskOf() takes a timeout with a unit", async () => {
  assertEquals((await newTaskOf({ timeout: "1.5h" })).timeoutMs, 5_400_000);
});

Deno.test("newTaskOf() takes numbers and a trace as the text of a flag", async () => {
  const task = await newTaskOf({
    priority: "-2147483647",
    attempts: "2147483647",
    timeout: "2.007",
    trace: '{"a": NaN, "id": 9007199254740993}',
  });
  assertEquals(task.priority, -2_147_483_647);
  assertEquals(task.maxAttempts, 2_147_483_647);
  assertEquals(task.timeoutMs, 2_007);
  assertEquals(task.trace, { a: null, id: 9_007_199_254_740_993n });
});

Deno.test("newTaskOf() takes a target for an issue unless it is told", async () => {
  assertEquals((await newTaskOf({ target: "#3" })).targetType, "issue");
});

const TIMES: [text: string, iso: string][] = [
  ["2026-12-31T08:00:00Z", "2026-12-31T08:00:00.000Z"],
  ["2026-12-31T08:00:00.5Z", "2026-12-31T08:00:00.500Z"],
  ["2026-12-31T08:00Z", "2026-12-31T08:00:00.000Z"],
  ["2026-12-31 08:00Z", "2026-12-31T08:00:00.000Z"],
  ["2026-12-31T08:00:00+01:00", "2026-12-31T07:00:00.000Z"],
  ["2026-12-31T08:00:00+0100", "2026-12-31T07:00:00.000Z"],
  ["2026-12-31T08:00:00.730416+00:00", "2026-12-31T08:00:00.730Z"],
  ["2028-02-29T00:00Z", "2028-02-29T00:00:00.000Z"],
];

for (const [text, iso] of TIMES) {
  Deno.test(`newTaskOf() takes the time ${text}`, async () => {
    assertEquals((await newTaskOf({ run_at: text })).runAt?.toISOString(), iso);
  });
}

const LOCAL_TIMES: [text: string, utc: string][] = [
  ["2026-12-31T08:00:00", "2026-12-31T02:30:00.000Z"],
  ["2026-12-31 08:00", "2026-12-31T02:30:00.000Z"],
  ["2026-12-31", "2026-12-30T18:30:00.000Z"],
];

for (const [text, utc] of LOCAL_TIMES) {
  Deno.test(`newTaskOf() takes ${text}, without offset, for local`, async () => {
    const before = Deno.env.get("TZ");
    Deno.env.set("TZ", "Asia/Kolkata");
    try {
      const { runAt } = await newTaskOf({ run_at: text });
      assertEquals(runAt?.toISOString(), utc);
    } finally {
      if (before === undefined) Deno.env.delete("TZ");
      else Deno.env.set("TZ", before);
    }
  });
}

const TIME = "expected a time like 2026-12-31T08:00:00Z.";
const PRIORITY = "expected a whole number from -2147483647 to 2147483647.";
const ATTEMPTS = "expected a whole number from 1 to 2147483647.";
const TIMEOUT =
  "expected a number of seconds, 0.001 or more, or a duration like 90s, 15m, 24h or 7d.";
const TRACE = 'expected a JSON object like {"key": 1}.';
const WRONG: [name: string, fields: object, message: string][] = [
  ["id", { id: "1" }, 'Cannot use the id "1": expected a UUID.'],
  ["id", { id: `${ID}0` }, `Cannot use the id "${ID}0": expected a UUID.`],
  ["id", { id: 7 }, 'Cannot use the id "7": expected a text.'],
  [
    "instruction",
    { instruction: " " },
    'Cannot use the instruction " ": expected a text.',
  ],
  [
    "instruction",
    { instruction: ["x"] },
    'Cannot use the instruction "["x"]": expected a text.',
  ],
  [
    "provider",
    { provider: "" },
    'Cannot use the provider "": expected a text.',
  ],
  ["user", { user: 5 }, 'Cannot use the user "5": expected a text.'],
  [
    "glob",
    { touches: "src/{a,b}" },
    'Cannot use the touches "src/{a,b}": expected a glob that begins in the ' +
    "repository, as src/api/** does, without .., \\ and braces (give two " +
    "globs), with each [ closed, and no / or ! before it.",
  ],
  ...["https://ada:pw@x.org/a", `https://${"t0k3n".repeat(8)}@x.org/a`].map(
    (repo): [string, object, string] => [
      "repo",
      { repo },
      "Cannot use the repo: expected an address without a password or a token: " +
      "git's credential helper is for that.",
    ],
  ),
  [
    "target",
    { target: "octo/app" },
    'Cannot use the target "octo/app": expected owner/repo#12 or #12.',
  ],
  [
    "target",
    { target: "octo/app#0" },
    'Cannot use the target "octo/app#0": expected owner/repo#12 or #12.',
  ],
  ["target", { target: 12 }, 'Cannot use the target "12": expected a text.'],
  [
    "target type",
    { target: "#1", target_type: "commit" },
    'Cannot use the target type "commit": expected issue or pr.',
  ],
  [
    "target type",
    { target_type: "pr" },
    "A target type without a target says nothing. Give a target too.",
  ],
  ["trace", { trace: [1] }, `Cannot use the trace "[1]": ${TRACE}`],
  ["trace", { trace: "[1]" }, `Cannot use the trace "[1]": ${TRACE}`],
  ["trace", { trace: "" }, `Cannot use the trace "": ${TRACE}`],
  ["trace", { trace: true }, `Cannot use the trace "true": ${TRACE}`],
  ["priority", { priority: 1.5 }, `Cannot use the priority "1.5": ${PRIORITY}`],
  [
    "priority",
    { priority: "1e3" },
    `Cannot use the priority "1e3": ${PRIORITY}`,
  ],
  [
    "priority",
    { priority: 2_147_483_648 },
    `Cannot use the priority "2147483648": ${PRIORITY}`,
  ],
  [
    "priority",
    { priority: 9_007_199_254_740_993n },
    `Cannot use the priority "9007199254740993": ${PRIORITY}`,
  ],
  [
    "priority",
    { priority: true },
    `Cannot use the priority "true": ${PRIORITY}`,
  ],
  ["attempts", { attempts: 0 }, `Cannot use the attempts "0": ${ATTEMPTS}`],
  ["attempts", { attempts: "" }, `Cannot use the attempts "": ${ATTEMPTS}`],
  ["timeout", { timeout: 0 }, `Cannot use the timeout "0": ${TIMEOUT}`],
  ["timeout", { timeout: "1e3" }, `Cannot use the timeout "1e3": ${TIMEOUT}`],
  ["timeout", { timeout: "-1" }, `Cannot use the timeout "-1": ${TIMEOUT}`],
  ["time", { run_at: "soon" }, `Cannot use the run at "soon": ${TIME}`],
  ["time", { run_at: "5" }, `Cannot use the run at "5": ${TIME}`],
  ["time", { run_at: 5 }, `Cannot use the run at "5": ${TIME}`],
  [
    "time",
    { run_at: "2026-13-01" },
    `Cannot use the run at "2026-13-01": ${TIME}`,
  ],
  [
    "time",
    { run_at: "2026-02-30T00:00Z" },
    `Cannot use the run at "2026-02-30T00:00Z": ${TIME}`,
  ],
  [
    "time",
    { run_at: "2026-12-31T25:00Z" },
    `Cannot use the run at "2026-12-31T25:00Z": ${TIME}`,
  ],
  [
    "time",
    { run_at: "9999-12-31T23:59:59-05:00" },
    `Cannot use the run at "9999-12-31T23:59:59-05:00": ${TIME}`,
  ],
  [
    "time",
    { run_at: "0000-01-01T00:00:00+05:00" },
    `Cannot use the run at "0000-01-01T00:00:00+05:00": ${TIME}`,
  ],
  [
    "dependency",
    { key: "k", replace: true, after: "a", if_failed: "run" },
    "Cannot replace a task and what it waits for: it goes on to wait for what " +
    "it waited for. Leave out after or replace.",
  ],
  ["field", { targt: "#1" }, 'Unknown field "targt". Did you mean "target"?'],
];

for (const [name, fields, message] of WRONG) {
  Deno.test(`newTaskOf() refuses the ${name} ${Deno.inspect(fields)}`, async () => {
    const error = await assertRejects(() => newTaskOf(fields), UsageError);
    assertEquals(error.message, message);
  });
}

/** Lists in one another, so many. */
function nested(depth: number): JsonValue {
  let value: JsonValue = 1;
  for (let n = 0; n < depth; n++) value = [value];
  return value;
}

Deno.test("newTaskOf() takes a trace that is nested 100 times, and refuses one that is more", async () => {
  const trace = { deep: nested(99) };
  for (const given of [trace, JSON.stringify(trace)]) {
    assertEquals((await newTaskOf({ trace: given })).trace, trace);
  }
  const deeper = `{"deep": ${"[".repeat(6_000)}${"]".repeat(6_000)}}`;
  for (const given of [{ deep: nested(100) }, deeper]) {
    await assertRejects(
      () => newTaskOf({ trace: given }),
      UsageError,
      "Cannot use the trace: it is nested more than 100 times.",
    );
  }
});

Deno.test("newTaskOf() takes no approval and no folder from whoever creates a task", async () => {
  const names = ["repo", "host", "path", "branch", "base", "baseCommit"];
  const own = {
    approved: { of: "start", at: "2026-01-01T00:00:00Z" },
    asks_approval: { of: "merge", head: "abc" },
    workspace: Object.fromEntries(names.map((name) => [name, "x"])),
  };
  for (const [key, value] of Object.entries(own)) {
    await assertRejects(
      () => newTaskOf({ trace: { [key]: value } }),
      UsageError,
      `Cannot use the trace: its "${key}" is what only agent-runner says`,
    );
    // Of others, it says nothing here.
    const trace = { [key]: "mine" };
    assertEquals((await newTaskOf({ trace })).trace, trace);
  }
});

Deno.test("newTaskOf() takes 8 MiB of text, and refuses more", async () => {
  const all = "é".repeat(MAX_TASK_BYTES / 2);
  assertEquals((await newTaskOf({ instruction: all })).instruction, all);
  for (const more of [{ instruction: `${all}!` }, { trace: { note: all } }]) {
    const { message } = await assertRejects(() => newTaskOf(more), UsageError);
    assertMatch(message, /its instruction and its trace may have 8 MiB/);
  }
});

Deno.test("newTaskOf() tells the beginning of a long value that is wrong", async () => {
  const { message } = await assertRejects(
    () => newTaskOf({ target: "x".repeat(10_000) }),
    UsageError,
  );
  assertMatch(message, /^Cannot use the target "x{200}… \(cut: 10,000 /);
});
