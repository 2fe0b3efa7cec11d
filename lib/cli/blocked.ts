/**
 * Saying what a task waits for, and what waits for it.
 *
 * @module
 */

import { printable } from "../base/log.ts";
import type {
  Admin,
  BlockedBy,
  GraphTask,
  TaskGraph,
} from "../store/contract.ts";
import { isFinal } from "../task/task.ts";

/** `waits for 3f2a9c01 (running) and 2 more` */
export function blockedText({ id, state, count }: BlockedBy): string {
  const more = count > 1 ? ` and ${count - 1} more` : "";
  return `waits for ${id.slice(0, 8)} (${state})${more}`;
}

/** What a task waits for, of the graph around it; undefined: nothing. */
export function blockedByIn(
  { nodes, edges }: TaskGraph,
  taskId: string,
): BlockedBy | undefined {
  const states = new Map(nodes.map(({ id, state }) => [id, state]));
  const open = edges.flatMap(({ task, after }) => {
    const state = states.get(after);
    return task === taskId && state && !isFinal(state)
      ? { id: after, state }
      : [];
  });
  const [first] = open;
  return first && { ...first, count: open.length };
}

/** The same, of a task in the store. */
export async function readBlockedBy(
  admin: Pick<Admin, "graph">,
  taskId: string,
): Promise<BlockedBy | undefined> {
  return blockedByIn(await admin.graph(taskId, { limit: NEAR_TASKS }), taskId);
}

/** How many tasks are read around one that is shown. */
export const NEAR_TASKS = 200;
/** How many of them are shown, each way, and how far. */
const MOST_LINES = 20;
const MOST_LEVELS = 4;
const MOST_CHARACTERS = 60;

/** What it waits for, or what waits for it, as an indented list. */
export function graphLines(
  { nodes, edges, hasMore }: TaskGraph,
  taskId: string,
  way: "before" | "behind",
): string[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const next = new Map<string, string[]>();
  for (const { task, after } of edges) {
    const [from, to] = way === "before" ? [task, after] : [after, task];
    const those = next.get(from);
    if (those) those.push(to);
    else next.set(from, [to]);
  }
  const lines: string[] = [];
  const seen = new Set<string>();
  const add = (id: string, level: number) => {
    for (const other of next.get(id) ?? []) {
      const node = byId.get(other);
      if (!node || seen.has(other)) continue;
      seen.add(other);
      const isShown = lines.length < MOST_LINES && level < MOST_LEVELS;
      if (isShown) lines.push(`${"  ".repeat(level)}${lineOf(node)}`);
      add(other, level + 1);
    }
  };
  add(taskId, 0);
  const more = seen.size - lines.length;
  if (more > 0) lines.push(`… and ${hasMore ? "at least " : ""}${more} more`);
  return lines;
}

function lineOf(
  { id, key, instruction, provider, shownState }: GraphTask,
): string {
  const [text = ""] = (key ?? instruction ?? "").trim().split("\n");
  const short = text.length > MOST_CHARACTERS
    ? `${text.slice(0, MOST_CHARACTERS)}…`
    : text;
  return `${id.slice(0, 8)}  ${shownState}  ${printable(provider)}  ${
    printable(short)
  }`.trimEnd();
}
