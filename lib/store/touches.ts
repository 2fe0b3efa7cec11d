/**
 * Tasks that may change the same files do not run at the same time: which those are.
 * The same in every store, which tells what there is.
 *
 * A store tells what a task touches as one text: its repository, a line break, and its
 * globs as JSON. Few such texts differ, though many tasks have them.
 *
 * @module
 */

import { canMeet, type Glob, parseGlob } from "../task/globs.ts";
import { parseJson } from "../task/trace.ts";
import type { HoldReason } from "./contract.ts";
import type { Holds } from "./limits.ts";

/** A task, and what it touches. */
export interface TouchedRow {
  readonly id: string;
  /** Null where it says nothing. */
  readonly touch: string | null;
}

interface Touching {
  /** Empty where nobody knows it: then it may be any. */
  readonly repository: string;
  readonly globs: readonly { readonly text: string; readonly glob: Glob }[];
}

function touchingOf(touch: string): Touching {
  const end = touch.indexOf("\n");
  // Another program may have put anything there.
  const list = parseJson(touch.slice(end + 1));
  const texts = Array.isArray(list) ? list.map(String) : [];
  return {
    repository: touch.slice(0, end),
    globs: texts.map((text) => ({ text, glob: parseGlob(text) })),
  };
}

function isSameRepository(one: Touching, other: Touching): boolean {
  return one.repository === "" || other.repository === "" ||
    one.repository === other.repository;
}

/** The tasks with globs that are in hand. */
export class Touched {
  readonly #tasks: (Touching & { readonly id: string })[];

  constructor(inHand: readonly TouchedRow[]) {
    this.#tasks = inHand.flatMap(({ id, touch }) =>
      touch === null ? [] : [{ id, ...touchingOf(touch) }]
    );
  }

  get isEmpty(): boolean {
    return this.#tasks.length === 0;
  }

  /** What holds back a task that touches this: the first that is in its way. */
  #reasonFor(wanted: Touching): HoldReason | undefined {
    for (const task of this.#tasks) {
      if (!isSameRepository(task, wanted)) continue;
      const met = task.globs.find(({ glob }) =>
        wanted.globs.some((it) => canMeet(glob, it.glob))
      );
      if (met) return { kind: "touches", id: task.id, glob: met.text };
    }
    return undefined;
  }

  /** What holds back those of these that are held back. */
  holds(touches: readonly string[]): Holds {
    const byKey = touches.flatMap((touch) => {
      const reason = this.#reasonFor(touchingOf(touch));
      return reason ? [[touch, reason] as const] : [];
    });
    return { all: undefined, byKey: new Map(byKey) };
  }

  /**
   * Those that may run beside what is in hand and beside each other, of which the
   * first win; they are in hand then.
   */
  take<T>(candidates: readonly T[], rowOf: (it: T) => TouchedRow): T[] {
    return candidates.filter((candidate) => {
      const { id, touch } = rowOf(candidate);
      if (touch === null) return true;
      const touching = touchingOf(touch);
      if (this.#reasonFor(touching)) return false;
      this.#tasks.push({ id, ...touching });
      return true;
    });
  }
}
