import { DuckDBInstance } from "duckdb";
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { flagsOf } from "../lib/cli/command.ts";
import { COMMANDS } from "../lib/cli/commands.ts";
import { Gh } from "./support/gh.ts";
import { denoArgs } from "./support/project.ts";
import { TaskRepository } from "./support/task_repository.ts";
import { readPages, withTables } from "../tools/readme.ts";

const pages = await readPages();

Deno.test("the tables of README and docs/ are those of the code", () => {
  for (const { name, text } of pages) {
    assertEquals(
      withTables(text),
      text,
      `${name}: deno run -A tools/readme.ts`,
    );
  }
});

Deno.test("README is short, and leads to every page", () => {
  const [readme, ...others] = pages;
  assert(readme!.text.split("\n").length <= 151);
  for (const { name } of others) {
    assertStringIncludes(readme!.text, `](${name})`);
  }
});

Deno.test("links lead to files, and to headings that are there", async () => {
  for (const page of pages) {
    for (const [link, target] of page.text.matchAll(/\]\((?!http)([^)]+)\)/g)) {
      const url = new URL(target!, page.url);
      const { hash } = url;
      url.hash = "";
      const text = await Deno.readFile(url);
      const headings = new TextDecoder().decode(text).matchAll(/^#+ (.*)$/gm);
      const names = [...headings].map(([, it]) =>
        `#${it!.toLowerCase().replaceAll(/[^\w -]/g, "").replaceAll(" ", "-")}`
      );
      assert(hash === "" || names.includes(hash), `${page.name} has ${link}`);
    }
  }
});

/** Of other programs, as these name them. */
const OTHERS = new Set([
  ...["--allow-empty", "--graph", "--index", "--init", "--list"],
  ...["--oneline", "--build-arg", "--dbname", "--exit-on-error"],
  ...["--filter", "--frozen"],
]);

/** What one sentence says of them: that they were called so before. */
const EARLIER = "`--db-path` and `HANDSFREE_DB_PATH` are what";

Deno.test("flags that are named are those that help names", () => {
  const ours = new Set(
    COMMANDS.filter(({ isHidden }) => !isHidden).flatMap(flagsOf)
      .filter(({ isEarlier }) => !isEarlier)
      .map(({ name }) => `--${name}`),
  );
  const unknown = pages.flatMap(({ name, text }) =>
    (text.replace(EARLIER, "").match(/(?<![\w-])--[a-z][\w-]*/g) ?? [])
      .filter((it) => !ours.has(it) && !OTHERS.has(it))
      .map((it) => `${name}: ${it}`)
  );
  assertEquals(unknown, []);
});

/** Run by .ci/run and by `deno task test` itself. */
const runElsewhere = /task (test|compile|ok)\b/;

for (const { name, text } of pages) {
  const commands = commandsOf(text).filter((it) => !runElsewhere.test(it));
  if (commands.length === 0) continue;
  Deno.test(`${name}'s commands work, one after the other`, async (t) => {
    await using place = await Place.make();
    for (const command of commands) {
      await t.step(command, async () => {
        await place.run(command);
      });
    }
    if (name === "README.md") await assertNightIsOver(place);
  });
}

async function assertNightIsOver(place: Place): Promise<void> {
  for (
    const said of [
      /Found on PATH:\n.*claude 2\.1\.197\n/,
      /Nothing wrong was found/,
      /Question +Delete release\/1\.x\?/, // show
      /I need a decision\./, // logs
      /claude.*\$0\.03/, // stats
    ]
  ) assertMatch(place.output, said);
  const all = JSON.parse(
    await place.run("agent-runner list --provider claude --json"),
  );
  const ends = all.map(({ state, trace }: {
    readonly state: string;
    readonly trace: { readonly output: string };
  }) => [state, trace.output]);
  assertEquals(ends.sort(), [
    ["completed", "Told: Write the release notes of v2.1"],
    ["completed", "Told: Yes, but keep release/1.x"],
  ]);
}

Deno.test("README's configuration is one", async () => {
  const [readme] = pages;
  const [, config = ""] = /^```json\n([^]*?)^```$/m.exec(readme!.text) ?? [];
  await using place = await Place.make();
  await Deno.writeTextFile(`${place.folder}/agent-runner.json`, config);
  assertStringIncludes(
    await place.run("agent-runner config check"),
    "Nothing wrong was found",
  );
});

/** A folder to run a page's commands in, with a task that they may name. */
class Place implements AsyncDisposable {
  /** All that was printed so far. */
  output = "";
  readonly folder: string;
  /** Of the task that the pages call 550e8400. */
  readonly #repository = new TaskRepository({ "README.md": "# Example\n" });
  readonly #environment: Readonly<Record<string, string>>;
  /** Where the page's reader is. */
  #current: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.#current = folder;
    this.#environment = {
      HANDSFREE_DB_PATH: `${folder}/handsfree.duckdb`,
      HANDSFREE_AGENT_TASK_COMPLETION_DELAY: "0",
      LOG_FORMAT: "text",
      DENO_INSTALL_ROOT: folder,
      XDG_STATE_HOME: `${folder}/state`,
      // As of a reader of whom git knows nothing yet.
      GIT_CONFIG_GLOBAL: `${folder}/gitconfig`,
      GIT_CONFIG_NOSYSTEM: "1",
      PATH: `${folder}/bin:${folder}/gh-bin:${Deno.env.get("PATH")}`,
    };
  }

  static async make(): Promise<Place> {
    const place = new Place(await Deno.makeTempDir());
    const { folder } = place;
    await Deno.writeTextFile(
      `${folder}/gitconfig`,
      "[user]\nuseConfigOnly = true\n",
    );
    await place.run("deno task install");
    place.#repository.write({ "README.md": "# Changed\n" });
    await Deno.writeTextFile(
      `${folder}/example.jsonl`,
      '{"id": "550e8400-e29b-41d4-a716-446655440000"}',
    );
    await place.run("agent-runner create --file example.jsonl");
    await place.#hasWorked();
    await Deno.writeTextFile(`${folder}/bin/claude`, CLAUDE, { mode: 0o755 });
    new Gh(folder).change({ issues: [ISSUE] });
    return place;
  }

  /** The example task has a branch: nobody but a runner can say so of one. */
  async #hasWorked(): Promise<void> {
    const trace = { workspace: this.#repository.workspace() };
    const instance = await DuckDBInstance.create(
      `${this.folder}/handsfree.duckdb`,
    );
    const connection = await instance.connect();
    await connection.run("UPDATE agent_tasks SET last_update = $1", [
      JSON.stringify(trace),
    ]);
    connection.closeSync();
    instance.closeSync();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#repository[Symbol.dispose]();
    await Deno.remove(this.folder, { recursive: true });
  }

  /** Runs a command of the page, and returns what it prints. */
  async run(text: string): Promise<string> {
    const [, folder] = /^cd (\S+)$/.exec(text) ?? [];
    if (folder !== undefined) {
      this.#current = `${this.#current}/${folder}`;
      return "";
    }
    return text.includes("--server")
      ? await this.#runThroughService(text)
      : await this.#runHere(
        text.includes(" ID") ? await this.#withId(text) : text,
      );
  }

  async #runHere(command: string): Promise<string> {
    const isLoop = /--(loop|watch)/.test(command);
    const isNight = command === "agent-runner run --loop";
    const child = new Deno.Command("bash", {
      args: ["-c", `${isLoop ? "exec env " : ""}${asProcess(command)}`],
      cwd: this.#current,
      env: this.#environment,
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const tooLong = setTimeout(() => child.kill("SIGKILL"), 90_000);
    const [stdout, stderr] = await Promise.all([
      new Response(child.stdout).text(),
      readUntil(
        child.stderr,
        isNight
          ? /completed in[^]*needs input|needs input[^]*completed in/
          : /until stopped/,
        () => {
          if (isLoop) child.kill("SIGTERM");
        },
      ),
    ]);
    clearTimeout(tooLong);
    const { code } = await child.status;
    assertEquals(code, 0, `${command}\n${stdout}\n${stderr}`);
    this.output += stdout;
    return stdout;
  }

  /** With a service of the test's in place of the page's. */
  async #runThroughService(command: string): Promise<string> {
    const service = new Deno.Command("bash", {
      args: [
        "-c",
        `exec ${asProcess("agent-runner serve --listen 127.0.0.1:8080")}`,
      ],
      cwd: this.folder,
      env: this.#environment,
      stderr: "piped",
    }).spawn();
    const { promise, resolve } = Promise.withResolvers<string>();
    const listening = /Listening on (http:\S+)/;
    const log = readUntil(service.stderr, listening, (text) => {
      resolve(listening.exec(text)![1]!);
    });
    const url = await Promise.race([promise, log]);
    try {
      return await this.#runHere(command.replace("http://127.0.0.1:8080", url));
    } finally {
      service.kill("SIGTERM");
      await Promise.all([service.status, log]);
    }
  }

  /** The task that the command is about, in place of ID. */
  async #withId(command: string): Promise<string> {
    const state = command.includes("result") ? "completed" : "needs_input";
    const [task] = JSON.parse(
      await this.run(`agent-runner list --state ${state} --json`),
    );
    return command.replace(" ID", ` ${task.id.slice(0, 8)}`);
  }
}

const ISSUE = {
  number: 12,
  title: "It breaks",
  body: "Target Repository: octo/tool",
  labels: ["agent", "agent-task"],
};

const RECORDINGS =
  new URL("./processors/agent/recordings/claude-2.1.197", import.meta.url)
    .pathname;

/**
 * Stands in for the CLI: prints what that printed, in the session that it is given.
 * Asks before it deletes anything, and else says what it was told.
 */
const CLAUDE = `#!/bin/sh
if [ "$1" = --version ]; then echo '2.1.197 (Claude Code)'; exit; fi
for word; do
  case "$word" in --session-id=*|--resume=*) id="\${word#*=}" ;; esac
done
case "$word" in Delete*) name=ask-text ;; *) name=success ;; esac
told=$(printf '%s' "$word" | head -n 1)
sed -e 's/"session_id":"[^"]*/"session_id":"'"$id"'/' \\
  -e 's|Done: hello.txt is written.|'"Told: $told|" '${RECORDINGS}'/$name.jsonl
`;

function commandsOf(text: string): string[] {
  return [...text.matchAll(/^```sh\n([^]*?)^```$/gm)].flatMap((
    [, block],
  ) => (block!.match(/^.*<<'EOF'\n[^]*?^EOF$|^.*\S.*$/gm) ?? []));
}

/** The same command, for this Deno and this project, from any folder. */
function asProcess(command: string): string {
  const deno = (file: string) =>
    [Deno.execPath(), ...denoArgs(file)].map((word) => `"${word}"`).join(" ");
  return command
    .replace("127.0.0.1:8080", "127.0.0.1:0") // Another may have that one.
    .replace("npx -y deno@2.9.6", "deno")
    .replace("deno task install", deno("tools/install.ts"))
    .replace("deno task demo", deno("tools/demo.ts"));
}

async function readUntil(
  stream: ReadableStream<Uint8Array>,
  pattern: RegExp,
  onMatch: (text: string) => void,
): Promise<string> {
  let text = "";
  let matched = false;
  for await (const part of stream.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (!matched && pattern.test(text)) {
      matched = true;
      onMatch(text);
    }
  }
  return text;
}
