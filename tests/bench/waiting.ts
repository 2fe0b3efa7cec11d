/**
 * Waiting for a process to get somewhere.
 *
 * @module
 */

import type { Process } from "./process.ts";

const PATIENCE_MS = 30_000;

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits until a text is in the log. */
export async function untilLogged(
  process: Process,
  text: string,
): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!process.log.includes(text)) {
    if (performance.now() > deadline) {
      throw new Error(`Waited too long for "${text}" in:\n${process.log}`);
    }
    await sleep(20);
  }
}
