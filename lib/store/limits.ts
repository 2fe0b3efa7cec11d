/**
 * Which tasks of a provider with limits may begin: keys that are in hand, rates, and
 * whose turn it is. The same in every store, which tells what there is.
 *
 * @module
 */

import type { KeyField, TaskLimits } from "../task/limits.ts";
import { isLimited } from "../task/limits.ts";
import type { ClaimedTask } from "../task/task.ts";
import { type HeldCount, type HoldReason, OTHERS } from "./contract.ts";
import { fullProviders, groupOf, type Room } from "./decisions.ts";

/** A task that could be claimed but for the limits. */
export interface Sampled {
  readonly id: string;
  /** Empty where it has none. */
  readonly limitKey: string;
  /** Empty where none are taken. */
  readonly turn: string;
  readonly priority: number;
  readonly createdMs: number;
  readonly seq: number;
}

/** What is known of a provider when its tasks are chosen. */
export interface LimitFacts {
  /** Tasks in hand, of all runners. */
  readonly inHand: readonly {
    readonly limitKey: string;
    readonly turn: string;
    readonly count: number;
  }[];
  /** Starts that still count; of all keys together under "". */
  readonly starts: readonly {
    readonly limitKey: string;
    readonly count: number;
    /** When the first of them counts no more. */
    readonly untilMs: number;
  }[];
  /** When each had its last turn. */
  readonly turns: readonly { readonly turn: string; readonly lastMs: number }[];
}

/** What holds tasks of a group back, as things are. */
export interface Holds {
  /** All of them, whatever their key. */
  readonly all: HoldReason | undefined;
  readonly byKey: ReadonlyMap<string, HoldReason>;
}

/** Says what holds back tasks of a group. */
export function holdsOf(
  options: Omit<ChoiceOptions, "limit">,
): Holds {
  const { limits: { rate, keyConcurrency: most = 1 }, facts } = options;
  const rates = new Rates(options);
  const ofRate = (key: string): readonly [string, HoldReason][] => {
    const nextMs = rates.nextMs(key);
    if (!rate || nextMs === undefined) return [];
    return [[key, { kind: "rate", key, rate, nextAt: new Date(nextMs) }]];
  };
  const counts = countsBy(facts, "limitKey");
  return {
    all: rates.isStopped ? ofRate("")[0]?.[1] : undefined,
    byKey: new Map([
      ...rates.fullKeys.flatMap(ofRate),
      ...fullKeys(options).map((key) => {
        const inHand = counts.get(key) ?? 0;
        return [key, { kind: "key", key, inHand, most }] as const;
      }),
    ]),
  };
}

/** Nothing is known, and nothing is in the way. */
export const NO_FACTS: LimitFacts = { inHand: [], starts: [], turns: [] };

/** Of whom a turn is remembered for so long: later, all are as if they never had one. */
export const TURN_MS = 86_400_000;

/** The most that is looked at in one query. */
const SAMPLE = 1_000;
/** Beside those that are wanted, for keys of which some tasks are in hand. */
const SPARE = 50;
/** Queries of one claim: what they miss, the next one finds. */
const MOST_SAMPLES = 4;

/** Which rows to look at. */
export interface SampleRequest {
  /** Tasks with these keys are left out. */
  readonly withoutKeys: readonly string[];
  /** And those whose turn is one of these. */
  readonly withoutTurns: readonly string[];
  /** How many at most, */
  readonly count: number;
  /** of the first so many that wait; undefined: of all that do. */
  readonly among: number | undefined;
  /** Of each key of each turn, */
  readonly perKey: number;
  /** and of each turn's tasks without a key. */
  readonly perTurn: number;
}

/** What was looked at. */
export interface Sample {
  /** In the order to run them; where turns are taken, priorities first and then the first of each. */
  readonly rows: readonly Sampled[];
  /** How many waited, of which these were taken. */
  readonly scanned: number;
}

/** Looks at tasks that could be claimed. */
export type TakeSample = (request: SampleRequest) => Promise<Sample>;

/** What is to begin. */
export interface Choice {
  /** In the order to begin them. */
  readonly chosen: readonly Sampled[];
  /** The place of each among other providers' tasks: as if none took turns. */
  readonly places: readonly Sampled[];
  /** When the next may begin that a rate holds back, in milliseconds since 1970. */
  readonly nextMs: number | undefined;
  /** There may be more that could begin. */
  readonly hasMore: boolean;
}

const NOTHING: Choice = {
  chosen: [],
  places: [],
  nextMs: undefined,
  hasMore: false,
};

/** What the choice goes by. */
export interface ChoiceOptions {
  readonly limits: TaskLimits;
  readonly facts: LimitFacts;
  /** How many at most. */
  readonly limit: number;
  readonly atMs: number;
}

/** Chooses among what a store has, looking at little of it. */
export async function chooseTasks(
  takeSample: TakeSample,
  options: ChoiceOptions,
): Promise<Choice> {
  const { limits, limit } = options;
  if (limit <= 0) return NOTHING;
  const rates = new Rates(options);
  const withoutKeys = new Set([...fullKeys(options), ...rates.fullKeys]);
  const isStopped = rates.isStopped;
  const withoutTurns = new Set<string>();
  const { keyConcurrency = 1, fairBy } = limits;
  // Others may take those with the same keys.
  const perTurn = limits.key ? 2 * limit : limit;
  const seen = new Map<string, Sampled>();
  for (let samples = 1;; samples++) {
    // Who is not among the first has a turn too: of those, all are looked at.
    const isWhole = fairBy !== undefined && samples > 1;
    const among = isStopped ? 1 : isWhole ? undefined : SAMPLE + limit;
    const { rows, scanned } = await takeSample({
      withoutKeys: [...withoutKeys],
      withoutTurns: [...withoutTurns],
      count: isStopped ? 1 : fairBy ? SAMPLE + limit : 2 * limit + SPARE,
      among,
      perKey: Math.min(limit, keyConcurrency),
      perTurn,
    });
    for (const row of rows) seen.set(row.id, row);
    const sample = [...seen.values()].sort(inRunOrder);
    const choice = choose(sample, options);
    const isAll = among === undefined || scanned < among;
    const keys = choice.chosen.map(({ limitKey }) => limitKey)
      .filter((key) => key !== "" && !withoutKeys.has(key));
    // Without any, a rate holds back all that could follow.
    const isOver = keys.length === 0 || choice.chosen.length >= limit;
    const isEnough = isAll || isStopped || samples === MOST_SAMPLES ||
      !fairBy && isOver;
    if (isEnough) {
      const places = fairBy
        ? choose(sample.map((it) => ({ ...it, turn: "" })), options).chosen
        : choice.chosen;
      const nextMs = earliest(choice.nextMs, rates.nextMsOfKeys);
      const hasMore = !isAll && choice.chosen.length < limit && !isStopped &&
        !isOver;
      return { chosen: choice.chosen, places, nextMs, hasMore };
    }
    if (fairBy) {
      const byTurn = Map.groupBy(sample, ({ turn }) => turn);
      for (const [turn, rows] of byTurn) {
        if (rows.length >= perTurn) withoutTurns.add(turn);
      }
      continue;
    }
    // Of these keys, no more can be chosen.
    for (const key of keys) withoutKeys.add(key);
  }
}

/** The keys of which so many tasks are in hand as may be. */
export function fullKeys(
  { limits, facts }: Pick<ChoiceOptions, "limits" | "facts">,
): string[] {
  if (!limits.key) return [];
  const { keyConcurrency = 1 } = limits;
  return [...countsBy(facts, "limitKey")]
    .filter(([key, count]) => key !== "" && count >= keyConcurrency)
    .map(([key]) => key);
}

/** How many tasks are in hand, by key or by turn. */
export function countsBy(
  { inHand }: LimitFacts,
  field: "limitKey" | "turn",
): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { count, [field]: name } of inHand) {
    counts.set(name, (counts.get(name) ?? 0) + count);
  }
  return counts;
}

/** How many more may start. */
class Rates {
  readonly #rate: TaskLimits["rate"];
  readonly #starts: Map<string, { count: number; untilMs: number }>;
  readonly #atMs: number;

  constructor(
    { limits, facts, atMs }: Pick<ChoiceOptions, "limits" | "facts" | "atMs">,
  ) {
    this.#rate = limits.rate;
    this.#atMs = atMs;
    this.#starts = new Map(
      facts.starts.map(({ limitKey, ...it }) => [limitKey, { ...it }]),
    );
  }

  /** None may, whatever its key. */
  get isStopped(): boolean {
    return this.#rate?.per !== "key" && this.nextMs("") !== undefined;
  }

  get fullKeys(): string[] {
    return this.#rate?.per !== "key" ? [] : [...this.#starts.keys()]
      .filter((key) => this.nextMs(key) !== undefined);
  }

  /** When the first of {@linkcode fullKeys} is none any more: its tasks were not looked at. */
  get nextMsOfKeys(): number | undefined {
    return earliest(...this.fullKeys.map((key) => this.nextMs(key)));
  }

  /** Counts a start; or says when it may be, where that is later. */
  start({ limitKey }: Sampled): number | undefined {
    if (!this.#rate) return undefined;
    const isOfKeys = this.#rate.per === "key";
    if (isOfKeys && limitKey === "") return undefined;
    const key = isOfKeys ? limitKey : "";
    const nextMs = this.nextMs(key);
    if (nextMs !== undefined) return nextMs;
    const untilMs = this.#atMs + this.#rate.spanMs;
    const before = this.#starts.get(key) ?? { count: 0, untilMs };
    this.#starts.set(key, { ...before, count: before.count + 1 });
    return undefined;
  }

  /** When the next one may start; undefined: now. */
  nextMs(key: string): number | undefined {
    const { count, untilMs } = this.#starts.get(key) ??
      { count: 0, untilMs: 0 };
    return count >= (this.#rate?.count ?? Infinity) ? untilMs : undefined;
  }
}

/** Of a sample, in the order to run it. */
function choose(
  sample: readonly Sampled[],
  options: ChoiceOptions,
): Pick<Choice, "chosen" | "nextMs"> {
  const { limits: { key, keyConcurrency = 1 }, facts, limit, atMs } = options;
  const byKey = countsBy(facts, "limitKey");
  const byTurn = countsBy(facts, "turn");
  const lastMs = new Map(facts.turns.map((it) => [it.turn, it.lastMs]));
  const rates = new Rates(options);
  const chosen: Sampled[] = [];
  let nextMs: number | undefined;
  for (
    const level of Map.groupBy(sample, ({ priority }) => priority).values()
  ) {
    const turns = [...Map.groupBy(level, ({ turn }) => turn)]
      .map(([turn, rows]) => ({ turn, rows, next: 0 }));
    while (turns.length > 0 && chosen.length < limit) {
      // The first of equals has the oldest task.
      const first = turns.reduce((one, it) => isBefore(it, one) ? it : one);
      const row = first.rows[first.next++];
      if (first.next >= first.rows.length) {
        turns.splice(
          turns.indexOf(first),
          1,
        );
      }
      if (!row) continue;
      const { limitKey, turn } = row;
      const inHand = byKey.get(limitKey) ?? 0;
      if (key && limitKey !== "" && inHand >= keyConcurrency) continue;
      const waitsMs = rates.start(row);
      if (waitsMs !== undefined) {
        nextMs = earliest(nextMs, waitsMs);
        continue;
      }
      byKey.set(limitKey, inHand + 1);
      byTurn.set(turn, (byTurn.get(turn) ?? 0) + 1);
      lastMs.set(turn, atMs + chosen.push(row));
    }
  }
  return { chosen, nextMs };

  interface Turn {
    readonly turn: string;
    readonly rows: readonly Sampled[];
    readonly next: number;
  }

  function isBefore(one: Turn, other: Turn): boolean {
    const more = (byTurn.get(one.turn) ?? 0) - (byTurn.get(other.turn) ?? 0);
    if (more !== 0) return more < 0;
    const [lastOne, lastOther] = [one, other]
      .map(({ turn }) => lastMs.get(turn) ?? -Infinity);
    if (lastOne !== lastOther) return (lastOne ?? 0) < (lastOther ?? 0);
    const [row, otherRow] = [one, other].map(({ rows, next }) => rows[next]);
    return row !== undefined && otherRow !== undefined &&
      inRunOrder(row, otherRow) < 0;
  }
}

/** By priority, then by age. */
export function inRunOrder(
  one: Omit<Sampled, "id" | "limitKey" | "turn">,
  other: Omit<Sampled, "id" | "limitKey" | "turn">,
): number {
  return other.priority - one.priority || one.createdMs - other.createdMs ||
    one.seq - other.seq;
}

/** The earliest time of those that are given. */
export function earliest(
  ...times: readonly (number | undefined)[]
): number | undefined {
  const given = times.filter((it) => it !== undefined);
  return given.length === 0 ? undefined : Math.min(...given);
}

/** The names under which there are limits. */
export function limitedNames(
  taskLimits: ReadonlyMap<string, TaskLimits> = new Map(),
): string[] {
  return [...taskLimits].filter(([, it]) => isLimited(it))
    .map(([name]) => name);
}

/** Some providers. */
export interface ProviderSet {
  /** Only these; undefined: all but {@linkcode except}. */
  readonly only: readonly string[] | undefined;
  readonly except: readonly string[];
}

/**
 * A provider with limits, by the name that its settings have; others together are
 * `*`. Its set has those of which tasks may be claimed.
 */
export interface LimitedGroup extends ProviderSet {
  readonly name: string;
  readonly limits: TaskLimits;
  /** All whose tasks count, be there room for them or not. */
  readonly counted: ProviderSet;
}

/** The providers with limits, and whose tasks they have, of those that there is room for. */
export function limitedGroups(
  { taskLimits, providers, room }: {
    readonly taskLimits?: ReadonlyMap<string, TaskLimits> | undefined;
    readonly providers?: readonly string[] | undefined;
    readonly room?: Room | undefined;
  },
): LimitedGroup[] {
  const named = [...taskLimits?.keys() ?? []].filter((it) => it !== OTHERS);
  return [...taskLimits ?? []].filter(([, it]) => isLimited(it))
    .map(([name, limits]): LimitedGroup => {
      if (name !== OTHERS) {
        const isClaimed = providers?.includes(name) ?? true;
        const rest = room?.get(groupOf(name, room)) ?? Infinity;
        return {
          ...{ name, limits, except: [] },
          only: isClaimed && rest > 0 ? [name] : [],
          counted: { only: [name], except: [] },
        };
      }
      const { only, except } = fullProviders(providers, room);
      const others = only?.filter((it) => !named.includes(it));
      return {
        ...{ name, limits, only: others, except: [...named, ...except] },
        counted: { only: undefined, except: named },
      };
    })
    .filter(({ only }) => only === undefined || only.length > 0);
}

/** A room without those that have limits: they are chosen apart. */
export function roomWithout(
  taskLimits: ReadonlyMap<string, TaskLimits>,
  room: Room = new Map(),
): Room {
  const left = new Map(room);
  for (const [name, limits] of taskLimits) {
    if (isLimited(limits)) left.set(name, 0);
    // Else it would be one of the others, which have no room.
    else if (!room.has(name)) left.set(name, room.get(OTHERS) ?? Infinity);
  }
  return left;
}

/** A task, and its place among those of all providers. */
export interface Placed<T> {
  readonly task: T;
  readonly place: Omit<Sampled, "id" | "limitKey" | "turn">;
}

/** What was chosen, with its places. */
export function placedOf({ chosen, places }: Choice): Placed<Sampled>[] {
  return chosen.map((task, index) => ({ task, place: places[index] ?? task }));
}

/** How many tasks of a group there is room for. */
export function roomFor(
  { name }: LimitedGroup,
  room: Room = new Map(),
): number {
  // Of the others, some may have less: that is seen when all are together.
  return name === OTHERS ? Infinity : room.get(groupOf(name, room)) ?? Infinity;
}

/** Tasks that began, of a provider of which that counts later. */
export interface Started {
  readonly name: string;
  readonly limits: TaskLimits;
  readonly ids: readonly string[];
}

/** Those of which it is to be noted. */
export function startedIn(
  tasks: readonly ClaimedTask[],
  taskLimits: ReadonlyMap<string, TaskLimits>,
): Started[] {
  const byName = Map.groupBy(
    tasks,
    ({ task }) => taskLimits.has(task.provider) ? task.provider : OTHERS,
  );
  return [...byName].flatMap(([name, begun]) => {
    const limits = taskLimits.get(name);
    if (!limits?.rate && !limits?.fairBy) return [];
    return [{ name, limits, ids: begun.map(({ task }) => task.id) }];
  });
}

/** All of them by their places. */
export function byPlace<T>(placed: readonly Placed<T>[]): T[] {
  return placed.toSorted((one, other) => inRunOrder(one.place, other.place))
    .map(({ task }) => task);
}

/** The SQL of a task's key: what is not a field is bound. */
export function keySql(
  { key }: TaskLimits,
  { targetRef, bind }: {
    /** The SQL of its target. */
    readonly targetRef: string;
    readonly bind: (text: string) => string;
  },
): string {
  if (!key) return "''";
  const fields: Readonly<Record<KeyField, string>> = {
    repository: "coalesce(repo_full_name, '')",
    target: `coalesce(${targetRef}, '')`,
    user: "user_id::text",
    batch: "coalesce(batch, '')",
    key: "coalesce(key, '')",
  };
  const all = key.flatMap((it) =>
    typeof it === "string" ? [] : [fields[it.field]]
  );
  const text = key.map((it) =>
    typeof it === "string" ? `${bind(it)}::text` : fields[it.field]
  );
  return `CASE WHEN ${all.join(" || ")} = '' THEN '' ELSE ${
    text.join(" || ")
  } END`;
}

/** The SQL of whose turn a task is of; with the name of what takes turns before it. */
export function turnSql({ fairBy }: TaskLimits): string {
  return fairBy === "batch"
    ? "'batch:' || coalesce(batch, '')"
    : fairBy === "user"
    ? "'user:' || user_id::text"
    : "''";
}

/** What is held back, and the SQL that says of a row by which group and key. */
export interface HeldRows {
  readonly holds: readonly Holds[];
  /** The number of its group; NULL where nothing holds it back. */
  readonly group: string;
  readonly key: string;
}

/** Puts the conditions of groups together. */
export function heldRows(
  holds: readonly Holds[],
  held: readonly { readonly group: string; readonly key: string }[],
): HeldRows {
  const caseOf = (whens: readonly string[], type: string) =>
    `CASE ${whens.join(" ")} WHEN false THEN NULL::${type} END`;
  return {
    holds,
    group: caseOf(held.map(({ group }) => group), "INTEGER"),
    key: caseOf(held.map(({ key }) => key), "TEXT"),
  };
}

/** A row that is held back, as far as that is known. */
export interface HeldRow {
  readonly id: string;
  readonly heldGroup: number | null;
  readonly heldKey: string | null;
}

/** The reasons for those that are held back, by their ids. */
export function reasonsOf(
  rows: readonly HeldRow[],
  holds: readonly Holds[],
): Map<string, HoldReason> {
  return new Map(rows.flatMap(({ id, heldGroup, heldKey }) => {
    const { all, byKey } = holds[heldGroup ?? -1] ?? {};
    const reason = all ?? byKey?.get(heldKey ?? "");
    return reason ? [[id, reason] as const] : [];
  }));
}

/** How many tasks wait for what, of counts by provider, group and key. */
export function heldCounts(
  rows: readonly (Omit<HeldRow, "id"> & {
    readonly provider: string;
    readonly count: number;
  })[],
  holds: readonly Holds[],
): HeldCount[] {
  const counts = new Map<string, HeldCount>();
  for (const { provider, count, ...row } of rows) {
    const reason = reasonsOf([{ id: "", ...row }], holds).get("");
    if (!reason) continue;
    const { kind } = reason;
    const before = counts.get(`${kind} ${provider}`)?.count ?? 0;
    counts.set(`${kind} ${provider}`, {
      provider,
      kind,
      count: before + count,
    });
  }
  return [...counts.values()];
}
