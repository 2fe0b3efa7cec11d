/**
 * Calls of the program side by side on one database, and how each ended: none may
 * end by a signal that nobody sent.
 *
 * @module
 */

import { AT_ONCE, Folder } from "../cli/cli.ts";
import { isBusy } from "./logs.ts";
import type { Random } from "./random.ts";

/** What is called; `loop` is a `run --loop` that is sent SIGTERM. */
const CALLS = ["create", "list", "once", "loop"] as const;
type Call = (typeof CALLS)[number];

/** Options for {@linkcode callSideBySide}. */
export interface CrashOptions {
  readonly random: Random;
  /** How many calls of `create`. */
  readonly creates: number;
  /** How many calls of each of the others. */
  readonly others: number;
  /** The folder of another version of the program. */
  readonly root?: string;
  /** Is told of each call, how many there were, and what was wrong with it. */
  readonly onCall?: (count: number, badEnd: string | undefined) => void;
}

/** What came of the calls. */
export interface CrashReport {
  readonly calls: Readonly<Record<Call, number>>;
  /** Of those, how many gave up because the file was held for too long. */
  readonly refused: number;
  /** Ends by a signal that was not sent, and what else was not as it should. */
  readonly badEnds: readonly string[];
}

const LOOPS = 6;
/** A single pass is told to end after that. */
const ONCE_MS = 20_000;

/** Makes the calls in six loops, in a random order. */
export async function callSideBySide(
  { random, creates, others, root, onCall = () => {} }: CrashOptions,
): Promise<CrashReport> {
  using folder = new Folder();
  await folder.ok(["create", "first"], { root });
  const left: Record<Call, number> = {
    create: creates,
    list: others,
    once: others,
    loop: others,
  };
  const calls: Record<Call, number> = { create: 0, list: 0, once: 0, loop: 0 };
  const badEnds: string[] = [];
  let refused = 0;
  let created = 1;
  const next = (): Call | undefined => {
    const all = CALLS.reduce((sum, call) => sum + left[call], 0);
    let chosen = random.between(0, all - 1);
    return CALLS.find((call) => (chosen -= left[call]) < 0);
  };
  const loop = async () => {
    for (let call = next(); call; call = next()) {
      left[call]--;
      const { code, stderr } = await make(call, { folder, random, root });
      calls[call]++;
      if (code === 0 && call === "create") created++;
      const isRefused = code === 3 && isBusy(stderr);
      if (isRefused) refused++;
      const badEnd = code === 0 || isRefused
        ? undefined
        : `${call} ended with ${code}\n${stderr}`.trimEnd();
      if (badEnd !== undefined) badEnds.push(badEnd);
      onCall(CALLS.reduce((sum, it) => sum + calls[it], 0), badEnd);
    }
  };
  await Promise.all(Array.from({ length: LOOPS }, loop));
  const [{ n } = {}] = await folder.rows(
    "SELECT count(*)::INTEGER AS n FROM agent_tasks",
  );
  if (Number(n) < created) {
    badEnds.push(`${created} tasks were created, and there are ${n}`);
  }
  return { calls, refused, badEnds };
}

interface CallOptions {
  readonly folder: Folder;
  readonly random: Random;
  readonly root: string | undefined;
}

/** 128 and the signal's number is the code of who ends by a signal. */
async function make(
  call: Call,
  { folder, random, root }: CallOptions,
): Promise<{ readonly code: number; readonly stderr: string }> {
  const options = { env: AT_ONCE, root };
  switch (call) {
    case "create":
      return await folder.run(["create", "x"], options);
    case "list":
      return await folder.run(["list"], options);
    case "once": {
      await using runner = folder.start(["run", "--once"], options);
      // The others make tasks without end: it might never find that none is left.
      const timer = setTimeout(() => runner.signal("SIGTERM"), ONCE_MS);
      try {
        return await runner.ended();
      } finally {
        clearTimeout(timer);
      }
    }
    case "loop": {
      await using runner = folder.start(["run", "--loop"], options);
      try {
        await runner.line(/Running until stopped/);
        await new Promise((go) => setTimeout(go, random.between(0, 300)));
        runner.signal("SIGTERM");
      } catch {
        // It has ended: its code says why.
      }
      return await runner.ended();
    }
  }
}
