import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { denoArgs } from "./support/project.ts";
import { withTables } from "../tools/readme.ts";

const root = new URL("../", import.meta.url);
const readme = await Deno.readTextFile(new URL("README.md", root));

Deno.test("README's tables are those of the code", () => {
  assertEquals(withTables(readme), readme, "run: deno run -A tools/readme.ts");
});

Deno.test("README's links point at files", async () => {
  for (const [, path] of readme.matchAll(/\]\((?!http)([^)#]+)\)/g)) {
    assert(await Deno.stat(new URL(path!, root)), path);
  }
});

/** Run by .ci/run and by `deno task test` itself. */
const runElsewhere = /task (test|compile|ok)\b/;

Deno.test("README's commands work, one after the other", async (t) => {
  const folder = await Deno.makeTempDir();
  const environment = {
    HANDSFREE_DB_PATH: `${folder}/handsfree.duckdb`,
    HANDSFREE_AGENT_TASK_COMPLETION_DELAY: "0",
    LOG_FORMAT: "text",
    PATH: `${folder}/bin:${Deno.env.get("PATH")}`,
    ANTHROPIC_API_KEY: "of-the-test",
  };
  const example = { id: "550e8400-e29b-41d4-a716-446655440000" };
  await Deno.writeTextFile(`${folder}/example.jsonl`, JSON.stringify(example));
  await run("deno task run create --file example.jsonl");

  await Deno.mkdir(`${folder}/bin`);
  await Deno.writeTextFile(`${folder}/bin/claude`, CLAUDE, { mode: 0o755 });
  const config = /^```json\n([^]*?)^```$/m.exec(readme);
  let output = "";
  for (const command of commandsOf(readme)) {
    if (runElsewhere.test(command)) continue;
    if (command.includes("config check")) {
      await Deno.writeTextFile(`${folder}/agent-runner.json`, config![1]!);
    }
    await t.step(command, async () => {
      output += await run(command);
    });
  }
  assertStringIncludes(output, "Nothing wrong was found");
  assertStringIncludes(output, "Shall I delete release/1.x too?");
  assertStringIncludes(output, "Did: Write the release notes of v2.1");
  const all = JSON.parse(
    await run("deno task run list --provider claude --json"),
  );
  const states = all.map(({ state }: { state: string }) => state);
  assertEquals([...new Set(states)], ["completed"]);
  await Deno.remove(folder, { recursive: true });

  async function run(text: string): Promise<string> {
    return text.includes("--server")
      ? await runThroughService(text)
      : await runHere(text.includes(" ID") ? await withId(text) : text);
  }

  async function runHere(command: string): Promise<string> {
    const isLoop = command.includes("--loop");
    const isNight = command === "deno task run --loop";
    const child = new Deno.Command("bash", {
      args: ["-c", `${isLoop ? "exec env " : ""}${asProcess(command)}`],
      cwd: folder,
      env: environment,
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const tooLong = setTimeout(() => child.kill("SIGKILL"), 30_000);
    const [stdout, stderr] = await Promise.all([
      new Response(child.stdout).text(),
      readUntil(
        child.stderr,
        isNight
          ? /completed in[^]*needs input|needs input[^]*completed in/
          : /Running until stopped/,
        () => {
          if (isLoop) child.kill("SIGTERM");
        },
      ),
    ]);
    clearTimeout(tooLong);
    const { code } = await child.status;
    assertEquals(code, 0, `${command}\n${stdout}\n${stderr}`);
    return stdout;
  }

  /** With a service of the test's in place of README's. */
  async function runThroughService(command: string): Promise<string> {
    const service = new Deno.Command("bash", {
      args: [
        "-c",
        `exec ${asProcess("deno task run serve --listen 127.0.0.1:8080")}`,
      ],
      cwd: folder,
      env: environment,
      stderr: "piped",
    }).spawn();
    const { promise, resolve } = Promise.withResolvers<string>();
    const listening = /Listening on (http:\S+)/;
    const log = readUntil(service.stderr, listening, (text) => {
      resolve(listening.exec(text)![1]!);
    });
    const url = await Promise.race([promise, log]);
    try {
      return await runHere(command.replace("http://127.0.0.1:8080", url));
    } finally {
      service.kill("SIGTERM");
      await Promise.all([service.status, log]);
    }
  }

  /** The task that the command is about, in place of ID. */
  async function withId(command: string): Promise<string> {
    const state = command.includes("result") ? "completed" : "needs_input";
    const [task] = JSON.parse(
      await run(`deno task run list --provider claude --state ${state} --json`),
    );
    return command.replace(" ID", ` ${task.id.slice(0, 8)}`);
  }
});

/** Stands in for the CLI: asks before it deletes anything. */
const CLAUDE = `#!/bin/sh
case "$2" in
  *Answer:*) echo "Deleted, and kept what you wanted" ;;
  Delete*) echo '{"agent_runner": "question", "question": "Shall I delete release/1.x too?"}' ;;
  *) echo "Did: $2" ;;
esac
`;

function commandsOf(text: string): string[] {
  return [...text.matchAll(/^```sh\n([^]*?)^```$/gm)].flatMap(([, block]) =>
    block!.split("\n").filter((line) => line.trim() !== "")
  );
}

/** The same command, for this Deno and this project, from any folder. */
function asProcess(command: string): string {
  const deno = (file: string) =>
    [Deno.execPath(), ...denoArgs(file)].map((word) => `"${word}"`).join(" ");
  return command
    .replace("127.0.0.1:8080", "127.0.0.1:0") // Another may have that one.
    .replace("npx -y deno@2.9.6", "deno")
    .replace("deno task run", deno("main.ts"))
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
