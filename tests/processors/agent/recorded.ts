/**
 * Runs of the real agents against a model server that did as a script says, and what
 * a dialect makes of them.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type {
  AgentEnd,
  AgentError,
  AgentSign,
} from "../../../lib/processors/agent/dialect.ts";
import {
  type AgentName,
  DIALECTS,
} from "../../../lib/processors/agent/dialects.ts";
import { AgentStream } from "../../../lib/processors/agent/stream.ts";
import type { JsonObject } from "../../../lib/task/task.ts";
import type { Usage } from "../../../lib/task/usage.ts";

const FOLDER = new URL("./recordings/", import.meta.url);

/** One run of an agent. */
export interface Recording {
  readonly agent: AgentName;
  readonly name: string;
  readonly stdout: string;
  readonly meta: {
    readonly scenario: { readonly replies?: readonly Reply[] };
    readonly exitCode: number | null;
    readonly signal?: string;
    readonly stderr?: string;
    readonly gitStatus?: string;
  };
}

interface Reply {
  readonly text?: string;
  readonly write?: unknown;
}

/** What should come of a recording; what is left out should not be there. */
export interface Expected {
  readonly result?: string;
  readonly error?: AgentError["kind"];
  /** The error's message. */
  readonly says?: string;
  /** The error is of the account, not of the task. */
  readonly isAccount?: true;
  readonly until?: Date;
  readonly retryAfterMs?: number;
  readonly session?: string;
  readonly usage?: Usage;
  readonly denied?: readonly string[];
}

/** Some minutes before the limits of the recordings end; in the machine's zone. */
export const NOW = new Date(2026, 10, 28, 2, 34, 10);

/** All runs of an agent, by their names. */
export function recordingsOf(agent: AgentName): ReadonlyMap<string, Recording> {
  const [version] = DIALECTS[agent].knownVersions;
  const folder = new URL(`${agent}-${version}/`, FOLDER);
  const names = [...Deno.readDirSync(folder)].flatMap(({ name }) =>
    name.endsWith(".jsonl") ? [name.replace(".jsonl", "")] : []
  ).sort();
  return new Map(names.map((name) => {
    return [name, {
      agent,
      name,
      stdout: Deno.readTextFileSync(new URL(`${name}.jsonl`, folder)),
      meta: JSON.parse(
        Deno.readTextFileSync(new URL(`${name}.meta.json`, folder)),
      ),
    }];
  }));
}

/** All lines of an agent's runs. */
export function linesOf(agent: AgentName): JsonObject[] {
  return [...recordingsOf(agent).values()].flatMap(({ stdout }) =>
    stdout.split("\n").filter((line) => line.startsWith('{"'))
      .map((line) => JSON.parse(line))
  );
}

/** What a dialect makes of a run. */
export interface Read {
  readonly signs: readonly AgentSign[];
  readonly end: AgentEnd;
}

/** Reads a run's stdout in these pieces. */
export function readPieces(
  { agent, meta }: Recording,
  pieces: Iterable<string>,
  usedBefore?: Usage,
): Read {
  const signs: AgentSign[] = [];
  const stream = new AgentStream({
    reader: DIALECTS[agent].read({ now: () => NOW, usedBefore }),
    onSign: (sign) => signs.push(sign),
  });
  for (const piece of pieces) stream.push(piece);
  const end = stream.end({
    code: meta.exitCode ?? 1,
    signal: meta.signal ?? null,
    stderr: meta.stderr ?? "",
  });
  return { signs, end };
}

/** Tests that a dialect makes of each run what it should. */
export function testRecordings(
  agent: AgentName,
  expected: Readonly<Record<string, Expected>>,
): void {
  const recordings = recordingsOf(agent);
  Deno.test(`${agent}: each recording is expected to mean something`, () => {
    assertEquals([...recordings.keys()], Object.keys(expected).sort());
  });
  for (const [name, recording] of recordings) {
    Deno.test(`${agent}: ${name} is read for what it was`, () => {
      const read = readPieces(recording, [recording.stdout]);
      assertEquals(shortOf(read), expected[name]);
      if (read.end.result !== undefined && !read.end.error) {
        assertDone(recording, read);
      }
    });
  }
}

function shortOf({ signs, end }: Read): Expected {
  const { result, error, usage } = end;
  const sessions = signs.flatMap((it) => it.kind === "session" ? [it.id] : []);
  const denied = signs.flatMap((it) => it.kind === "denied" ? [it.detail] : []);
  const usages = signs.flatMap((it) => it.kind === "usage" ? [it.usage] : []);
  assertEquals(usages.at(-1), usage);
  assert(sessions.length <= 1);
  return {
    ...result !== undefined && { result },
    ...error && { error: error.kind, says: error.message },
    ...error?.isAccount && { isAccount: true },
    ...error?.until && { until: error.until },
    ...error?.retryAfterMs && { retryAfterMs: error.retryAfterMs },
    ...sessions.length > 0 && { session: sessions[0]! },
    ...usage && { usage },
    ...denied.length > 0 && { denied },
  };
}

/** A result is the script's last word, of work that was done or is said not to be. */
function assertDone({ meta, name }: Recording, { signs, end }: Read): void {
  const replies = meta.scenario.replies ?? [];
  assertEquals(end.result, replies.at(-1)?.text);
  const wasDone = meta.gitStatus !== undefined ||
    !replies.some(({ write }) => write) ||
    name === "not-a-git-repository-yolo";
  const isSaid = signs.some(({ kind }) =>
    kind === "denied" || kind === "tool failed"
  );
  assert(wasDone || isSaid);
}
