/**
 * `agent-runner batches`
 *
 * @module
 */

import { closestString } from "@std/text/closest-string";
import { EXIT, UsageError } from "../base/errors.ts";
import { formatCount, formatSpan } from "../base/figures.ts";
import type { Admin, Batch } from "../store/contract.ts";
import { countsText } from "../task/batch.ts";
import { CLIENT_SETTINGS, type Command, JSON_FLAG } from "./command.ts";
import { ageOf, alignRows, renderJson, type Screen } from "./render.ts";

/** More are not listed, and not offered where a name is wrong. */
const LISTED_BATCHES = 50;

/** Lists batches. */
export const batches: Command = {
  name: "batches",
  args: "[NAME]",
  maxArgs: 1,
  summary: "List the latest batches, and how many of their tasks have ended",
  flags: [JSON_FLAG],
  settings: CLIENT_SETTINGS,
  onlyReads: true,
  examples: ["batches", "batches nightly --json"],
  run: async ({ args: [name], flags, clock, terminal, openAdmin }) => {
    await using store = await openAdmin();
    const found = name === undefined
      ? await store.admin.batches({ limit: LISTED_BATCHES })
      : [await findBatch(store.admin, name)];
    if (flags.json) {
      const { batchToJson } = await import("../service/batch_json.ts");
      terminal.write(renderJson(found.map(batchToJson), 2));
    } else if (found.length === 0) {
      terminal.write(
        "No task is in a batch. agent-runner create --batch NAME makes one.\n",
      );
    } else terminal.write(renderTable(found, clock.now(), terminal.screen));
    return EXIT.ok;
  },
};

/**
 * The batch with the name.
 *
 * @throws {UsageError} where there is none: with the nearest one that there is.
 */
export async function findBatch(
  admin: Pick<Admin, "batches">,
  name: string,
): Promise<Batch> {
  const [batch] = await admin.batches({ name, limit: 1 });
  if (batch) return batch;
  const others = await admin.batches({ limit: LISTED_BATCHES });
  throw new UsageError(
    `There is no batch "${name}". ` +
      (others.length > 0
        ? `Did you mean "${closestString(name, others.map((it) => it.name))}"?`
        : "agent-runner create --batch NAME makes one."),
  );
}

function renderTable(
  found: readonly Batch[],
  now: Date,
  screen: Screen,
): string {
  const header = ["BATCH", "TASKS", "ENDED", "AGE", "TOOK", "COST", "STATES"];
  const rows = found.map((batch) => {
    const { name, total, ended, createdAt, endedAt, costUsd, counts } = batch;
    return [
      name,
      formatCount(total),
      formatCount(ended),
      ageOf(createdAt, now),
      endedAt ? formatSpan(endedAt.getTime() - createdAt.getTime()) : "",
      costUsd === 0 ? "" : `$${costUsd.toFixed(2)}`,
      countsText(counts),
    ];
  });
  return alignRows([header, ...rows], { width: screen.width, right: [1, 2, 5] })
    .map((line) => `${line}\n`).join("");
}
