/**
 * Looks at other processes: a process of its own, because Deno lets nobody read
 * `/proc` without all permissions.
 *
 * Each line of stdin is `<pid> follow` or `<pid> now`; each answer is a line of
 * JSON. `follow` answers when the process has ended.
 */

import { linesOf } from "./child.ts";
import type { Usage } from "./usage.ts";

/** What is lost of a process's CPU time at most; VmHWM is a high-water mark. */
const LOOK_MS = 20;
/** The unit of utime and stime, the same on every Linux that Deno runs on. */
const TICK_MS = 10;

function usageOf(pid: string): Usage | undefined {
  try {
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    const [, kilobytes] = /^VmHWM:\s+(\d+) kB/m.exec(status) ?? [];
    if (kilobytes === undefined) return undefined; // It has ended.
    // The name, in parentheses, may hold blanks.
    const [, fields = ""] = Deno.readTextFileSync(`/proc/${pid}/stat`)
      .split(/\) (?!.*\) )/);
    const [utime, stime] = fields.split(" ").slice(11, 13);
    return {
      peakMb: Number(kilobytes) / 1024,
      cpuMs: (Number(utime) + Number(stime)) * TICK_MS,
    };
  } catch {
    return undefined;
  }
}

async function follow(pid: string): Promise<Usage | undefined> {
  let last: Usage | undefined;
  for (let now = usageOf(pid); now; now = usageOf(pid)) {
    last = now;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  return last;
}

for await (const line of linesOf(Deno.stdin.readable)) {
  const [pid = "", what] = line.split(" ");
  Promise.resolve(what === "follow" ? follow(pid) : usageOf(pid)).then(
    (usage) => console.log(JSON.stringify({ line, usage })),
  );
}
