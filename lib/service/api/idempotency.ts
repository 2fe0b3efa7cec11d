/**
 * Creating a task once, however often that is asked for with one key: the key
 * decides the task's id, and the trace has a digest of what was asked for. So
 * nothing else is kept, and it holds for as long as the task is there.
 *
 * @module
 */

import { generate as uuidV5 } from "@std/uuid/v5";
import type { JsonValue, NewTask } from "../../task/task.ts";
import { stringifyJson } from "../../task/trace.ts";

/** Where the trace has the digest. */
export const DIGEST_KEY = "request_digest";

/** Of this project alone: ids of other makers can't be met. */
const NAMESPACE = "c8f1f0a2-6d0e-5f5b-9d39-6a0b1a4b5c7e";

/** The SHA-256 of a request's body, in hexadecimal digits. */
export async function digestOf(body: JsonValue): Promise<string> {
  const bytes = new TextEncoder().encode(stringifyJson(body));
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return hash.toHex();
}

/** Gives tasks the ids that a key stands for; one that has an id keeps it. */
export async function withKey(
  tasks: readonly NewTask[],
  { key, digest }: { readonly key: string; readonly digest: string },
): Promise<NewTask[]> {
  return await Promise.all(tasks.map(async (task, index): Promise<NewTask> => {
    const name = `${task.userId}\n${index}\n${key}`;
    return {
      ...task,
      id: task.id ?? await uuidV5(NAMESPACE, new TextEncoder().encode(name)),
      trace: { ...task.trace, [DIGEST_KEY]: digest },
    };
  }));
}
