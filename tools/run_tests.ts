/**
 * `deno task test`: runs the tests that the arguments name; without any, all of
 * them, in as many processes side by side as there are processors, or as DENO_JOBS
 * says; their types are not checked then, which `deno task check` does. The threads of
 * `deno test --parallel` will not do: what one of them starts, another takes for its
 * own (see `lib/processors/command/process_mark.ts`).
 */

import { npmFlags } from "./std_source.ts";

const startedAt = performance.now();
/** What `deno test` says when all of its tests have ended. */
const END = /^ ERRORS |^(ok|FAILED) \| /;
const COUNT = /(\d+) (passed|step|failed|ignored)/g;

const isWhole = Deno.args.every((it) => npmFlags.includes(it));
const jobs = isWhole
  ? Number(Deno.env.get("DENO_JOBS")) || navigator.hardwareConcurrency
  : 1;
/** So many that the last of them end at about the same time. */
const shards = jobs * 6;

function denoTest(options: Partial<Deno.CommandOptions>, ...flags: string[]) {
  const args = ["test", "-q", ...Deno.args, "-P", ...flags];
  return new Deno.Command(Deno.execPath(), { args, ...options }).spawn();
}

/** Prints the lines of a shard as they come, and returns those of its end. */
async function runShard(index: number) {
  const flags = ["--no-check", `--shard=${index + 1}/${shards}`];
  const child = denoTest({ stdin: "null", stdout: "piped" }, ...flags);
  const end: string[] = [];
  const tell = (line: string) =>
    end.length > 0 || END.test(line) ? end.push(line) : console.log(line);
  let rest = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    lines.forEach(tell);
  }
  tell(rest);
  return { end, status: await child.status };
}

if (jobs === 1) Deno.exit((await denoTest({}).status).code);

const waiting = Array.from({ length: shards }, (_, index) => index);
const results: Awaited<ReturnType<typeof runShard>>[] = [];
async function work(): Promise<void> {
  for (let next; (next = waiting.shift()) !== undefined;) {
    results.push(await runShard(next));
  }
}
await Promise.all(Array.from({ length: jobs }, work));
const counts = { passed: 0, step: 0, failed: 0, ignored: 0 };
for (const line of results.flatMap(({ end }) => end)) {
  if (!line.startsWith("ok |") && !line.startsWith("FAILED |")) {
    console.log(line);
    continue;
  }
  for (const [, count, what] of line.matchAll(COUNT)) {
    counts[what as keyof typeof counts] += Number(count);
  }
}
const { passed, step, failed, ignored } = counts;
const code = results.find(({ status }) => !status.success)?.status.code ?? 0;
const minutes = ((performance.now() - startedAt) / 60_000).toFixed(1);
console.log(
  `\n${code === 0 ? "ok" : "FAILED"} | ${passed} passed (${step} steps) | ` +
    `${failed} failed | ${ignored} ignored (${minutes} min)`,
);
Deno.exit(code);
