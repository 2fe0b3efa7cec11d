/**
 * A network namespace that has only loopback: nothing of what runs in it leaves the
 * machine.
 *
 * @module
 */

/** A public address of each family; in the namespace there is no way to either. */
const OUTSIDE = ["1.1.1.1", "2606:4700:4700::1111"];
/** There, a connection fails without waiting for anybody. */
const AT_ONCE_MS = 2_000;

/** The words before a program's that run it in such a namespace. */
export function inLoopback(): string[] {
  return [
    ...["unshare", Deno.uid() === 0 ? "-n" : "-rn", "--"],
    ...["sh", "-c", 'ip link set lo up && exec "$@"', "sh"],
  ];
}

/**
 * @throws {Error} where this process is not in such a namespace, or there is a way
 * out of it all the same.
 */
export async function assertNoWayOut(): Promise<void> {
  const text = await Deno.readTextFile("/proc/self/net/dev");
  const devices = text.trim().split("\n").slice(2)
    .map((line) => line.split(":")[0]!.trim());
  if (devices.join() !== "lo") {
    throw refusal(`it has the network devices ${devices.join(", ")}`);
  }
  for (const hostname of OUTSIDE) {
    const startedAt = performance.now();
    let isOpen = false;
    try {
      (await Deno.connect({ hostname, port: 443 })).close();
      isOpen = true;
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      // As it must be.
    }
    if (isOpen) throw refusal(`${hostname} can be reached`);
    if (performance.now() - startedAt > AT_ONCE_MS) {
      throw refusal(`${hostname} is waited for`);
    }
  }
}

function refusal(why: string): Error {
  return new Error(
    `Cannot run the agents here: ${why}. Run: deno task test:agents`,
  );
}

/** The processes of this namespace that are there, with their command lines. */
export async function processesHere(): Promise<Map<number, string>> {
  const here = await Deno.readLink("/proc/self/ns/net");
  const found = new Map<number, string>();
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (await Deno.readLink(`/proc/${name}/ns/net`) !== here) continue;
      const words = await Deno.readTextFile(`/proc/${name}/cmdline`);
      found.set(Number(name), words.replaceAll("\0", " ").slice(0, 200));
    } catch {
      // It has ended, or is another user's.
    }
  }
  return found;
}
