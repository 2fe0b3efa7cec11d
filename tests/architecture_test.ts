import { assert, assertEquals } from "@std/assert";
import { workerPrograms } from "../tools/check_executable.ts";

/** What each room of `lib/` may import of the others: DESIGN's table. */
const HOUSE: Readonly<Record<string, RegExp>> = {
  base: /^$/,
  task: /^base\//,
  store: /^(task|base)\//,
  workspaces: /^(task|base)\//,
  processors: /^(workspaces|task|base)\//,
  runner: /^(store\/contract\.ts|processors\/processor\.ts|(task|base)\/)/,
  planning: /^(store\/contract\.ts|(task|base)\/)/,
  webhooks: /^(store\/contract\.ts|(task|base)\/)/,
  config:
    /^(processors\/(processor|\w+\/config)\.ts|(planning|workspaces|webhooks)\/config\.ts|planning\/schedule\.ts|(task|base)\/)/,
  service:
    /^(store\/contract\.ts|runner\/(events|metrics)\.ts|(planning|workspaces|webhooks|config|task|base)\/)/,
  cli: /./,
};

/** Libraries that only these files may import. */
const LIBRARIES: Readonly<Record<string, RegExp>> = {
  duckdb: /^lib\/store\/duckdb\//,
  postgres: /^lib\/store\/postgres\//,
  "@std/log": /^lib\/base\/log\.ts$/,
  zod: /^lib\/(config\/|\w+\/(\w+\/)?config\.ts$)/,
  "jsonc-parser": /^lib\/config\/located_json\.ts$/,
  hono: /^lib\/service\//,
  "@hono": /^lib\/service\//,
  "prom-client": /^lib\/service\//,
  diff: /^lib\/service\/dashboard\//,
  "@dagrejs": /^lib\/service\/dashboard\//,
  uplot: /^lib\/service\/dashboard\//,
  croner: /^lib\/planning\/slots\.ts$/,
  "@opentelemetry": /^lib\/runner\/telemetry\.ts$/,
  standardwebhooks: /^lib\/base\/signature\.ts$/,
};

/** Texts that only these files may contain. */
const TEXTS: readonly (readonly [RegExp, RegExp])[] = [
  [
    /\bDeno\.(args|exit|exitCode)\b/,
    /^(main|lib\/processors\/module\/host)\.ts$/,
  ],
  [/\bDeno\.watchFs\(/, /^$/], // It drops DuckDB's lock on the file.
  [
    /\b(SELECT\s|INSERT INTO|UPDATE\s+\w+\s+SET|DELETE FROM|CREATE (TEMP |OR REPLACE )*(TABLE|INDEX)|ALTER TABLE|BEGIN TRANSACTION)/,
    /^lib\/store\/(duckdb|postgres|sql)\//,
  ],
];

/** The imports of each file: a project's file by its path, others as written. */
type Graph = Readonly<Record<string, readonly string[]>>;

/** What `deno info --json` says. */
interface Info {
  readonly modules: readonly {
    readonly specifier: string;
    readonly dependencies?: readonly {
      readonly specifier: string;
      readonly code?: { readonly specifier?: string };
      readonly type?: { readonly specifier?: string };
      readonly isDynamic?: boolean;
    }[];
  }[];
}

const ROOT = new URL("../", import.meta.url);

/** What browsers run: a text to the program. */
const PAGE = "lib/service/dashboard/page/";

/** What is started: the program, and what its workers run. */
const PROGRAMS = ["main.ts", ...workerPrograms];

/** With `isEager`, only the imports that are followed at once. */
async function readGraph({ isEager = false } = {}): Promise<Graph> {
  const graphs = PROGRAMS.map((program) => readGraphOf(program, isEager));
  return Object.assign({}, ...await Promise.all(graphs));
}

async function readGraphOf(program: string, isEager: boolean): Promise<Graph> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "--no-remote", "--no-npm", "--no-lock", program],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  const { modules }: Info = JSON.parse(new TextDecoder().decode(stdout));
  const own = modules.filter(({ specifier }) =>
    specifier.startsWith(ROOT.href) && !specifier.startsWith(ROOT.href + PAGE)
  );
  return Object.fromEntries(own.map(({ specifier, dependencies = [] }) => [
    specifier.slice(ROOT.href.length),
    dependencies.filter(({ code, isDynamic }) =>
      !isEager || (code && !isDynamic)
    ).map(({ specifier, code, type }) => {
      const target = code?.specifier ?? type?.specifier ?? "";
      return target.startsWith(ROOT.href)
        ? target.slice(ROOT.href.length)
        : specifier;
    }),
  ]));
}

async function readText(file: string): Promise<string> {
  return await Deno.readTextFile(new URL(file, ROOT));
}

/** The room of a file; undefined where it is in none. */
function roomOf(file: string): string | undefined {
  return file === "lib/runner.ts" ? "runner" : /^lib\/(\w+)\//.exec(file)?.[1];
}

function forbiddenImports(graph: Graph): string[] {
  return Object.entries(graph).flatMap(([from, imports]) => {
    const room = roomOf(from);
    if (from === "main.ts" || room === undefined) return [];
    return imports.filter((to) => {
      if (!to.startsWith("lib/")) return false;
      if (room === roomOf(to)) return false;
      return !HOUSE[room]?.test(to.slice("lib/".length));
    }).map((to) => `${from} imports ${to}`);
  });
}

function forbiddenLibraries(graph: Graph): string[] {
  return Object.entries(graph).flatMap(([from, imports]) =>
    imports.filter((to) =>
      Object.entries(LIBRARIES).some(([name, by]) =>
        (to === name || to.startsWith(`${name}/`)) && !by.test(from)
      )
    ).map((to) => `${from} imports ${to}`)
  );
}

function forbiddenTexts(file: string, source: string): string[] {
  return TEXTS.filter(([text, where]) => text.test(source) && !where.test(file))
    .map(([text]) => `${file} has ${text.exec(source)?.[0]}`);
}

/** A chain of imports that ends where it began; undefined where there is none. */
function cycleIn(graph: Graph): readonly string[] | undefined {
  const done = new Set<string>();
  function walk(file: string, path: readonly string[]): string[] | undefined {
    const start = path.indexOf(file);
    if (start >= 0) return [...path.slice(start), file];
    if (done.has(file)) return undefined;
    for (const to of graph[file] ?? []) {
      const cycle = walk(to, [...path, file]);
      if (cycle) return cycle;
    }
    done.add(file);
    return undefined;
  }
  for (const file of Object.keys(graph)) {
    const cycle = walk(file, []);
    if (cycle) return cycle;
  }
  return undefined;
}

async function sourceFiles(folder: string): Promise<string[]> {
  const files: string[] = [];
  for await (
    const { name, isDirectory } of Deno.readDir(new URL(folder, ROOT))
  ) {
    if (isDirectory) files.push(...await sourceFiles(`${folder}${name}/`));
    else if (name.endsWith(".ts")) files.push(folder + name);
  }
  return files.sort();
}

Deno.test("every file of lib/ is in a room, but for the front door", async () => {
  const homeless = (await sourceFiles("lib/")).filter((file) =>
    file !== "lib/runner.ts" && !Object.hasOwn(HOUSE, roomOf(file) ?? "")
  );
  assertEquals(homeless, []);
});

Deno.test("every file of lib/ is reached from the program", async () => {
  const graph = await readGraph();
  assertEquals(
    (await sourceFiles("lib/")).filter((file) =>
      !graph[file] && !file.startsWith(PAGE)
    ),
    [],
  );
});

Deno.test("rooms import what the house allows", async () => {
  assertEquals(forbiddenImports(await readGraph()), []);
});

Deno.test("no import leads back to where it began", async () => {
  assertEquals(cycleIn(await readGraph()), undefined);
});

Deno.test("libraries are imported where they belong", async () => {
  const graph = await readGraph();
  assertEquals(forbiddenLibraries(graph), []);
  const used = new Set(Object.values(graph).flat());
  for (const name of Object.keys(LIBRARIES)) {
    assert([...used].some((it) => it === name || it.startsWith(`${name}/`)));
  }
});

Deno.test("exit codes, SQL and arguments stay where they belong", async () => {
  const found = [...await sourceFiles("lib/"), "main.ts"].map(async (file) =>
    forbiddenTexts(file, await Deno.readTextFile(new URL(file, ROOT)))
  );
  assertEquals((await Promise.all(found)).flat(), []);
});

Deno.test("the program starts without what only some commands need", async () => {
  const graph = await readGraph({ isEager: true });
  const loaded = new Set(["main.ts"]);
  for (const file of loaded) {
    for (const it of graph[file] ?? []) loaded.add(it);
  }
  assert(loaded.has("lib/cli/list.ts"));
  const LATER =
    /^(duckdb|postgres|zod|jsonc-parser|hono|@hono|prom-client|croner|@opentelemetry|standardwebhooks|uplot|@dagrejs|diff)(\/|$)|^node:|^lib\/(store\/(duckdb|postgres)|service|runner\.ts)/;
  assertEquals([...loaded].filter((it) => LATER.test(it)), []);
});

Deno.test("deno task downloads what the program needs, and one DuckDB", async () => {
  const used = Object.values(await readGraph()).flat();
  const { imports } = JSON.parse(await readText("deno.json"));
  for (const [name, source] of Object.entries<string>(imports)) {
    if (!source.startsWith("npm:")) continue;
    assert(used.some((it) => it.startsWith(name)), `only tests need ${name}`);
  }
  for (const lock of ["deno.lock", "tools/npm/deno.lock"]) {
    assert(!(await readText(lock)).includes("-musl"), lock);
  }
});

Deno.test("forbiddenImports() notices a room that reaches too far", () => {
  const graph = {
    "lib/base/clock.ts": ["lib/task/task.ts"],
    "lib/runner.ts": ["lib/runner/runs.ts", "lib/store/duckdb/store.ts"],
    "lib/runner/runs.ts": ["lib/store/contract.ts"],
    "lib/cli/list.ts": ["lib/store/duckdb/store.ts"],
    "main.ts": ["lib/runner.ts"],
  };
  assertEquals(forbiddenImports(graph), [
    "lib/base/clock.ts imports lib/task/task.ts",
    "lib/runner.ts imports lib/store/duckdb/store.ts",
  ]);
});

Deno.test("forbiddenLibraries() notices a library in another room", () => {
  const graph = {
    "lib/runner/runs.ts": ["duckdb", "@std/fmt/bytes"],
    "lib/store/duckdb/native.ts": ["duckdb"],
  };
  assertEquals(forbiddenLibraries(graph), [
    "lib/runner/runs.ts imports duckdb",
  ]);
});

Deno.test("cycleIn() finds files that import each other", () => {
  const graph = { a: ["b"], b: ["c"], c: ["b"], d: ["a"] };
  assertEquals(cycleIn(graph), ["b", "c", "b"]);
  assertEquals(cycleIn({ a: ["b"], b: [] }), undefined);
});

Deno.test("forbiddenTexts() finds SQL and exits outside of their files", () => {
  for (
    const [file, source, found] of [
      ["lib/runner.ts", "Deno.exit(1);", 1],
      ["lib/runner.ts", "const [name] = Deno.args;", 1],
      ["lib/runner.ts", "`SELECT id FROM agent_tasks`", 1],
      ["lib/runner.ts", "`UPDATE agent_tasks\n SET status = ?`", 1],
      ["lib/runner.ts", "/** Updates and selects. */", 0],
      ["lib/store/admin.ts", "`DELETE FROM agent_tasks`", 1],
      ["lib/store/duckdb/admin.ts", "`DELETE FROM agent_tasks`", 0],
      ["lib/store/sql/schedules.ts", "`DELETE FROM agent_schedules`", 0],
      ["lib/store/duckdb/admin.ts", "Deno.exit(1);", 1],
      ["lib/cli/list.ts", "Deno.watchFs('.')", 1],
      ["main.ts", "Deno.exit(Deno.args.length);", 0],
    ] as const
  ) {
    assertEquals(forbiddenTexts(file, source).length, found, source);
  }
});
