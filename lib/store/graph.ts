/**
 * The tasks around one, and what came of those that it waited for: the same in every
 * store.
 *
 * @module
 */

import { isCancelled } from "../task/shown_state.ts";
import type { JsonValue, TaskResult } from "../task/task.ts";
import { taskWorkspaceOf } from "../task/workspace.ts";
import { parseTrace, stringifyJson } from "../task/trace.ts";
import {
  type GraphTask,
  MAX_RESULTS_TEXT,
  type TaskGraph,
} from "./contract.ts";
import { fittingSets } from "./sets.ts";

/** How much of an instruction a graph has. */
export const GRAPH_INSTRUCTION = 200;
/** Tasks of a graph may all wait for each other. */
const MOST_EDGES = 20_000;

/** What a store reads for {@linkcode graphAround}. */
export interface GraphReads {
  /** What these wait for, and what waits for these: at most so many. */
  readonly neighbours: (
    ids: readonly string[],
    limit: number,
  ) => Promise<readonly string[]>;
  /** Those that there are. */
  readonly tasks: (ids: readonly string[]) => Promise<readonly GraphTask[]>;
  /** Which of these waits for which of these: at most so many. */
  readonly edges: (
    ids: readonly string[],
    limit: number,
  ) => Promise<TaskGraph["edges"]>;
}

/** The nearest tasks around one, breadth first, both ways. */
export async function graphAround(
  id: string,
  { limit, reads }: { readonly limit: number; readonly reads: GraphReads },
): Promise<TaskGraph> {
  const known = new Set([id]);
  let hasMore = false;
  for (let level = [id]; level.length > 0 && !hasMore;) {
    // Those that are known already come again.
    const most = limit + known.size + 1;
    const found = (await reads.neighbours(level, most))
      .filter((it) => !known.has(it));
    level = found.slice(0, limit - known.size);
    hasMore = level.length < found.length;
    for (const it of level) known.add(it);
  }
  const ids = [...known];
  const byId = new Map((await reads.tasks(ids)).map((it) => [it.id, it]));
  const edges = await reads.edges(ids, MOST_EDGES);
  return {
    nodes: ids.flatMap((id) => byId.get(id) ?? []),
    edges,
    hasMore: hasMore || edges.length === MOST_EDGES,
  };
}

/** A task that another waited for, without its trace. */
export interface EndedBefore extends Omit<TaskResult, "output" | "error"> {
  /** How long its trace is. */
  readonly size: number;
}

/**
 * What came of tasks, of which the traces are read set by set, until all that fits is
 * read.
 */
export async function resultsOf(
  tasks: readonly EndedBefore[],
  readTraces: (
    ids: readonly string[],
  ) => Promise<ReadonlyMap<string, string | null>>,
): Promise<TaskResult[]> {
  const results: TaskResult[] = [];
  let left = MAX_RESULTS_TEXT;
  for (const set of fittingSets(tasks, ({ size }) => size)) {
    const traces = left > 0
      ? await readTraces(set.map(({ id }) => id))
      : new Map<string, null>();
    for (const { size: _, ...task } of set) {
      const texts = textsOf(task, traces.get(task.id) ?? null);
      const length = lengthOf(task, texts);
      if (length <= left) results.push({ ...task, ...texts });
      else {
        results.push({
          ...task,
          instruction: null,
          output: undefined,
          isTruncated: true,
        });
      }
      left -= Math.min(length, left);
    }
  }
  return results;
}

function textsOf(
  { state }: Pick<TaskResult, "state">,
  traceText: string | null,
): Pick<TaskResult, "output" | "error" | "workspace"> {
  const trace = parseTrace(traceText) ?? {};
  const workspace = taskWorkspaceOf(trace);
  const branch = workspace && { workspace };
  if (state !== "failed") return { output: trace.output, ...branch };
  const error = isCancelled(traceText) ? "Cancelled" : trace.error;
  return {
    output: undefined,
    ...branch,
    ...error !== undefined && { error: textOf(error) },
  };
}

function textOf(value: JsonValue): string {
  return typeof value === "string" ? value : stringifyJson(value);
}

function lengthOf(
  { instruction }: Pick<TaskResult, "instruction">,
  { output, error = "" }: Pick<TaskResult, "output" | "error">,
): number {
  return (instruction?.length ?? 0) + error.length +
    (output === undefined ? 0 : stringifyJson(output).length);
}
