/**
 * `deno task demo`: makes three tasks in a scratch database, runs them, and
 * shows what came of them.
 */
import { main } from "../main.ts";

const folder = await Deno.makeTempDir({ prefix: "agent-runner-demo-" });
const database = `${folder}/demo.duckdb`;
Deno.env.set("HANDSFREE_DB", database);
Deno.env.set("HANDSFREE_AGENT_RUNNER_ENABLED", "true");

const STEPS = [
  ["create", "Summarise the open issues"],
  ["create", "Review the pull request", "--target", "octo/app#12"],
  ["create", "Break something", "--trace", '{"simulate_failure": "No luck"}'],
  ["list"],
  ["run", "--once"],
  ["list"],
];

/** Shown, because the demo makes one task fail on purpose. */
const EXPECTED_EXIT_CODES = new Set([0, 1]);

let exitCode = 0;
try {
  for (const step of STEPS) {
    const words = step.map((word) => /[\s"{]/.test(word) ? `'${word}'` : word);
    console.log(`\n$ agent-runner ${words.join(" ")}`);
    const code = await main(step);
    if (!EXPECTED_EXIT_CODES.has(code)) exitCode = code;
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
console.log(
  "\nThe demo's database is gone again. For tasks of your own, " +
    "deno task install makes agent-runner a command.",
);
Deno.exit(exitCode);
