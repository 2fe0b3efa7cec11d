/**
 * `deno task test:agents [claude] [codex] … [--filter TEXT]`: installs the agents'
 * CLIs, and runs them through the whole program, in a network namespace that has
 * only loopback, with an empty environment, a new HOME and made-up keys.
 *
 * @module
 */

import { ROOT, stdFlags } from "../support/project.ts";
import { CLIS } from "./clis.ts";
import { install, type Installed, pathInside } from "./install.ts";
import { inLoopback } from "./loopback.ts";

const CASES = "tests/agents/cases.ts";

const names = Deno.args.filter((it) => CLIS.some(({ name }) => name === it));
const flags = Deno.args.filter((it) => !names.includes(it));
const wanted = CLIS.filter(({ name }) =>
  names.length === 0 || names.includes(name)
);
await assertCanIsolate();
const installed: Record<string, Installed> = {};
for (const cli of wanted) {
  const it = installed[cli.name] = await install(cli);
  if ("problem" in it) console.error(it.problem);
}

const deno = (command: string) => [
  ...[Deno.execPath(), command, "-q", `--config=${ROOT}deno.json`],
  ...stdFlags(),
];
// In the namespace nothing can be downloaded.
await run([...deno("cache"), "main.ts", CASES]);
const home = await Deno.makeTempDir({ prefix: "agents-home-" });
let code = 1;
try {
  code = await run(
    [
      ...inLoopback(),
      ...deno("test"),
      ...["--no-check", "--cached-only", "-A", ...flags, CASES],
    ],
    {
      clearEnv: true,
      env: {
        PATH: await pathInside(),
        HOME: home,
        DENO_DIR: await denoFolder(),
        NO_COLOR: "1",
        AGENTS_INSTALLED: JSON.stringify(installed),
      },
    },
  );
} finally {
  await Deno.remove(home, { recursive: true });
}
Deno.exit(code);

/** What is theirs runs in a namespace, or not at all. */
async function assertCanIsolate(): Promise<void> {
  let why = "it needs Linux, and the programs unshare and ip";
  try {
    const [program = "", ...words] = inLoopback();
    const args = [...words, "true"];
    const { success, stderr } = await new Deno.Command(program, { args })
      .output();
    if (success) return;
    why = new TextDecoder().decode(stderr).trim();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  console.error(`Cannot run the agents without a network: ${why}`);
  Deno.exit(1);
}

async function run(
  [program = "", ...args]: readonly string[],
  options: Deno.CommandOptions = {},
): Promise<number> {
  const command = new Deno.Command(program, { args, cwd: ROOT, ...options });
  return (await command.spawn().status).code;
}

/** Where Deno keeps what it has downloaded. */
async function denoFolder(): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json"],
  }).output();
  return JSON.parse(new TextDecoder().decode(stdout)).denoDir;
}
