/**
 * One merge at a time into a branch of a repository, of all runners of a machine.
 *
 * @module
 */

import { join } from "node:path";

/**
 * Waits until nobody else merges there. The lock is the file's, so it ends with the
 * process, however that ends.
 *
 * @param key of the repository and the branch
 * @throws the reason of the signal, where it aborts before.
 */
export async function lockMerges(
  key: string,
  { folder, signal }: {
    readonly folder: string;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<Disposable> {
  signal?.throwIfAborted();
  await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  const file = await Deno.open(join(folder, `${key}.lock`), {
    create: true,
    write: true,
    mode: 0o600,
  });
  const stopped = Promise.withResolvers<never>();
  const stop = () => stopped.reject(signal?.reason);
  signal?.addEventListener("abort", stop);
  try {
    await Promise.race([file.lock(true), stopped.promise]);
    return file;
  } catch (error) {
    // Where it gets the lock yet, that is given back at once.
    file.close();
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}
