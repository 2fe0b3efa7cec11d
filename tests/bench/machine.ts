/**
 * What the numbers depend on.
 *
 * @module
 */

import { version } from "duckdb";
import { outputOf } from "./child.ts";
import { medianOf } from "./measurement.ts";

/** Facts about this machine, by name. */
export async function machineFacts(
  folder: string,
): Promise<Record<string, string>> {
  return {
    cores: String(navigator.hardwareConcurrency),
    processor: await factOf(["sed", "-n", "s/^model name.*: //p;T;q"], [
      "/proc/cpuinfo",
    ]),
    system: await factOf(["uname", "-srm"]),
    deno: Deno.version.deno,
    duckdb: version(),
    commit: await factOf(["git", "describe", "--always", "--dirty"]),
    "file system": await factOf(["stat", "-f", "-c", "%T"], [folder]),
    // Where this is next to nothing, durability costs nothing either.
    fsync: `${fsyncMs(folder).toFixed(2)} ms`,
    load: await factOf(["cat", "/proc/loadavg"]),
  };
}

async function factOf(
  command: readonly string[],
  args: readonly string[] = [],
): Promise<string> {
  try {
    const cwd = new URL("./", import.meta.url);
    const output = await outputOf([...command, ...args], { cwd });
    return output.split("\n")[0]?.trim() || "unknown";
  } catch {
    return "unknown";
  }
}

function fsyncMs(folder: string): number {
  const path = `${folder}/fsync`;
  using file = Deno.openSync(path, { write: true, create: true });
  const samples = Array.from({ length: 30 }, () => {
    file.writeSync(new Uint8Array(4096));
    const startedAt = performance.now();
    file.syncSync();
    return performance.now() - startedAt;
  });
  Deno.removeSync(path);
  return medianOf(samples);
}
