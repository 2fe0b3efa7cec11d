import { assert, assertEquals } from "@std/assert";
import { workerPrograms } from "../tools/check_executable.ts";

/**
 * The table of DESIGN.md. Whole numbers are its levels; a fraction orders the
 * files of one level, as those of a folder. Imports, type-only ones included,
 * go to a strictly lower number, so there can be no cycle.
 */
const LEVELS: Readonly<Record<string, number>> = {
  "deno.json": 0,
  "lib/clock.ts": 0,
  "lib/errors.ts": 0,
  "lib/figures.ts": 0,
  "lib/id_list.ts": 0,
  "lib/listen_address.ts": 0,
  "lib/located_json.ts": 0,
  "lib/log.ts": 0,
  "lib/provider_settings.ts": 0,
  "lib/settings.ts": 0,
  "lib/signature.ts": 0,
  "lib/task.ts": 0,
  "lib/webhook_settings.ts": 0,

  "lib/config_schema.ts": 0.7,

  "lib/backoff.ts": 1,
  "lib/clock_jumps.ts": 1,
  "lib/config.ts": 1,
  "lib/cut.ts": 0.5,
  "lib/config_mistakes.ts": 1,
  "lib/events.ts": 1,
  "lib/feed.ts": 1,
  "lib/outbox.ts": 1,
  "lib/turn.ts": 0,
  "lib/pool.ts": 1,
  "lib/processor.ts": 1,
  "lib/progress.ts": 1,
  "lib/reader.ts": 1,
  "lib/stop_switch.ts": 1,
  "lib/store.ts": 1,
  "lib/table.ts": 1,
  "lib/trace.ts": 1,
  "lib/task_sets.ts": 1.1,
  "lib/history.ts": 1.2,
  "lib/command_table/command.ts": 1,
  "lib/command_table/run.ts": 1.25,
  "lib/command_table/tasks.ts": 1.25,
  "lib/command_table/operate.ts": 1.25,
  "lib/command_table/setup.ts": 1.25,
  "lib/command_table.ts": 1.3,
  "lib/task_desk.ts": 1.3,
  "lib/outcome.ts": 1.5,
  "lib/transitions.ts": 1.5,

  "lib/duckdb/explain.ts": 1.9,
  "lib/duckdb/file.ts": 1.9,
  "lib/duckdb/turns.ts": 1.9,
  "lib/duckdb/connection.ts": 2,
  "lib/duckdb/batches.ts": 2,
  "lib/duckdb/rows.ts": 2,
  "lib/duckdb/read_tasks.ts": 2.05,
  "lib/duckdb/stage.ts": 2.05,
  "lib/duckdb/database.ts": 2.1,
  "lib/duckdb/notifications.ts": 2.05,
  "lib/duckdb/outbox_queue.ts": 2.1,
  "lib/duckdb/outbox_results.ts": 2.1,
  "lib/duckdb/outbox.ts": 2.2,
  "lib/duckdb/record.ts": 2.1,
  "lib/duckdb/schema.ts": 2.1,
  "lib/duckdb/leases.ts": 2.2,
  "lib/duckdb/claim.ts": 2.25,
  "lib/duckdb/create.ts": 2.2,
  "lib/duckdb/series.ts": 2.2,
  "lib/duckdb/feed.ts": 2.25,
  "lib/duckdb/preview.ts": 2.28,
  "lib/duckdb/requests.ts": 2.28,
  "lib/duckdb/retry.ts": 2.1,
  "lib/duckdb/export.ts": 2.1,
  "lib/duckdb/overview.ts": 2.1,
  "lib/duckdb/prune.ts": 2.22,
  "lib/duckdb/stats.ts": 2.1,
  "lib/duckdb/history.ts": 2.25,
  "lib/duckdb/inspect.ts": 2.2,
  "lib/duckdb/reader.ts": 2.25,
  "lib/duckdb/sets.ts": 2.29,
  "lib/duckdb/store.ts": 2.3,
  "lib/config_report.ts": 2,
  "lib/diagnosis.ts": 2,
  "lib/executor.ts": 2,
  "lib/idle.ts": 2,
  "lib/live_screen.ts": 2,
  "lib/metrics.ts": 2,
  "lib/new_task.ts": 2,
  "lib/processors/addresses.ts": 0,
  "lib/processors/http_headers.ts": 0,
  "lib/processors/http_config.ts": 0.5,
  "lib/processors/excerpt.ts": 2,
  "lib/processors/task_json.ts": 2,
  "lib/processors/time_limit.ts": 2,
  "lib/processors/http_credentials.ts": 2.1,
  "lib/processors/http_error.ts": 2.1,
  "lib/processors/http_addresses.ts": 2.2,
  "lib/processors/http_connection.ts": 2.2,
  "lib/processors/http_request.ts": 2.3,
  "lib/processors/http_answer.ts": 2.4,
  "lib/processors/http_session.ts": 2.4,
  "lib/processors/http_poll.ts": 2.5,
  "lib/processors/http.ts": 2.6,
  "lib/processors/command_placeholders.ts": 0,
  "lib/processors/command_config.ts": 0.5,
  "lib/processors/output.ts": 2.1,
  "lib/processors/process_guard.ts": 2,
  "lib/processors/process_tree.ts": 2.1,
  "lib/processors/secrets.ts": 2,
  "lib/processors/command_folder.ts": 2.1,
  "lib/processors/command_input.ts": 2.1,
  "lib/processors/command_messages.ts": 2.1,
  "lib/processors/command_secrets.ts": 2.1,
  "lib/processors/command_check.ts": 2.2,
  "lib/processors/command_outcome.ts": 2.2,
  "lib/processors/command_output.ts": 2.3,
  "lib/processors/command_run.ts": 2.4,
  "lib/processors/command.ts": 2.5,
  "lib/plugin.ts": 1.5,
  "lib/processors/module_config.ts": 0,
  "lib/processors/module_outcome.ts": 1.5,
  "lib/processors/module_output.ts": 0,
  "lib/processors/module_permissions.ts": 1,
  "lib/processors/module_log.ts": 1,
  "lib/processors/module_messages.ts": 1.6,
  "lib/processors/module_load.ts": 1.7,
  "lib/processors/module_guard.ts": 1.8,
  "lib/processors/module_worker.ts": 1.8,
  "lib/processors/module_open.ts": 1.9,
  "lib/processors/module_thread.ts": 2,
  "lib/processors/module.ts": 2.1,
  "lib/processors/simulate.ts": 2,
  "lib/query_report.ts": 2,
  "lib/recorder.ts": 2,
  "lib/render.ts": 2,
  "lib/runner_log.ts": 2,
  "lib/stats_report.ts": 2,
  "lib/usage.ts": 2,
  "lib/verdict.ts": 2,
  "lib/watch_report.ts": 2,
  "lib/completion_words.ts": 2.1,
  "lib/watched.ts": 2.1,
  "lib/completion_scripts.ts": 2.2,
  "lib/service_settings.ts": 2,
  "lib/client_settings.ts": 2.1,
  "lib/telemetry.ts": 2.1,
  "lib/webhooks/message.ts": 2,
  "lib/webhooks/sender.ts": 2.1,
  "lib/webhooks/courier_log.ts": 2.2,
  "lib/webhooks/courier.ts": 2.3,
  "lib/webhooks.ts": 2.4,
  "lib/runs.ts": 2.5,
  "lib/terminal.ts": 2.5,
  "lib/text_source.ts": 2.6,
  "lib/task_file.ts": 2.7,
  "lib/providers.ts": 2.55,
  "lib/preview.ts": 2.58,
  "lib/runner_context.ts": 2.6,
  "lib/config_file.ts": 2.6,
  "lib/processing.ts": 2.7,

  "lib/open_reader.ts": 3,
  "lib/open_store.ts": 3,
  "lib/processors/mod.ts": 3,
  "lib/runner.ts": 3,
  "lib/commands/context.ts": 3.5,
  "lib/commands/find_task.ts": 3.5,
  "lib/commands/signals.ts": 3.5,
  "lib/commands/filter.ts": 3.6,
  "lib/commands/choose.ts": 3.7,
  "lib/commands/provider_reports.ts": 3.6,

  "lib/server/cursor.ts": 3.1,
  "lib/server/limits.ts": 3.2,
  "lib/server/listen.ts": 3.2,
  "lib/server/node_http.ts": 3.1,
  "lib/server/problem.ts": 3.1,
  "lib/server/read_cache.ts": 3.1,
  "lib/server/secured.ts": 3.1,
  "lib/server/session.ts": 3.1,
  "lib/server/answer.ts": 3.1,
  "lib/server/event_hub.ts": 3.1,
  "lib/server/idempotency.ts": 3.1,
  "lib/server/task_json.ts": 3.1,
  "lib/server/body.ts": 3.2,
  "lib/server/event_stream.ts": 3.2,
  "lib/server/guard.ts": 3.2,
  "lib/server/schemas.ts": 3.2,
  "lib/server/service.ts": 3.2,
  "lib/server/documented.ts": 3.3,
  "lib/server/runner_health.ts": 3.3,
  "lib/server/desk_schemas.ts": 3.25,
  "lib/server/action_routes.ts": 3.4,
  "lib/server/export_routes.ts": 3.4,
  "lib/server/history_routes.ts": 3.4,
  "lib/server/set_routes.ts": 3.4,
  "lib/server/event_routes.ts": 3.4,
  "lib/server/session_routes.ts": 3.4,
  "lib/server/stats_routes.ts": 3.4,
  "lib/server/task_routes.ts": 3.4,
  "lib/server/health_routes.ts": 3.5,
  "lib/server/prometheus.ts": 3.5,
  "lib/server/dashboard/assets.ts": 3.1,
  "lib/server/dashboard/routes.ts": 3.2,
  "lib/server/app.ts": 3.6,
  "lib/server/mod.ts": 3.7,
  "lib/commands/service.ts": 3.8,

  "lib/client/connection_problem.ts": 3.2,
  "lib/client/silence.ts": 3.2,
  "lib/client/api.ts": 3.3,
  "lib/client/task_json.ts": 3.3,
  "lib/client/batches.ts": 3.4,
  "lib/client/create.ts": 3.42,
  "lib/client/sets.ts": 3.45,
  "lib/client/history.ts": 3.5,
  "lib/client/desk.ts": 3.6,
  "lib/open_desk.ts": 3.8,

  "lib/commands/answer.ts": 4,
  "lib/commands/cancel.ts": 4,
  "lib/commands/completions.ts": 4,
  "lib/commands/config.ts": 4,
  "lib/commands/create.ts": 4,
  "lib/commands/doctor.ts": 4,
  "lib/commands/export.ts": 4,
  "lib/commands/list.ts": 4,
  "lib/commands/prune.ts": 4,
  "lib/commands/result.ts": 4,
  "lib/commands/retry.ts": 4,
  "lib/commands/run.ts": 4,
  "lib/commands/serve.ts": 4,
  "lib/commands/run_task.ts": 4,
  "lib/commands/show.ts": 4,
  "lib/commands/sql.ts": 4,
  "lib/commands/stats.ts": 4,
  "lib/commands/watch.ts": 4,
  "lib/commands/webhooks.ts": 4,

  "main.ts": 5,
};

/** What only the named files may import. */
const RESERVED: readonly {
  readonly what: string;
  readonly imports: RegExp;
  readonly by: RegExp;
}[] = [
  {
    what: "DuckDB",
    imports: /^duckdb$|^npm:/,
    by: /^lib\/duckdb\/(connection|reader)\.ts$/,
  },
  {
    what: "the DuckDB store",
    imports: /^lib\/duckdb\//,
    by: /^lib\/duckdb\/|^lib\/open_(store|reader)\.ts$/,
  },
  {
    what: "@std/log",
    imports: /^@std\/log\//,
    by: /^lib\/log\.ts$/,
  },
  {
    what: "the web framework",
    imports: /^(hono|@hono\/zod-openapi|prom-client)(\/|$)/,
    by: /^lib\/(server|client)\//,
  },
  {
    what: "OpenTelemetry",
    imports: /^@opentelemetry\//,
    by: /^lib\/telemetry\.ts$/,
  },
  {
    what: "the dashboard's files and its plots",
    imports: /^uplot(\/|$)|^lib\/server\/dashboard\/page\//,
    by: /^lib\/server\/dashboard\/assets\.ts$/,
  },
  {
    what: "the service",
    imports: /^lib\/server\/(?!(desk_)?schemas\.ts$)/,
    by: /^lib\/server\/|^lib\/commands\/service\.ts$/,
  },
  {
    what: "the service's schemas",
    imports: /^lib\/server\/(desk_)?schemas\.ts$/,
    by: /^lib\/(server|client)\//,
  },
  {
    what: "the schema library",
    imports: /^zod$/,
    by: /^lib\/(config_schema|config_mistakes|processors\/\w+_config)\.ts$/,
  },
  {
    what: "jsonc-parser",
    imports: /^jsonc-parser$/,
    by: /^lib\/located_json\.ts$/,
  },
  {
    what: "standardwebhooks",
    imports: /^standardwebhooks$/,
    by: /^lib\/signature\.ts$/,
  },
  {
    what: "a command",
    imports:
      /^lib\/commands\/(?!(choose|context|filter|find_task|provider_reports|service|signals)\.ts)/,
    by: /^main\.ts$/,
  },
];

/** What only the named files may contain. */
const CONFINED: readonly {
  readonly what: string;
  readonly text: RegExp;
  readonly to: RegExp;
}[] = [
  {
    what: "arguments and exit code",
    text: /\bDeno\.(args|exit|exitCode)\b/,
    to: /^main\.ts$/,
  },
  {
    what: "SQL",
    text:
      /\b(SELECT\s|INSERT INTO|UPDATE\s+\w+\s+SET|DELETE FROM|MERGE INTO|CREATE (TEMP |OR REPLACE )*(TABLE|INDEX)|ALTER TABLE|BEGIN TRANSACTION)/,
    to: /^lib\/duckdb\//,
  },
];

/** The imports of each file: a project's file by its path, others as written. */
type Graph = Readonly<Record<string, readonly string[]>>;

/** Which imports count. */
interface GraphOptions {
  /** Only those that are followed at once, when the importing file is. */
  readonly isEager?: boolean;
}

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
const PAGE = "lib/server/dashboard/page/";

/** What is started: the program, and what its workers run. */
const PROGRAMS = ["main.ts", ...workerPrograms];

async function readGraph(options: GraphOptions = {}): Promise<Graph> {
  const graphs = PROGRAMS.map((program) => readGraphOf(program, options));
  return Object.assign({}, ...await Promise.all(graphs));
}

async function readGraphOf(
  program: string,
  { isEager }: GraphOptions,
): Promise<Graph> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "--no-remote", "--no-npm", "--no-lock", program],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  const { modules }: Info = JSON.parse(new TextDecoder().decode(stdout));
  const own = modules.filter(({ specifier }) =>
    specifier.startsWith(ROOT.href) &&
    !specifier.startsWith(ROOT.href + PAGE)
  );
  return Object.fromEntries(
    own.map(({ specifier, dependencies = [] }) => [
      specifier.slice(ROOT.href.length),
      dependencies.filter(({ code, isDynamic }) =>
        !isEager || (code && !isDynamic)
      ).map(({ specifier, code, type }) => {
        const target = code?.specifier ?? type?.specifier ?? "";
        return target.startsWith(ROOT.href)
          ? target.slice(ROOT.href.length)
          : specifier;
      }),
    ]),
  );
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

function climbingImports(graph: Graph): string[] {
  return edgesOf(graph).flatMap(([from, to]) => {
    const fromLevel = LEVELS[from] ?? Infinity;
    const toLevel = LEVELS[to];
    return toLevel === undefined || toLevel < fromLevel
      ? []
      : [`${from} (${fromLevel}) imports ${to} (${toLevel})`];
  });
}

function reservedImports(graph: Graph): string[] {
  return edgesOf(graph).flatMap(([from, to]) =>
    RESERVED.filter(({ imports, by }) => imports.test(to) && !by.test(from))
      .map(({ what }) => `${from} imports ${what}: ${to}`)
  );
}

function edgesOf(graph: Graph): [from: string, to: string][] {
  return Object.entries(graph).flatMap(([from, imports]) =>
    imports.map((to): [string, string] => [from, to])
  );
}

function confinedTexts(file: string, source: string): string[] {
  return CONFINED.flatMap(({ what, text, to }) => {
    const found = to.test(file) ? null : text.exec(source);
    return found ? [`${file} has ${what}: ${found[0]}`] : [];
  });
}

Deno.test("the programs reach every file that the table lists, and no other", async () => {
  const reached = Object.keys(await readGraph()).sort();
  assertEquals(reached, Object.keys(LEVELS).sort());
});

Deno.test("lib/ has every file that the table lists, and no other", async () => {
  const listed = Object.keys(LEVELS).filter((file) => file.startsWith("lib/"));
  assertEquals(await sourceFiles("lib/"), listed.sort());
});

Deno.test("every import goes to a strictly lower level", async () => {
  assertEquals(climbingImports(await readGraph()), []);
});

Deno.test("only the named files import what is reserved for them", async () => {
  assertEquals(reservedImports(await readGraph()), []);
});

Deno.test("only the named files contain what is confined to them", async () => {
  const files = [...await sourceFiles("lib/"), "main.ts"];
  const found = files.map(async (file) =>
    confinedTexts(file, await Deno.readTextFile(new URL(file, ROOT)))
  );
  assertEquals((await Promise.all(found)).flat(), []);
});

Deno.test("commands start without what only some of them need", async () => {
  const graph = await readGraph({ isEager: true });
  const loaded = new Set(
    Object.keys(graph).filter((file) => /^main|^lib\/commands\//.test(file)),
  );
  for (const file of loaded) {
    for (const it of graph[file] ?? []) loaded.add(it);
  }
  assert(loaded.has("lib/config.ts") && loaded.has("@std/cli/parse-args"));
  const LATER =
    /^(zod|jsonc-parser|hono|@hono|prom-client|@opentelemetry)(\/|$)/;
  assertEquals([...loaded].filter((it) => LATER.test(it)), []);
});

Deno.test("nobody watches files, which drops DuckDB's lock", async () => {
  for (const file of [...await sourceFiles("lib/"), "main.ts"]) {
    const source = await Deno.readTextFile(new URL(file, ROOT));
    assertEquals(/\bDeno\.watchFs\(/.test(source), false, file);
  }
});

Deno.test("what is reserved and confined is used where it may be", async () => {
  const edges = edgesOf(await readGraph());
  for (const { what, imports, by } of RESERVED) {
    const uses = edges.filter(([from, to]) =>
      imports.test(to) && by.test(from)
    );
    assert(uses.length > 0, `nobody imports ${what}`);
  }
  const files = [...await sourceFiles("lib/"), "main.ts"];
  for (const { what, text, to } of CONFINED) {
    const sources = await Promise.all(
      files.filter((file) => to.test(file))
        .map((file) => Deno.readTextFile(new URL(file, ROOT))),
    );
    assert(sources.some((source) => text.test(source)), `nobody has ${what}`);
  }
});

Deno.test("climbingImports() notices imports of a higher and of the same level", () => {
  const graph = {
    "lib/clock.ts": ["lib/task.ts"],
    "lib/store.ts": ["lib/task.ts", "lib/runner.ts", "lib/store.ts"],
    "main.ts": ["@std/assert", "lib/runner.ts"],
  };
  assertEquals(climbingImports(graph), [
    "lib/clock.ts (0) imports lib/task.ts (0)",
    "lib/store.ts (1) imports lib/runner.ts (3)",
    "lib/store.ts (1) imports lib/store.ts (1)",
  ]);
});

Deno.test("reservedImports() notices who may not import what", () => {
  const graph = {
    "lib/runner.ts": ["duckdb", "lib/duckdb/rows.ts", "@std/log/logger"],
    "lib/duckdb/store.ts": ["duckdb", "lib/duckdb/rows.ts"],
    "lib/duckdb/connection.ts": ["duckdb"],
    "lib/open_store.ts": ["lib/duckdb/store.ts"],
    "lib/commands/list.ts": ["lib/commands/show.ts", "lib/commands/context.ts"],
  };
  assertEquals(reservedImports(graph), [
    "lib/runner.ts imports DuckDB: duckdb",
    "lib/runner.ts imports the DuckDB store: lib/duckdb/rows.ts",
    "lib/runner.ts imports @std/log: @std/log/logger",
    "lib/duckdb/store.ts imports DuckDB: duckdb",
    "lib/commands/list.ts imports a command: lib/commands/show.ts",
  ]);
});

const CONFINED_SAMPLES: [file: string, source: string, found: number][] = [
  ["lib/runner.ts", "Deno.exit(1);", 1],
  ["lib/runner.ts", "Deno.exitCode = 1;", 1],
  ["lib/runner.ts", "const [name] = Deno.args;", 1],
  ["lib/runner.ts", "`SELECT id FROM agent_tasks`", 1],
  ["lib/runner.ts", "`UPDATE agent_tasks\n SET status = ?`", 1],
  ["lib/runner.ts", "/** Updates and selects. */", 0],
  ["lib/duckdb/store.ts", "`DELETE FROM agent_tasks`", 0],
  ["lib/duckdb/store.ts", "Deno.exit(1);", 1],
  ["main.ts", "Deno.exit(Deno.args.length);", 0],
];

for (const [file, source, found] of CONFINED_SAMPLES) {
  Deno.test(`confinedTexts() finds ${found} in ${file}: ${source}`, () => {
    assertEquals(confinedTexts(file, source).length, found);
  });
}
