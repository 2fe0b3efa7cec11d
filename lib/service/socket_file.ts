/**
 * A Unix socket at a path: for its owner alone from its first moment on, never
 * in the place of one that lives, and gone with its server.
 *
 * @module
 */

import type { Server } from "node:net";
import { dirname } from "node:path";

/** Has a server listen there. Dispose of what it returns when it has ended. */
export async function listenAtPath(
  server: Server,
  path: string,
): Promise<Disposable> {
  await assertFree(path);
  // Nobody else can look into this folder, and renaming replaces a stale socket.
  const folder = Deno.makeTempDirSync({ dir: dirname(path), prefix: "." });
  try {
    const made = `${folder}/s`;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject);
    server.listen(made, resolve);
    await promise;
    server.off("error", reject);
    const { mode, ino } = Deno.statSync(made);
    Deno.chmodSync(made, (mode ?? 0) & 0o600);
    Deno.renameSync(made, path);
    return {
      [Symbol.dispose]() {
        if (lookAt(path)?.ino === ino) Deno.removeSync(path);
      },
    };
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

async function assertFree(path: string): Promise<void> {
  const found = lookAt(path);
  if (found && !found.isSocket) {
    throw new Deno.errors.AlreadyExists("there is a file that is no socket");
  }
  try {
    if (found) (await Deno.connect({ transport: "unix", path })).close();
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return;
    throw error;
  }
  if (found) throw new Deno.errors.AddrInUse("another program listens there");
}

function lookAt(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
