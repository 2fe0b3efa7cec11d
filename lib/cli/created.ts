/**
 * What `create` says of what it made, and of what was there already.
 *
 * @module
 */

import { countOf } from "../base/figures.ts";
import type { Admin, IdList, KeyResult } from "../store/contract.ts";
import { shownStateOf } from "../task/shown_state.ts";
import type { AgentTask, NewTask } from "../task/task.ts";
import { renderJson } from "./render.ts";
import type { Terminal } from "./terminal.ts";

/** Says what came of one task. */
export async function createdText(
  ids: IdList,
  { key, needsApproval }: Pick<NewTask, "key" | "needsApproval">,
  { admin, isJson }: { readonly admin: Admin; readonly isJson: boolean },
): Promise<string> {
  const [id = ""] = [...ids.sets()].flat();
  const known = ids.known.get(0);
  if (isJson) return renderJson(createdJson(id, known));
  switch (known) {
    case "existing":
      return `Task ${id} has the key "${key}" already` +
        `${stateIn(await admin.get(id))}\n`;
    case "replaced":
      return `Changed task ${id}, which had the key "${key}" and had not begun\n` +
        approveLine(id, needsApproval);
    default:
      return `Created task ${id}\n` + approveLine(id, needsApproval);
  }
}

function approveLine(id: string, needsApproval = false): string {
  return needsApproval
    ? `It begins when you approve it: agent-runner approve ${id.slice(0, 8)}\n`
    : "";
}

function createdJson(id: string, known: KeyResult | undefined) {
  return { id, ...known && { [known]: true } };
}

/** ` (running)`; nothing where it is not there any more. */
function stateIn(task: AgentTask | undefined): string {
  return task ? ` (${shownStateOf(task)})` : "";
}

/** How many tasks were made, and how many were there. */
export function summaryOf({ length, known }: IdList): string {
  const count = (result: KeyResult) =>
    [...known.values()].filter((it) => it === result).length;
  const [existing, replaced] = [count("existing"), count("replaced")];
  const created = length - known.size;
  return [
    `Created ${created} ${created === 1 ? "task" : "tasks"}\n`,
    replaced > 0
      ? `Changed ${countOf(replaced, "task")} that had the key and had not ` +
        "begun\n"
      : "",
    existing > 0 ? `${countOf(existing, "task")} had the key already\n` : "",
  ].join("");
}

/** The ids as JSON. */
export function writeIds(ids: IdList, terminal: Terminal): void {
  let before = "[";
  let place = 0;
  for (const set of ids.sets()) {
    const tasks = set.map((id) => createdJson(id, ids.known.get(place++)));
    const list = renderJson(tasks).trimEnd();
    terminal.write(before + list.slice(1, -1));
    before = ",";
  }
  terminal.write("]\n");
}
