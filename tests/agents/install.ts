/**
 * Installs the agents' CLIs from npm, once, each into a folder of its own.
 *
 * @module
 */

import { join } from "node:path";
import { type Cli, versionOf } from "./clis.ts";
import { inLoopback } from "./loopback.ts";

const INSTALL_MS = 600_000;
/** Of why it failed, which npm says first. */
const LINES_SHOWN = 4;

/** Where a CLI is, or why it is not there. */
export type Installed =
  /** The folder of its program. */
  | { readonly bin: string }
  | { readonly problem: string };

/** Where they are kept. */
export function cacheFolder(): string {
  const { AGENTS_CACHE, XDG_CACHE_HOME, HOME = "/tmp" } = Deno.env.toObject();
  return AGENTS_CACHE ||
    join(XDG_CACHE_HOME || join(HOME, ".cache"), "agent-runner-test-agents");
}

/** Installs one, where it is not there yet. */
export async function install(cli: Cli): Promise<Installed> {
  const folder = join(cacheFolder(), `${cli.name}-${versionOf(cli)}`);
  const bin = join(folder, "node_modules", ".bin");
  const done = join(folder, "installed");
  if (await exists(done)) return { bin };
  const wanted = `${cli.package}@${versionOf(cli)}`;
  console.log(`Installs ${wanted}`);
  try {
    await Deno.mkdir(folder, { recursive: true });
    // What is theirs does not run but in the namespace, these scripts neither.
    await run("npm", {
      args: ["install", "--ignore-scripts", "--no-audit", "--no-fund"]
        .concat("--prefix", folder, wanted),
      cwd: folder,
    });
    if (cli.finish) await finish(cli, folder);
    await Deno.writeTextFile(done, "");
    return { bin };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { problem: `${wanted} can't be installed: ${why}` };
  }
}

async function finish(cli: Cli, folder: string): Promise<void> {
  const home = await Deno.makeTempDir();
  const [program = "", ...words] = inLoopback();
  try {
    await run(program, {
      args: [...words, "node", `./${cli.finish}`],
      cwd: join(folder, "node_modules", cli.package),
      clearEnv: true,
      env: { PATH: await pathInside(), HOME: home },
    });
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

/** The PATH of what runs in the namespace: node's folder and the system's. */
export async function pathInside(): Promise<string> {
  const node = await run("sh", { args: ["-c", "command -v node"] });
  const system = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
  return `${node.trim().replace(/\/node$/, "")}:${system}`;
}

/** @returns what it printed. @throws {Error} with that where it fails. */
async function run(
  program: string,
  options: Deno.CommandOptions,
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    ...options,
    stdin: "null",
    signal: AbortSignal.timeout(INSTALL_MS),
  }).output();
  const [out, err] = [stdout, stderr].map((it) => new TextDecoder().decode(it));
  if (success) return out!;
  const lines = err!.trim().split("\n").slice(0, LINES_SHOWN);
  throw new Error(lines.map((it) => it.replace(/^npm error /, "")).join(", "));
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false; // Not yet.
  }
}
