/**
 * `deno task chaos [--seconds 300] [--runners 3] [--seed 1] [--only NAME]
 * [--postgres]`: torments databases for so long, and checks what is left of each.
 *
 * `deno task chaos --crash [--creates 2000] [--others 500] [--program FOLDER]`: calls
 * the program side by side, and counts the calls that end by a signal; FOLDER is
 * another version of the project.
 *
 * `deno task chaos --merges [--kills 200] [--runners 3] [--seed 1]`: kills runners on
 * one repository between the claim of a task and its merge.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { callSideBySide } from "./crash.ts";
import { runFullLoad } from "./full_load.ts";
import { killAtMerges } from "./merges.ts";
import { runMixed } from "./mixed.ts";
import { PostgresServer } from "../support/postgres_server.ts";
import { Random } from "./random.ts";
import {
  addReport,
  noReport,
  type Report,
  type SessionOptions,
} from "./session.ts";

/** How long each database is tormented before the next one's turn. */
const SESSION_SECONDS = 20;
const MAX_PROBLEMS_SHOWN = 10;
const CALLS_A_LINE = 100;

const SESSIONS: Readonly<
  Record<string, (options: SessionOptions) => Promise<Report>>
> = {
  mixed: runMixed,
  exclusive: (options) => runFullLoad({ ...options, isExclusive: true }),
  shared: (options) => runFullLoad({ ...options, isExclusive: false }),
};

const flags = parseArgs(Deno.args, {
  boolean: ["crash", "merges", "postgres"],
  string: [
    "seed",
    "seconds",
    "runners",
    "only",
    "creates",
    "others",
    "program",
    "kills",
  ],
  default: {
    kills: "200",
    seconds: "300",
    runners: "3",
    creates: "2000",
    others: "500",
  },
});
const seed = Number(flags.seed ?? Math.floor(Math.random() * 2 ** 32));
const problems = flags.crash
  ? await crash()
  : flags.merges
  ? await merges()
  : await torment();
for (const problem of problems.slice(0, MAX_PROBLEMS_SHOWN)) {
  console.error(`\n${problem}`);
}
Deno.exit(problems.length === 0 ? 0 : 1);

async function torment(): Promise<readonly string[]> {
  const runners = Number(flags.runners);
  const endAt = performance.now() + Number(flags.seconds) * 1_000;
  const random = new Random(seed);
  const sum = noReport();
  using server = flags.postgres ? PostgresServer.start() : undefined;
  const sessions = Object.entries(SESSIONS).filter(([name]) =>
    (flags.only === undefined || flags.only === name) &&
    !(server && name === "exclusive")
  );
  if (sessions.length === 0) {
    return [`Unknown: ${flags.only}. There are ${Object.keys(SESSIONS)}.`];
  }
  console.log(`Seed ${seed}, ${flags.seconds} s, ${runners} runners`);
  while (performance.now() < endAt && sum.problems.length === 0) {
    for (const [name, run] of sessions) {
      const leftSeconds = (endAt - performance.now()) / 1_000;
      if (leftSeconds <= 0) break;
      const seconds = Math.min(SESSION_SECONDS, leftSeconds);
      const report = await run({ random, seconds, runners, server });
      addReport(sum, report);
      const { kills, freezes, stops, tasks, programs, died } = report;
      console.log(
        `${name}: ${kills} kills, ${freezes} freezes, ${stops} stops, ` +
          `${tasks} tasks, ${programs} programs, ${died} given up, ` +
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
  console.log(
    problems.length === 0
      ? "\nNothing was lost, nothing was done twice."
      : `\n${problems.length} problems. Repeat with --seed ${seed}`,
  );
  return problems;
}

async function merges(): Promise<readonly string[]> {
  const kills = Number(flags.kills);
  console.log(`Seed ${seed}, ${kills} kills, ${flags.runners} runners`);
  const { problems, ...counts } = await killAtMerges({
    random: new Random(seed),
    kills,
    runners: Number(flags.runners),
    onKill: (count) => {
      if (count % 10 === 0) console.error(`  ${count} kills`);
    },
  });
  console.log(counts);
  return problems;
}

async function crash(): Promise<readonly string[]> {
  const { calls, refused, badEnds } = await callSideBySide({
    random: new Random(seed),
    creates: Number(flags.creates),
    others: Number(flags.others),
    root: flags.program && `${flags.program.replace(/\/$/, "")}/`,
    onCall: (count, badEnd) => {
      if (badEnd) console.error(`  ${badEnd.split("\n")[0]}`);
      if (count % CALLS_A_LINE === 0) console.error(`  ${count} calls`);
    },
  });
  for (const [call, count] of Object.entries(calls)) {
    console.log(`${String(count).padStart(10)} ${call}`);
  }
  console.log(
    `\n${badEnds.length} ended badly; ${refused} gave up, as the file was held.`,
  );
  return badEnds;
}
