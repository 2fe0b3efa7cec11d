/**
 * Where a page of tasks ended.
 *
 * @module
 */

import { UsageError } from "../base/errors.ts";

/** The last task of a page: when it was created, in µs since 1970, and its id. */
export interface Place {
  readonly us: number;
  readonly id: string;
}

/** The text of a place. */
export function formatPlace({ us, id }: Place): string {
  return btoa(`${us}.${id}`).replaceAll("=", "");
}

const PLACE = /^(-?\d{1,16})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/**
 * Reads a place.
 *
 * @throws {UsageError} where it is none.
 */
export function parsePlace(text: string): Place {
  let plain = "";
  try {
    plain = atob(text);
  } catch {
    // Not Base64, and so no place either.
  }
  const [, us, id] = PLACE.exec(plain) ?? [];
  if (us === undefined || id === undefined) {
    throw new UsageError(
      `Cannot read the page after "${text}": that is no place in the list. ` +
        "Give what the page before it named as the next.",
    );
  }
  return { us: Number(us), id };
}
