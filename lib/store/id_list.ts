/**
 * Very many ids.
 *
 * @module
 */

/** How long the text of a UUID is. */
const ID_LENGTH = 36;

/** A task that was there already: as it was, or changed into the new one. */
export type KeyResult = "existing" | "replaced";

/** UUIDs in their order, in half the memory of a list, beside JavaScript's heap. */
export class IdList {
  /** Those whose tasks were there already, by their place in the list, from 0. */
  readonly known = new Map<number, KeyResult>();
  readonly #sets: Uint8Array[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /**
   * Adds ids at the end.
   *
   * @param known which of them were there already, by their place among them
   */
  add(
    ids: readonly string[],
    known: Iterable<readonly [number, KeyResult]> = [],
  ): void {
    for (const [place, result] of known) {
      this.known.set(this.#length + place, result);
    }
    this.#sets.push(new TextEncoder().encode(ids.join("")));
    this.#length += ids.length;
  }

  /** The ids in the sets that were added. */
  *sets(): Generator<string[]> {
    for (const set of this.#sets) {
      const text = new TextDecoder().decode(set);
      yield Array.from(
        { length: text.length / ID_LENGTH },
        (_, index) => text.slice(index * ID_LENGTH, (index + 1) * ID_LENGTH),
      );
    }
  }
}
