/**
 * A file that is exported, as bytes.
 *
 * @module
 */

import { DatabaseError, messageOf } from "../base/errors.ts";
import type { Exported } from "./contract.ts";

/** Where it is not so, a file is gone only when it was read. */
const LOSES_ITS_NAME_OPEN = Deno.build.os !== "windows";

/**
 * Has `write` fill a temporary file, which only its owner may read, and gives the
 * file's content. The file is gone after it.
 *
 * @param write returns how many rows it has written
 */
export async function exportedBy(
  write: (path: string) => Promise<number>,
): Promise<Exported> {
  const path = await makeFile();
  let exported: Exported | undefined;
  try {
    const rows = await write(path);
    const { size: bytes } = await Deno.stat(path);
    const { readable } = await Deno.open(path);
    const body = LOSES_ITS_NAME_OPEN ? readable : endingIn(readable, path);
    return exported = { rows, bytes, body };
  } finally {
    if (LOSES_ITS_NAME_OPEN || !exported) await Deno.remove(path);
  }
}

/** Makes a temporary file, which only its owner may read. */
export async function makeFile(): Promise<string> {
  try {
    return await Deno.makeTempFile({ prefix: "agent-runner-export-" });
  } catch (error) {
    throw new DatabaseError(
      `Cannot export: no temporary file can be made: ${messageOf(error)}. ` +
        "Set TMPDIR to a folder that can be written.",
      { cause: error },
    );
  }
}

function endingIn(body: Exported["body"], path: string): Exported["body"] {
  const end = () => Deno.remove(path);
  return body.pipeThrough(new TransformStream({ flush: end, cancel: end }));
}
