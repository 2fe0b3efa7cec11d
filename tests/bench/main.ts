/**
 * `deno task bench [--quick] [--only NAME] [--json FILE] [--against FOLDER]
 * [--mixed SHORT,LONG,SECONDS]`: measures what the design relies on and prints one
 * table.
 *
 * - `--quick`: fewer and smaller runs, to see whether the benchmark works.
 * - `--only NAME`: one scenario; may be given several times.
 * - `--json FILE`: writes every sample there.
 * - `--against FOLDER`: drains with another version of the project too, which stands
 *   there, in the same rounds; only then is there a scenario "against".
 * - `--mixed 2000,400,2`: how many short tasks the scenario "mixed" has, how many long
 *   ones, and how many seconds each of these takes.
 */

import { parseArgs } from "@std/cli/parse-args";
import { Bench, type Scenario } from "./bench.ts";
import { machineFacts } from "./machine.ts";
import { resultOf } from "./measurement.ts";
import { againstScenario } from "./scenarios/against.ts";
import { concurrencyScenario } from "./scenarios/concurrency.ts";
import { drainScenario } from "./scenarios/drain.ts";
import { enqueueScenario } from "./scenarios/enqueue.ts";
import { floorScenario } from "./scenarios/floor.ts";
import { idleScenario } from "./scenarios/idle.ts";
import { mixedScenario } from "./scenarios/mixed.ts";
import { peersScenario } from "./scenarios/peers.ts";
import { pickUpScenario } from "./scenarios/pick_up.ts";
import { sharedScenario } from "./scenarios/shared.ts";
import { startupScenario } from "./scenarios/startup.ts";
import { renderTable, type Section } from "./table.ts";

const SCENARIOS: readonly Scenario[] = [
  drainScenario,
  againstScenario,
  floorScenario,
  sharedScenario,
  enqueueScenario,
  pickUpScenario,
  idleScenario,
  concurrencyScenario,
  mixedScenario,
  startupScenario,
  peersScenario,
];

const flags = parseArgs(Deno.args, {
  boolean: ["quick"],
  string: ["only", "json", "against", "mixed"],
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
const [short, long, seconds] = (flags.mixed ?? "").split(",").map(Number);

await using bench = new Bench({
  isQuick: flags.quick,
  mixed: short && long && seconds
    ? { short, long, longMs: seconds * 1_000 }
    : undefined,
  against: flags.against && `${flags.against.replace(/\/$/, "")}/`,
});
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
