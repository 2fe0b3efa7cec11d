/**
 * `deno task bench [--quick] [--only NAME] [--json FILE]`: measures what the
 * design relies on and prints one table.
 *
 * - `--quick`: fewer and smaller runs, to see whether the benchmark works.
 * - `--only NAME`: one scenario; may be given several times.
 * - `--json FILE`: writes every sample there.
 */

import { parseArgs } from "@std/cli/parse-args";
import { Bench, type Scenario } from "./bench.ts";
import { machineFacts } from "./machine.ts";
import { resultOf } from "./measurement.ts";
import { concurrencyScenario } from "./scenarios/concurrency.ts";
import { drainScenario } from "./scenarios/drain.ts";
import { enqueueScenario } from "./scenarios/enqueue.ts";
import { floorScenario } from "./scenarios/floor.ts";
import { idleScenario } from "./scenarios/idle.ts";
import { peersScenario } from "./scenarios/peers.ts";
import { pickUpScenario } from "./scenarios/pick_up.ts";
import { sharedScenario } from "./scenarios/shared.ts";
import { startupScenario } from "./scenarios/startup.ts";
import { renderTable, type Section } from "./table.ts";

const SCENARIOS: readonly Scenario[] = [
  drainScenario,
  floorScenario,
  sharedScenario,
  enqueueScenario,
  pickUpScenario,
  idleScenario,
  concurrencyScenario,
  startupScenario,
  peersScenario,
];

const flags = parseArgs(Deno.args, {
  boolean: ["quick"],
  string: ["only", "json"],
  collect: ["only"],
});
const names = SCENARIOS.map(({ name }) => name);
const only: readonly string[] = flags.only;
const unknown = only.filter((name) => !names.includes(name));
if (unknown.length > 0) {
  console.error(`Unknown: ${unknown.join()}. There are ${names.join(", ")}.`);
  Deno.exit(2);
}
const chosen = only.length > 0
  ? SCENARIOS.filter(({ name }) => only.includes(name))
  : SCENARIOS.filter(({ isSlow }) => !isSlow || !flags.quick);

await using bench = new Bench(flags.quick);
const machine = await machineFacts(bench.folder);
const sections: Section[] = [];
for (const { name, title, measure } of chosen) {
  console.error(`${name}: ${title}`);
  try {
    sections.push({ name, title, measurements: await measure(bench) });
  } catch (error) {
    // What was measured before, perhaps for minutes, is still shown.
    console.error(error);
    Deno.exitCode = 1;
    const failed = {
      name,
      unit: "",
      samples: [],
      missing: "FAILED, see above",
    };
    sections.push({ name, title, measurements: [failed] });
  }
}

if (Number.parseFloat(machine.load ?? "") > 0.5) {
  console.log("Something else was running: ratios count, absolutes do not.");
}
for (const [name, fact] of Object.entries(machine)) {
  console.log(`${name}: ${fact}`);
}
console.log(`\n${renderTable(sections)}`);
if (flags.json) {
  const results = sections.map(({ measurements, ...section }) => ({
    ...section,
    measurements: measurements.map((it) => ({ ...it, result: resultOf(it) })),
  }));
  Deno.writeTextFileSync(
    flags.json,
    JSON.stringify(
      { at: new Date(), quick: flags.quick, machine, results },
      null,
      2,
    ) + "\n",
  );
}
