/**
 * How much room tasks' folders take, and how much they may.
 *
 * @module
 */

import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { countOf, formatBytes } from "../base/figures.ts";
import type { Log } from "../base/log.ts";
import type { WorkspaceConfig } from "./config.ts";
import { unbegun } from "./error.ts";
import { foldersIn, isThere, readRecord } from "./record.ts";

/** Of a disk with less than this left, or less than a twentieth, it is said. */
const LITTLE_BYTES = 1e9;
const LITTLE_PART = 0.05;

/**
 * Says where the disk is nearly full.
 *
 * @throws {WorkspaceError} where there is no room for one more.
 */
export async function assertRoom(
  folder: string,
  config: WorkspaceConfig,
  log: Log,
): Promise<void> {
  const { bavail, blocks, bsize } = await statfs(folder);
  const [free, all] = [bavail * bsize, blocks * bsize];
  if (free < Math.min(LITTLE_BYTES, all / 2) || free < all * LITTLE_PART) {
    log.warning(
      `Only ${formatBytes(free)} are free for tasks' folders in ${folder}. ` +
        "What is merged goes with: agent-runner workspaces --remove",
      { event: "disk_nearly_full", path: folder, free_bytes: free },
    );
  }
  if (!isLimited(config)) return;
  const { maxWorkspaces = Infinity, maxBytes = Infinity } = config;
  const folders = await takenIn(folder);
  if (folders.length >= maxWorkspaces) {
    throw noRoom(`it has ${countOf(folders.length, "folder")}`, folder);
  }
  if (maxBytes === Infinity) return;
  let bytes = 0;
  for (const path of folders) bytes += await sizeOf(path);
  if (bytes >= maxBytes) {
    throw noRoom(`it has ${formatBytes(bytes)}`, folder);
  }
}

/** Whether there may not be room for one more. */
export function isLimited(
  { maxWorkspaces, maxBytes }: WorkspaceConfig,
): boolean {
  return maxWorkspaces !== undefined || maxBytes !== undefined;
}

/** Those that are there, or are just being made. */
async function takenIn(folder: string): Promise<string[]> {
  const taken: string[] = [];
  for (const path of await foldersIn(folder)) {
    const isGone = !await isThere(path) && (await readRecord(path))?.isMade;
    if (!isGone) taken.push(path);
  }
  return taken;
}

function noRoom(why: string, folder: string) {
  return unbegun(
    `Cannot make one more folder in ${folder}: ${why}, and is to have no more. ` +
      "Remove what is merged: agent-runner workspaces --remove",
  );
}

/** What a folder's files have together, in bytes. */
export async function sizeOf(folder: string): Promise<number> {
  let bytes = 0;
  try {
    for await (const { name, isDirectory } of Deno.readDir(folder)) {
      const path = join(folder, name);
      bytes += isDirectory ? await sizeOf(path) : (await Deno.lstat(path)).size;
    }
  } catch (error) {
    // Somebody is at work there.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return bytes;
}
