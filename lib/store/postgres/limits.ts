/**
 * What a claim knows of the limits of providers, and what it notes of them.
 *
 * @module
 */

import type { TaskLimits } from "../../task/limits.ts";
import type { ClaimedTask } from "../../task/task.ts";
import { roomOf } from "../decisions.ts";
import {
  byPlace,
  chooseTasks,
  earliest,
  type HeldRows,
  heldRows,
  type Holds,
  holdsOf,
  keySql,
  type LimitedGroup,
  limitedGroups,
  type LimitFacts,
  type Placed,
  placedOf,
  type ProviderSet,
  roomFor,
  roomWithout,
  type Sample,
  type Sampled,
  type SampleRequest,
  startedIn,
  TURN_MS,
  turnSql,
} from "../limits.ts";
import {
  type Candidate,
  type CandidateOptions,
  type Candidates,
  candidatesOf,
  IS_DUE,
  IS_LEFT,
  IS_OPEN,
  IS_READY,
  isNotOf,
  isNotTouching,
  isTouching,
  lockFirst,
  lockThese,
  READY_PROVIDERS,
} from "./candidates.ts";
import type { Connection, SqlValue } from "./connection.ts";
import {
  isOneOf,
  jsonOf,
  RUN_ORDER,
  TASK_FIELDS,
  TOUCH,
  uuids,
} from "./rows.ts";
import { readTouchHolds } from "./touches.ts";
import { Values } from "./values.ts";

/** The values of a statement about tasks with limits. */
export class LimitValues extends Values {
  /** The SQL of the key of a task. */
  key(limits: TaskLimits): string {
    return keySql(limits, {
      targetRef: TASK_FIELDS.targetRef,
      bind: (text) => this.bind(text),
    });
  }

  /** Holds for the tasks of a group. */
  isOf({ only, except }: ProviderSet): string {
    return [
      ...only ? [isOneOf(this.bind(jsonOf(only)))] : [],
      ...except.length > 0 ? [`NOT ${isOneOf(this.bind(jsonOf(except)))}`] : [],
    ].join(" AND ") || "true";
  }
}

/** What is in hand, and what began lately. */
export async function readFacts(
  connection: Connection,
  group: LimitedGroup,
  at: Date,
): Promise<LimitFacts> {
  const { name, limits: { key, rate, fairBy } } = group;
  const rows = async <T>(
    isRead: unknown,
    sql: (values: LimitValues) => string,
  ) => {
    if (!isRead) return [];
    const values = new LimitValues(at);
    return await connection.rows<T>(sql(values), values.list);
  };
  const started = (values: LimitValues) =>
    `FROM agent_starts WHERE provider = ${values.bind(name)}
       AND until > $1::timestamptz`;
  return {
    inHand: await rows(key || fairBy, (values) => `
      SELECT ${values.key(group.limits)} AS "limitKey",
        ${turnSql(group.limits)} AS turn, count(*)::integer AS count
      FROM agent_tasks
      WHERE lease_id IS NOT NULL AND lease_expires_at > $1::timestamptz
        AND ${values.isOf(group.counted)} GROUP BY 1, 2`),
    starts: await rows(rate, (values) => `
      SELECT limit_key AS "limitKey", count(*)::integer AS count,
        ceil(${epochMs("min(until)")}) AS "untilMs"
      ${started(values)} AND turn = '' GROUP BY limit_key`),
    turns: await rows(fairBy, (values) => `
      SELECT turn, ${epochMs("started_at")} AS "lastMs"
      ${started(values)} AND turn <> '' ORDER BY started_at`),
  };
}

const epochMs = (time: string) =>
  `(extract(epoch FROM ${time}) * 1000)::float8`;

type SampledRow = Sampled & { readonly scanned: number };

async function takeSample(
  connection: Connection,
  request: SampleRequest,
  { group, options }: {
    readonly group: LimitedGroup;
    readonly options: CandidateOptions;
  },
): Promise<Sample> {
  const { withoutKeys, withoutTurns, count, among } = request;
  const { perKey, perTurn } = request;
  const { limits, only } = group;
  const { at, maxAttempts, except, pausedBatches = [] } = options;
  const { heldTouches = [] } = options;
  const values = new LimitValues(at, maxAttempts, uuids(except));
  const key = values.key(limits);
  const isNone = (text: string, list: readonly string[]) =>
    list.length === 0 ? [] : [
      `${text} NOT IN (SELECT json_array_elements_text(${
        values.bind(jsonOf(list))
      }::json))`,
    ];
  const isWanted = [
    "id <> ALL ($3::uuid[])",
    ...pausedBatches.length > 0
      ? [isNotOf(values.bind(jsonOf(pausedBatches)))]
      : [],
    ...isNotTouching(heldTouches, (it) => values.bind(it)),
    ...isNone(key, withoutKeys),
    ...isNone(turnSql(limits), withoutTurns),
  ].join(" AND ");
  const first = among === undefined
    ? ""
    : `ORDER BY ${RUN_ORDER} LIMIT ${values.bind(among)}`;
  const shown = `SELECT id, ${key} AS limit_key, ${turnSql(limits)} AS turn,
    priority, created_at, seq FROM agent_tasks`;
  const providers = only
    ? `providers AS (SELECT json_array_elements_text(${
      values.bind(jsonOf(only))
    }::json) AS provider)`
    : READY_PROVIDERS;
  // As bytes: to compare texts as a language does takes ten times as long.
  const partition = [
    ...limits.key ? ['limit_key COLLATE "C"'] : [],
    ...limits.fairBy ? ['turn COLLATE "C"'] : [],
  ].join(", ") || "true";
  const order = `priority DESC, ${limits.fairBy ? "nth, " : ""}created_at, seq`;
  const rows = await connection.rows<SampledRow>(
    `WITH RECURSIVE ${providers},
     waiting AS (
       SELECT ready.* FROM providers p CROSS JOIN LATERAL (
         ${shown} WHERE provider = p.provider AND ${IS_READY} AND ${IS_OPEN}
           AND ${isWanted} ${first}) ready
       WHERE p.provider IS NOT NULL AND ${
      values.isOf(group).replace(/\bprovider\b/g, "p.provider")
    }
       UNION ALL SELECT * FROM (
         ${shown} WHERE ${IS_LEFT} AND ${IS_DUE} AND ${isWanted}
           AND ${values.isOf(group)} ${first}) abandoned),
     ranked AS (
       SELECT *, count(*) OVER ()::integer AS scanned, row_number() OVER (
         PARTITION BY ${partition} ORDER BY ${RUN_ORDER}) AS nth
       FROM (SELECT * FROM waiting ${first}) seen)
     SELECT id, limit_key AS "limitKey", turn, priority,
       floor(${epochMs("created_at")}) AS "createdMs", seq, scanned
     FROM ranked WHERE nth <= CASE limit_key
       WHEN '' THEN ${values.bind(perTurn)}::integer
       ELSE ${values.bind(perKey)}::integer END
     ORDER BY ${order} LIMIT ${values.bind(count)}`,
    values.list,
  );
  return { rows, scanned: rows[0]?.scanned ?? 0 };
}

/**
 * As `findCandidates`, where there are providers with limits: their tasks are chosen
 * apart, and put where they belong.
 */
export async function findLimited(
  connection: Connection,
  options: CandidateOptions,
): Promise<Candidates> {
  const { at, limit, providers, taskLimits = new Map() } = options;
  const room = roomOf(options);
  const others = await lockFirst(connection, {
    ...options,
    providerRoom: roomWithout(taskLimits, options.providerRoom),
  });
  const placed: Placed<Candidate>[] = others.map((task) => ({
    task,
    place: { ...task, createdMs: task.createdAt.getTime() },
  }));
  const next: (number | undefined)[] = [];
  let hasMore = false;
  for (const group of limitedGroups({ taskLimits, providers, room })) {
    const choice = await chooseTasks(
      (request) => takeSample(connection, request, { group, options }),
      {
        limits: group.limits,
        facts: await readFacts(connection, group, at),
        limit: Math.min(limit, roomFor(group, room)),
        atMs: at.getTime(),
      },
    );
    next.push(choice.nextMs);
    hasMore ||= choice.hasMore;
    if (choice.chosen.length === 0) continue;
    const ids = choice.chosen.map(({ id }) => id);
    const locked = await lockThese(connection, ids, options);
    const byId = new Map(locked.map((it) => [it.id, it]));
    placed.push(
      ...placedOf(choice).flatMap(({ task: { id }, place }) => {
        const task = byId.get(id);
        return task ? [{ task, place }] : [];
      }),
    );
  }
  const nextMs = earliest(...next);
  const found = candidatesOf(byPlace(placed), options);
  return {
    chosen: found.chosen,
    hasMore: found.hasMore || hasMore,
    nextAt: nextMs === undefined ? undefined : new Date(nextMs),
  };
}

/** What limits, and tasks in hand, hold back. */
export async function readHolds(
  connection: Connection,
  { at, taskLimits, providers }: Pick<
    CandidateOptions,
    "at" | "taskLimits" | "providers"
  >,
  values: LimitValues,
): Promise<HeldRows> {
  const groups = limitedGroups({ taskLimits, providers });
  const holds: Holds[] = [];
  for (const group of groups) {
    const facts = await readFacts(connection, group, at);
    holds.push(holdsOf({ limits: group.limits, facts, atMs: at.getTime() }));
  }
  const held = groups.flatMap((group, index) => {
    const { all, byKey } = holds[index] ?? {};
    if (all === undefined && !byKey?.size) return [];
    const key = values.key(group.limits);
    const keys = values.bind(jsonOf([...byKey?.keys() ?? []]));
    const isOne = `${values.isOf(group)} AND (${all !== undefined}
      OR ${key} IN (SELECT json_array_elements_text(${keys}::json)))`;
    return [{
      group: `WHEN ${isOne} THEN ${index}`,
      key: `WHEN ${isOne} THEN ${key}`,
    }];
  });
  const { holds: byTouch } = await readTouchHolds(connection, at);
  if (byTouch.byKey.size > 0) {
    const isOne = isTouching(values.bind(jsonOf([...byTouch.byKey.keys()])));
    held.push({
      group: `WHEN ${isOne} THEN ${holds.push(byTouch) - 1}`,
      key: `WHEN ${isOne} THEN ${TOUCH}`,
    });
  }
  return heldRows(holds, held);
}

/** Notes what began, where that counts later; forgets what counts no more. */
export async function noteStarts(
  connection: Connection,
  tasks: readonly ClaimedTask[],
  { at, taskLimits = new Map() }: Pick<CandidateOptions, "at" | "taskLimits">,
): Promise<void> {
  for (const { name, limits, ids } of startedIn(tasks, taskLimits)) {
    const { rate, fairBy } = limits;
    const turn = turnSql(limits);
    // Whoever runs one task that is named may do the same beside.
    const forget = (condition: string, values: readonly SqlValue[]) =>
      connection.run(
        `DELETE FROM agent_starts WHERE ctid = ANY (ARRAY(
           SELECT ctid FROM agent_starts WHERE ${condition}
           FOR UPDATE SKIP LOCKED))`,
        values,
      );
    await forget("until <= $1::timestamptz", [at]);
    if (fairBy) {
      await forget(
        `provider = $1 AND turn IN (
           SELECT ${turn} FROM agent_tasks WHERE id = ANY ($2::uuid[]))`,
        [name, uuids(ids)],
      );
    }
    const values = new LimitValues(at, name, uuids(ids));
    const key = rate?.per === "key" ? values.key(limits) : "''";
    const start = (limitKey: string, turn: string, spanMs: number) =>
      `$2::text AS provider, ${limitKey} AS limit_key, ${turn} AS turn,
       $1::timestamptz AS started_at, $1::timestamptz + ${
        values.bind(spanMs)
      }::float8 * interval '1 ms' AS until
       FROM agent_tasks WHERE id = ANY ($3::uuid[])`;
    const isCounted = rate?.per === "key" ? ` AND ${key} <> ''` : "";
    const rows = [
      ...rate ? [`SELECT ${start(key, "''", rate.spanMs)}${isCounted}`] : [],
      ...fairBy ? [`SELECT DISTINCT ${start("''", turn, TURN_MS)}`] : [],
    ];
    await connection.run(
      `INSERT INTO agent_starts (provider, limit_key, turn, started_at, until)
       ${rows.join(" UNION ALL ")}`,
      values.list,
    );
  }
}
