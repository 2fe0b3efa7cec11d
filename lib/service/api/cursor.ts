/**
 * A place in the list of tasks as a text for callers.
 *
 * @module
 */

import type { PageCursor } from "../../store/feed.ts";

const CURSOR = /^(-?\d{1,16})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** The text of a place. */
export function formatCursor({ createdAtUs, id }: PageCursor): string {
  return btoa(`${createdAtUs}.${id}`).replaceAll("=", "");
}

/** Reads what {@linkcode formatCursor} wrote; undefined where it is not that. */
export function parseCursor(text: string): PageCursor | undefined {
  try {
    const [, createdAtUs, id] = CURSOR.exec(atob(text)) ?? [];
    return id === undefined
      ? undefined
      : { createdAtUs: Number(createdAtUs), id };
  } catch {
    return undefined; // Not Base64.
  }
}
