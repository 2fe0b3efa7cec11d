/**
 * What transitions make of rows: worked out here, written by each store.
 *
 * @module
 */

import { isFinal, type TaskEventKind, type Transition } from "../task/task.ts";
import { apply, type TaskRow } from "../task/transitions.ts";

/** A row of a task's history that is to be written. */
export interface WrittenEvent {
  readonly id: string;
  readonly kind: TaskEventKind;
  readonly attempt: number;
  /** @default {null} */
  readonly runner?: string | null;
  /** @default {null} */
  readonly detail?: string | null;
  /** The JSON of what was printed. @default {null} */
  readonly printed?: string | null;
  /** The JSON of what was used. @default {null} */
  readonly usage?: string | null;
}

/** A row as it was read, and as it is to be. */
export interface Change<Row> {
  readonly id: string;
  readonly before: Row;
  after: Row;
  /** How many events it has. */
  events: number;
}

/** A task that has ended just now. */
export interface EndedRow {
  readonly id: string;
  /** Undefined where it was not read. */
  readonly batch?: string | null | undefined;
}

/** Rows as they were read, and what transitions make of them. */
export class Changes<Row extends TaskRow> {
  readonly #rows: ReadonlyMap<string, Row>;
  readonly #changes = new Map<string, Change<Row>>();
  readonly #at: Date;
  /** In order, so that no round has two of one task. */
  readonly #rounds: Transition[][] = [];
  /** What was applied last: the begin and the end of a run. */
  #last: readonly {
    readonly before: Row;
    readonly transition: Transition;
    readonly after: Row | undefined;
  }[] = [];

  constructor(rows: ReadonlyMap<string, Row>, at: Date) {
    this.#rows = rows;
    this.#at = at;
  }

  /** A row as it is now. */
  get(id: string): Row | undefined {
    return this.#changes.get(id)?.after ?? this.#rows.get(id);
  }

  apply(transition: Transition): "written" | "lost" {
    const { taskId: id } = transition.lease;
    const change = this.#changes.get(id);
    const before = change?.after ?? this.#rows.get(id);
    const after = before && this.#after(before, transition);
    if (!after) return "lost";
    const round = change?.events ?? 0;
    (this.#rounds[round] ??= []).push(transition);
    if (change) {
      change.after = after;
      change.events++;
    } else this.#changes.set(id, { id, before, after, events: 1 });
    return "written";
  }

  /** A busy runner's outcomes are mostly alike, and so are their rows. */
  #after(before: Row, transition: Transition): Row | undefined {
    for (const last of this.#last) {
      const isSame = last.before === before &&
        isAlike(last.transition, transition);
      if (isSame) return last.after;
    }
    const after = apply(before, transition, this.#at);
    this.#last = [{ before, transition, after }, ...this.#last.slice(0, 1)];
    return after;
  }

  /** What differs from what was read. */
  get rows(): readonly Change<Row>[] {
    return [...this.#changes.values()];
  }

  /** Those that end by it, in their order. */
  get ended(): readonly EndedRow[] {
    return this.rows
      .filter(({ before, after }) =>
        isFinal(after.state) && !isFinal(before.state)
      )
      .map(({ id, after: { batch } }) => ({ id, batch }));
  }

  /** What touched files is in nobody's hand any more. */
  get hasLetGo(): boolean {
    return this.rows.some(({ before, after }) =>
      before.hasTouches && before.leaseId !== null && after.leaseId === null
    );
  }

  /** The history of it, in rounds of which none has two events of one task. */
  get events(): readonly (readonly WrittenEvent[])[] {
    return this.#rounds.map((round) => round.map(eventOf));
  }
}

/** Whether they make the same of the same row. */
function isAlike(one: Transition, other: Transition): boolean {
  return one.event === other.event && one.patch === other.patch &&
    one.from === other.from && one.lease.id === other.lease.id &&
    one.delayMs === other.delayMs && one.note === other.note;
}

function eventOf(
  { lease, event: kind, detail, printed, usage }: Transition,
): WrittenEvent {
  const { taskId: id, owner, attempt } = lease;
  return {
    id,
    kind,
    attempt,
    runner: owner || null,
    detail,
    printed: printed ? JSON.stringify(printed) : null,
    usage: usage ? JSON.stringify(usage) : null,
  };
}
