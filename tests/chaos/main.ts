/**
 * The long chaos run: `deno task chaos --seconds 300 --runners 3 --seed 1`.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { addReport, noReport, runFullLoad, runMixed } from "./chaos.ts";
import { Random } from "./random.ts";

/** How long each database is tormented before the next one's turn. */
const SESSION_SECONDS = 20;
const MAX_PROBLEMS_SHOWN = 10;

const flags = parseArgs(Deno.args, {
  string: ["seed", "seconds", "runners"],
  default: { seconds: "300", runners: "3" },
});
const seed = Number(flags.seed ?? Math.floor(Math.random() * 2 ** 32));
const runners = Number(flags.runners);
const endAt = performance.now() + Number(flags.seconds) * 1_000;
const random = new Random(seed);
const sum = noReport();
console.log(`Seed ${seed}, ${flags.seconds} s, ${runners} runners`);

const sessions = {
  mixed: runMixed,
  "full load, exclusive": (options: Parameters<typeof runMixed>[0]) =>
    runFullLoad({ ...options, isExclusive: true }),
  "full load, shared": (options: Parameters<typeof runMixed>[0]) =>
    runFullLoad({ ...options, isExclusive: false }),
};
while (performance.now() < endAt && sum.problems.length === 0) {
  for (const [name, run] of Object.entries(sessions)) {
    const leftSeconds = (endAt - performance.now()) / 1_000;
    if (leftSeconds <= 0) break;
    const seconds = Math.min(SESSION_SECONDS, leftSeconds);
    const report = await run({ random, seconds, runners });
    addReport(sum, report);
    const { kills, freezes, stops, tasks, attempts, died } = report;
    console.log(
      `${name}: ${kills} kills, ${freezes} freezes, ${stops} stops, ` +
        `${tasks} tasks, ${attempts} attempts, ${died} given up, ` +
        `${report.takenFromLive} taken from live runners, ` +
        `${report.problems.length} problems`,
    );
  }
}

const { problems, ...counts } = sum;
console.log("\nIn all:");
for (const [name, count] of Object.entries(counts)) {
  const words = name.replaceAll(/[A-Z]/g, (it) => ` ${it.toLowerCase()}`);
  console.log(`${String(count).padStart(10)} ${words}`);
}
for (const problem of problems.slice(0, MAX_PROBLEMS_SHOWN)) {
  console.error(`\n${problem}`);
}
console.log(
  problems.length === 0
    ? "\nNothing was lost, nothing was done twice."
    : `\n${problems.length} problems. Repeat with --seed ${seed}`,
);
Deno.exit(problems.length === 0 ? 0 : 1);
