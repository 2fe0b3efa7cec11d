/**
 * Pages of a run's log, made of the texts that a store keeps.
 *
 * A row is a piece: lines of one run, one after the other, that say which lines of
 * it they are. So what is missing between two pieces tells itself, whoever left it
 * out.
 *
 * @module
 */

import { UsageError } from "../base/errors.ts";
import { countOf } from "../base/figures.ts";
import { linesOf } from "../task/run_log.ts";
import { isFinal, type TaskState } from "../task/task.ts";
import type { LogEntry, LogPage, LogsOptions } from "./contract.ts";

/** The most text of one page, in characters; a piece more where it is reached. */
export const PAGE_CHARACTERS = 1024 ** 2;

/** What a store knows of the logs of a task. */
export interface LogFacts {
  /** In their order. */
  readonly attempts: readonly number[];
  /** Null where there is no such task. */
  readonly state: TaskState | null;
  readonly attempt: number | null;
}

/** A row of a log. */
export interface LogRow {
  readonly id: number;
  readonly lease: string;
  readonly firstLine: number;
  readonly text: string;
  readonly at: Date;
}

/** Where a page begins. */
export interface LogPlace {
  readonly attempt: number;
  /** The first row, */
  readonly id: number;
  /** and how many of its lines were read before. */
  readonly skip: number;
  /** The run of the last line, as much of it as tells it from others, */
  readonly run: string;
  /** and the number of the one after it. */
  readonly line: number;
}

const PLACE =
  /^(?<attempt>\d{1,9})-(?<id>\d{1,15})-(?<skip>\d{1,9})-(?<run>[0-9a-f]{8})?-(?<line>\d{1,15})$/;

/**
 * Where the page begins that is asked for; undefined where there is no log.
 *
 * @throws {UsageError} where `after` is no place.
 */
export function placeOf(
  { attempt, after }: LogsOptions,
  { attempts }: LogFacts,
): LogPlace | undefined {
  if (after !== undefined) return placeFrom(after);
  const chosen = attempt ?? attempts.at(-1);
  return chosen !== undefined && attempts.includes(chosen)
    ? { attempt: chosen, id: 0, skip: 0, run: "", line: 0 }
    : undefined;
}

function placeFrom(text: string): LogPlace {
  const groups = PLACE.exec(text)?.groups;
  if (!groups) throw new UsageError(`"${text}" is no place in a log.`);
  const { attempt, id, skip, run = "", line } = groups;
  return {
    attempt: Number(attempt),
    id: Number(id),
    skip: Number(skip),
    run,
    line: Number(line),
  };
}

function textOf({ attempt, id, skip, run, line }: LogPlace): string {
  return [attempt, id, skip, run, line].join("-");
}

/** A page without a line. */
export function emptyPage(
  { attempt }: LogsOptions,
  facts: LogFacts,
): LogPage {
  return pageWith({
    place: undefined,
    attempt: attempt ?? null,
    entries: [],
    hasMore: false,
    facts,
  });
}

/** The page that begins at a place, of the rows that were found from there on. */
export function pageOf(
  rows: readonly LogRow[],
  { place, facts, limit }: {
    readonly place: LogPlace;
    readonly facts: LogFacts;
    readonly limit: number;
  },
): LogPage {
  const entries: LogEntry[] = [];
  const isFirst = place.run === "";
  const ends = new Map([[place.run, place.line]]);
  let [at, lines, characters] = [place, 0, 0];
  for (const { id, lease, firstLine, text, at: begin } of rows) {
    if (lines >= limit) break;
    const all = linesOf(text, begin);
    const skip = id === place.id ? place.skip : 0;
    const run = lease.slice(0, 8);
    const from = firstLine + skip;
    // Of a run that begins on an earlier page, nobody knows what was read.
    const expected = ends.get(run) ?? (isFirst ? 0 : from);
    const some = all.slice(skip, skip + limit - lines);
    const [first] = some;
    if (first && from > expected) {
      const text = `${countOf(from - expected, "line")} left out`;
      entries.push({ at: first.at, kind: "omitted", text });
    }
    for (const line of some) entries.push(line);
    lines += some.length;
    characters += text.length;
    const read = skip + some.length;
    const line = firstLine + read;
    ends.set(run, line);
    at = read < all.length
      ? { attempt: place.attempt, id, skip: read, run, line }
      : { attempt: place.attempt, id: id + 1, skip: 0, run, line };
  }
  const hasMore = lines >= limit || characters >= PAGE_CHARACTERS;
  return pageWith({
    place: at,
    attempt: place.attempt,
    entries,
    hasMore,
    facts,
  });
}

function pageWith(
  { place, attempt, entries, hasMore, facts }: {
    readonly place: LogPlace | undefined;
    readonly attempt: number | null;
    readonly entries: readonly LogEntry[];
    readonly hasMore: boolean;
    readonly facts: LogFacts;
  },
): LogPage {
  const { attempts, state } = facts;
  const hasEnded = state === null || isFinal(state);
  const isLater = attempt !== null && (facts.attempt ?? 0) > attempt;
  return {
    attempt,
    attempts,
    entries,
    next: place && textOf(place),
    hasMore,
    isOver: hasEnded || isLater,
    hasEnded,
  };
}
