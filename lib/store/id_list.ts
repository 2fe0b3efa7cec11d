/**
 * Very many ids.
 *
 * @module
 */

/** How long the text of a UUID is. */
const ID_LENGTH = 36;

/** UUIDs in their order, in half the memory of a list, beside JavaScript's heap. */
export class IdList {
  readonly #sets: Uint8Array[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Adds ids at the end. */
  add(ids: readonly string[]): void {
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
