/**
 * What a claim knows of the limits of providers, and what it notes of them.
 *
 * @module
 */

import type { TaskLimits } from "../../task/limits.ts";
import type { ClaimedTask } from "../../task/task.ts";
import {
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
  NO_FACTS,
  type Placed,
  placedOf,
  type ProviderSet,
  roomFor,
  type Sample,
  type Sampled,
  type SampleRequest,
  type Started,
  startedIn,
  TURN_MS,
  turnSql,
} from "../limits.ts";
import { roomOf } from "../decisions.ts";
import {
  type ClaimTasksOptions,
  isNamed,
  isTouching,
  wantedRows,
} from "./candidates.ts";
import type { Connection } from "./connection.ts";
import { dateOf, RUN_ORDER, TASK_FIELDS, TOUCH } from "./rows.ts";
import { readTouchHolds } from "./touches.ts";
import { Values } from "./values.ts";

/** The SQL of the key of a task. */
function keyIn(limits: TaskLimits, values: Values): string {
  return keySql(limits, {
    targetRef: TASK_FIELDS.targetRef,
    bind: (text) => values.bind(text),
  });
}

/** Holds for the tasks of a group. */
function isOf({ only, except }: ProviderSet, values: Values): string {
  return [
    ...only ? [isNamed(only, values)] : [],
    ...except.length > 0 ? [`NOT ${isNamed(except, values)}`] : [],
  ].join(" AND ") || "true";
}

/** What is in hand, and what began lately. */
export async function readFacts(
  connection: Connection,
  group: LimitedGroup,
  now: Date,
): Promise<LimitFacts> {
  const { name, limits: { key, rate, fairBy } } = group;
  const values = new Values();
  const at = values.time(now);
  const none = "SELECT '' WHERE false";
  const inHand = () =>
    `SELECT {limitKey: limit_key, turn: turn, count: count} FROM (
    SELECT ${keyIn(group.limits, values)} AS limit_key,
      ${turnSql(group.limits)} AS turn, count(*) AS count
    FROM agent_tasks
    WHERE lease_id IS NOT NULL AND lease_expires_at > ${at}
      AND ${isOf(group.counted, values)} GROUP BY ALL)`;
  const started = () =>
    `FROM agent_starts
    WHERE provider = ${values.bind(name)} AND until > ${at}`;
  const starts = () =>
    `SELECT {limitKey: limit_key, count: count(*),
      untilMs: epoch_ms(min(until))}
    ${started()} AND turn = '' GROUP BY limit_key`;
  const turns = () =>
    `SELECT {turn: turn, lastMs: epoch_ms(started_at)}
    ${started()} AND turn <> '' ORDER BY started_at`;
  return await connection.json<LimitFacts>(
    `SELECT to_json({
       inHand: ARRAY(${key || fairBy ? inHand() : none}),
       starts: ARRAY(${rate ? starts() : none}),
       turns: ARRAY(${fairBy ? turns() : none})})`,
    values.list,
  ) ?? NO_FACTS;
}

async function takeSample(
  connection: Connection,
  request: SampleRequest,
  { group, options }: {
    readonly group: LimitedGroup;
    readonly options: ClaimTasksOptions;
  },
): Promise<Sample> {
  const { withoutKeys, withoutTurns, count, among } = request;
  const { perKey, perTurn } = request;
  const { limits } = group;
  const values = new Values();
  const rest = [isOf(group, values)];
  const leaveOut = (text: () => string, list: readonly string[]) => {
    if (list.length === 0) return;
    const names = values.bind(JSON.stringify(list));
    rest.push(`${text()} NOT IN (SELECT unnest(${names}::JSON::TEXT[]))`);
  };
  leaveOut(() => keyIn(limits, values), withoutKeys);
  leaveOut(() => turnSql(limits), withoutTurns);
  const all = { ...options, providerRoom: undefined, globalRoom: undefined };
  const first = among === undefined
    ? ""
    : `ORDER BY ${RUN_ORDER} LIMIT ${values.bind(among)}`;
  const rows = `SELECT id, rowid, priority, created_at,
      ${keyIn(limits, values)} AS limit_key, ${turnSql(limits)} AS turn
    FROM (FROM (${wantedRows(all, values, rest)}) ${first})`;
  const order = `coalesce(priority, 0) DESC, ${
    limits.fairBy ? "nth, " : ""
  }created_at, rowid`;
  return await connection.json<Sample>(
    `SELECT to_json({scanned: max(scanned), rows: list({
       id: id, limitKey: limit_key, turn: turn,
       priority: coalesce(priority, 0), createdMs: coalesce(epoch_ms(created_at), 0),
       seq: rowid} ORDER BY ${order})})
     FROM (
       SELECT *, row_number() OVER (
           PARTITION BY limit_key, turn ORDER BY ${RUN_ORDER}) AS nth,
         count(*) OVER () AS scanned
       FROM (${rows})
       QUALIFY nth <= CASE limit_key WHEN '' THEN ${values.bind(perTurn)}
         ELSE ${values.bind(perKey)} END
       ORDER BY ${order} LIMIT ${values.bind(count)})
     HAVING count(*) > 0`,
    values.list,
  ) ?? { rows: [], scanned: 0 };
}

/** What of the providers with limits may begin. */
export interface Limited {
  /** In the order to begin them. */
  readonly chosen: readonly Placed<Sampled>[];
  readonly nextAt: Date | undefined;
  readonly hasMore: boolean;
}

/** Chooses what may begin of providers with limits. */
export async function chooseLimited(
  connection: Connection,
  options: ClaimTasksOptions,
): Promise<Limited> {
  const { now, limit, taskLimits, providers } = options;
  const room = roomOf(options);
  const chosen: Placed<Sampled>[] = [];
  const next: (number | undefined)[] = [];
  let hasMore = false;
  for (const group of limitedGroups({ taskLimits, providers, room })) {
    const choice = await chooseTasks(
      (request) => takeSample(connection, request, { group, options }),
      {
        limits: group.limits,
        facts: await readFacts(connection, group, now),
        limit: Math.min(limit, roomFor(group, room)),
        atMs: now.getTime(),
      },
    );
    chosen.push(...placedOf(choice));
    next.push(choice.nextMs);
    hasMore ||= choice.hasMore;
  }
  return {
    chosen,
    nextAt: dateOf(earliest(...next) ?? null) ?? undefined,
    hasMore,
  };
}

/** What limits, and tasks in hand, hold back. */
export async function readHolds(
  connection: Connection,
  { now, taskLimits, providers }: Pick<
    ClaimTasksOptions,
    "now" | "taskLimits" | "providers"
  >,
  values: Values,
): Promise<HeldRows> {
  const groups = limitedGroups({ taskLimits, providers });
  const holds: Holds[] = [];
  for (const group of groups) {
    const facts = await readFacts(connection, group, now);
    holds.push(holdsOf({ limits: group.limits, facts, atMs: now.getTime() }));
  }
  const held = groups.flatMap((group, index) => {
    const { all, byKey } = holds[index] ?? {};
    if (all === undefined && !byKey?.size) return [];
    const key = keyIn(group.limits, values);
    const keys = values.bind(JSON.stringify([...byKey?.keys() ?? []]));
    const isOne = `${isOf(group, values)} AND (${all !== undefined}
      OR ${key} IN (SELECT unnest(${keys}::JSON::TEXT[])))`;
    return [{
      group: `WHEN ${isOne} THEN ${index}`,
      key: `WHEN ${isOne} THEN ${key}`,
    }];
  });
  const { holds: byTouch } = await readTouchHolds(connection, now);
  if (byTouch.byKey.size > 0) {
    const isOne = isTouching([...byTouch.byKey.keys()], values);
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
  { now, taskLimits = new Map() }: Pick<
    ClaimTasksOptions,
    "now" | "taskLimits"
  >,
): Promise<void> {
  for (const { name, limits, ids } of startedIn(tasks, taskLimits)) {
    const values = new Values();
    const at = values.time(now);
    const until = (ms: number) => values.time(new Date(now.getTime() + ms));
    const provider = `${values.bind(name)}::TEXT`;
    const begun = `agent_tasks WHERE id IN (SELECT ${values.ids(ids)})`;
    const { rate, fairBy } = limits;
    const rows: string[] = [];
    if (rate) {
      const isOfKeys = rate.per === "key";
      const key = isOfKeys ? keyIn(limits, values) : "''";
      rows.push(
        `SELECT ${provider} AS provider, ${key} AS limit_key, '' AS turn,
        ${at} AS started_at, ${until(rate.spanMs)} AS until FROM ${begun}
        ${isOfKeys ? `AND ${key} <> ''` : ""}`,
      );
    }
    if (fairBy) {
      rows.push(`SELECT DISTINCT ${provider} AS provider, '' AS limit_key,
        ${turnSql(limits)} AS turn, ${at} AS started_at, ${
        until(TURN_MS)
      } AS until FROM ${begun}`);
    }
    await forget(connection, { name, limits, ids, now });
    await connection.run(
      `INSERT INTO agent_starts (provider, limit_key, turn, started_at, until)
       ${rows.join(" UNION ALL ")}`,
      values.list,
    );
  }
}

/** What counts no more, and the turns before these. */
async function forget(
  connection: Connection,
  { name, limits, ids, now }: Started & { readonly now: Date },
): Promise<void> {
  const values = new Values();
  const turns = limits.fairBy
    ? `OR provider = ${values.bind(name)} AND turn IN (
        SELECT ${turnSql(limits)} FROM agent_tasks
        WHERE id IN (SELECT ${values.ids(ids)}))`
    : "";
  await connection.run(
    `DELETE FROM agent_starts WHERE until <= ${values.time(now)} ${turns}`,
    values.list,
  );
}
