/**
 * Locks of files, among all runners of a machine. Each ends with its process, however
 * that ends.
 *
 * @module
 */

import { dirname } from "node:path";
import { systemClock } from "../base/clock.ts";

/** Undefined where somebody else has it. Who has it may remove its file. */
export async function tryLock(path: string): Promise<Disposable | undefined> {
  await Deno.mkdir(dirname(path), { recursive: true, mode: 0o700 });
  for (;;) {
    const options = { create: true, write: true, mode: 0o600 };
    const file = await Deno.open(path, options);
    let isOurs = false;
    try {
      if (!await file.tryLock(true)) return undefined;
      isOurs = await isAt(path, file);
      if (isOurs) return file;
    } finally {
      if (!isOurs) file.close();
    }
  }
}

const TRY_AGAIN_MS = 100;

/**
 * Waits until nobody else has it.
 *
 * @throws the reason of the signal, where it aborts before.
 */
export async function lock(
  path: string,
  signal?: AbortSignal,
): Promise<Disposable> {
  for (;;) {
    signal?.throwIfAborted();
    const taken = await tryLock(path);
    if (taken) return taken;
    await systemClock.sleep(TRY_AGAIN_MS, signal);
  }
}

/** Not where it was removed before it was locked. */
async function isAt(path: string, file: Deno.FsFile): Promise<boolean> {
  try {
    return (await Deno.stat(path)).ino === (await file.stat()).ino;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
