/**
 * Real runners on one file that are killed, frozen and stopped at random, and a
 * check of all that they left behind.
 *
 * @module
 */

import { AT_ONCE, type CliProcess, ENABLED, Folder } from "../cli/cli.ts";
import {
  type Batch,
  checkHistory,
  type Counts,
  type LoggedOutcome,
  noCounts,
  readHistory,
  readJson,
} from "./history.ts";
import type { Random } from "./random.ts";

/** Options for a session. */
export interface SessionOptions {
  readonly random: Random;
  /** When no new runners are started any more. */
  readonly seconds: number;
  /** How many share the file. */
  readonly runners: number;
}

/** What was done, and what came of it. */
export interface Report extends Counts {
  starts: number;
  kills: number;
  freezes: number;
  stops: number;
  /** Commands that gave up, because the file was held for too long. */
  refused: number;
  /** Looks at the database while all runners were dead. */
  checks: number;
  outcomes: number;
  problems: string[];
}

/** A report of nothing. */
export function noReport(): Report {
  return {
    starts: 0,
    kills: 0,
    freezes: 0,
    stops: 0,
    refused: 0,
    checks: 0,
    outcomes: 0,
    ...noCounts(),
    problems: [],
  };
}

/** Adds the second report to the first. */
export function addReport(sum: Report, more: Report): void {
  for (const [name, value] of Object.entries(more)) {
    if (typeof value !== "number") continue;
    const key = name as Exclude<keyof Report, "problems">;
    sum[key] += value;
  }
  sum.problems.push(...more.problems);
}

/** Enough for half a second; created again when fewer are left. */
const FULL_LOAD_TASKS = 20_000;
const LEASE_MS = 1_000;
const MAX_ATTEMPTS = 3;
/** Shorter than the helper's patience, so that the program speaks first. */
const DB_WAIT = "--db-wait=8";
const RUNNER = [
  "run",
  `--lease=${LEASE_MS / 1_000}`,
  `--max-attempts=${MAX_ATTEMPTS}`,
  DB_WAIT,
];

/**
 * Runners that share a file and are killed, frozen and stopped, while others
 * create, cancel and list tasks; tasks take from nothing to 300 ms.
 */
export async function runMixed(options: SessionOptions): Promise<Report> {
  using session = new Session(options);
  await session.begin();
  const slots = Array.from({ length: options.runners }, async (_, slot) => {
    while (!session.isOver) await session.runnerLife(slot);
  });
  await Promise.all([...slots, session.write(), session.read()]);
  return await session.finish();
}

/**
 * Runners at full load that are killed at any moment, opening the file included;
 * the database is looked at after each.
 */
export async function runFullLoad(
  options: SessionOptions & { readonly isExclusive: boolean },
): Promise<Report> {
  using session = new Session(options);
  while (!session.isOver) await session.killAtFullLoad(options.isExclusive);
  return await session.finish();
}

class Session implements Disposable {
  readonly #folder = new Folder();
  readonly #path = `${this.#folder.path}/handsfree.duckdb`;
  readonly #random: Random;
  readonly #runners: number;
  readonly #endAt: number;
  readonly #report = noReport();
  readonly #batches: Batch[] = [];
  readonly #outcomes: LoggedOutcome[] = [];
  /** Process ids of runners that were killed or frozen. */
  readonly #harmed = new Set<number>();
  /** Tasks that nobody had started at the last look. */
  #waiting = 0;

  constructor({ random, seconds, runners }: SessionOptions) {
    this.#random = random;
    this.#runners = runners;
    this.#endAt = performance.now() + seconds * 1_000;
  }

  get isOver(): boolean {
    return performance.now() >= this.#endAt ||
      this.#report.problems.length > 0;
  }

  /** Starts a runner, and does to it what ends it, sooner or later. */
  async runnerLife(slot: number): Promise<void> {
    const random = this.#random;
    const seconds = random.pick(["0.003", "0.02", "0.1", "0.3"]);
    const concurrency = random.between(2, 30);
    await using runner = this.#start(
      ["--loop", `--concurrency=${concurrency}`],
      { ...ENABLED, HANDSFREE_AGENT_TASK_COMPLETION_DELAY: seconds },
    );
    if (!await this.#isRunning(runner)) return;
    while (true) {
      await pause(random.between(100, 1_500));
      // Who holds the file while it is frozen keeps all others waiting, so only
      // one is frozen at a time.
      const acts = slot === 0 && !this.isOver
        ? ["kill", "freeze", "freeze", "stop"] as const
        : ["kill", "kill", "stop"] as const;
      const act = random.pick(acts);
      if (act === "freeze") await this.#freeze(runner);
      else {
        if (act === "kill") this.#kill(runner);
        else if (!this.#signal(runner, "SIGTERM")) return;
        else this.#report.stops++;
        return await this.#ended(runner, act === "stop" ? 0 : 137);
      }
    }
  }

  /** Creates batches of tasks until time is up, and cancels some. */
  async write(): Promise<void> {
    const random = this.#random;
    while (!this.isOver) {
      await this.#create(
        Array.from({ length: random.between(1, 80) }, () => this.#newTask()),
        random.is(0.15),
      );
      if (random.is(0.3)) await this.#cancel();
      await pause(random.between(0, 300));
    }
  }

  /** Makes the database: there is nothing to list without. */
  async begin(): Promise<void> {
    await this.#create([this.#newTask()], false);
  }

  /** Lists tasks until time is up. */
  async read(): Promise<void> {
    while (!this.isOver) {
      const stdout = await this.#command(["list", "--json", "--limit=20"]);
      if (stdout !== undefined) JSON.parse(stdout);
      await pause(this.#random.between(0, 500));
    }
  }

  /** Kills all runners at once, or nearly, and looks at what they left. */
  async killAtFullLoad(isExclusive: boolean): Promise<void> {
    const random = this.#random;
    if (this.#waiting < FULL_LOAD_TASKS) {
      await this.#create(Array.from({ length: FULL_LOAD_TASKS }, () => ({})));
    }
    // A start of nine replays what the one before left in the log.
    const isEarly = random.is(0.25);
    await using stack = new AsyncDisposableStack();
    const runners = Array.from(
      { length: isExclusive ? 1 : this.#runners },
      () =>
        stack.use(this.#start(
          isExclusive ? ["--loop", "--exclusive"] : ["--loop"],
          AT_ONCE,
        )),
    );
    if (isEarly) await pause(random.between(80, 300));
    else {
      await Promise.any(runners.map((runner) => runner.line(/ started /)));
      await pause(random.between(0, 700));
    }
    for (const runner of runners) {
      this.#kill(runner);
      if (random.is(0.5)) await pause(random.between(0, 50));
    }
    for (const runner of runners) await this.#ended(runner, 137);
    await this.#checkAfterKill();
  }

  /** Lets a last runner do what is left, and checks everything. */
  async finish(): Promise<Report> {
    const report = this.#report;
    try {
      for (let tries = 0; tries < 60 && await this.#isUnfinished(); tries++) {
        await using runner = this.#start(["--once", "--concurrency=100"], {
          ...ENABLED,
          HANDSFREE_AGENT_TASK_COMPLETION_DELAY: "0",
        });
        // 1: tasks failed, as they should.
        await this.#ended(runner, 0, 1);
      }
      const { counts, problems } = checkHistory(await readHistory(this.#path), {
        batches: this.#batches,
        outcomes: this.#outcomes,
        leaseMs: LEASE_MS,
        maxAttempts: MAX_ATTEMPTS,
        harmed: this.#harmed,
      });
      Object.assign(report, counts, { outcomes: this.#outcomes.length });
      report.problems.push(...problems);
    } catch (error) {
      report.problems.push(`Not to be finished: ${error}`);
    }
    return report;
  }

  [Symbol.dispose](): void {
    if (this.#report.problems.length === 0) this.#folder[Symbol.dispose]();
    else this.#report.problems.push(`The files are in ${this.#folder.path}`);
  }

  #start(args: readonly string[], env: Record<string, string>): CliProcess {
    this.#report.starts++;
    return this.#folder.start([...RUNNER, ...args], { env });
  }

  async #isRunning(runner: CliProcess): Promise<boolean> {
    try {
      await runner.line(/Running until stopped/);
      return true;
    } catch {
      await this.#ended(runner, 3);
      return false;
    }
  }

  /** False where it has ended by itself, which it should not. */
  #signal(runner: CliProcess, signal: Deno.Signal): boolean {
    try {
      runner.signal(signal);
      return true;
    } catch {
      this.#problem(`Process ${runner.pid} ended by itself`, runner.seen);
      return false;
    }
  }

  #kill(runner: CliProcess): void {
    this.#harmed.add(runner.pid);
    if (this.#signal(runner, "SIGKILL")) this.#report.kills++;
  }

  async #freeze(runner: CliProcess): Promise<void> {
    this.#harmed.add(runner.pid);
    if (!this.#signal(runner, "SIGSTOP")) return;
    this.#report.freezes++;
    await pause(this.#random.between(LEASE_MS, 2.5 * LEASE_MS));
    this.#signal(runner, "SIGCONT");
  }

  /** Waits for the end, and keeps what the log says. */
  async #ended(runner: CliProcess, ...codes: number[]): Promise<void> {
    try {
      const { code, stderr } = await runner.ended();
      for (const outcome of outcomesOf(stderr, runner.pid)) {
        this.#outcomes.push(outcome);
      }
      if (code === 3 && isBusy(stderr)) this.#report.refused++;
      else if (!codes.includes(code)) {
        this.#problem(`Process ${runner.pid} ended with ${code}`, stderr);
      }
      const [wrong] = stderr.split("\n").filter((line) => isWrong(line));
      if (wrong) this.#problem(`Process ${runner.pid} said: ${wrong}`, stderr);
    } catch (error) {
      const [what] = String(error).split("\n");
      this.#problem(`Process ${runner.pid}: ${what}`, runner.seen);
    }
  }

  #newTask(): Record<string, unknown> {
    const random = this.#random;
    return {
      priority: random.between(-1, 1),
      ...(random.is(0.1) ? { attempts: 2 } : {}),
      ...(random.is(0.1) ? { trace: { simulate_failure: "as asked" } } : {}),
    };
  }

  async #create(
    tasks: readonly Record<string, unknown>[],
    isKilled = false,
  ): Promise<void> {
    const ids = tasks.map(() => crypto.randomUUID());
    const stdin = tasks.map((task, index) =>
      JSON.stringify({ id: ids[index], instruction: `${index}`, ...task })
    ).join("\n");
    await using process = this.#folder.start(
      ["create", "--file=-", "--json", DB_WAIT],
      { stdin },
    );
    if (isKilled) {
      await pause(this.#random.between(100, 250));
      try {
        process.signal("SIGKILL");
      } catch {
        // It was faster.
      }
    }
    const { code, stderr } = await process.ended();
    this.#batches.push({ ids, isAcknowledged: code === 0 });
    if (code === 3 && isBusy(stderr)) this.#report.refused++;
    else if (code !== 0 && !isKilled) {
      this.#problem(`create ended with ${code}`, stderr);
    }
  }

  async #cancel(): Promise<void> {
    const { ids = [] } = this.#batches.at(-1) ?? {};
    const [id] = ids;
    if (id === undefined || !this.#batches.at(-1)?.isAcknowledged) return;
    const stdout = await this.#command(["cancel", id, "--json"], 0, 1);
    if (stdout === undefined) return;
    const { result } = JSON.parse(stdout);
    if (result !== "cancelled") return;
    this.#outcomes.push({ taskId: id, kind: "cancelled", pid: 0 });
  }

  /** What a command prints; undefined where it had to give up. */
  async #command(
    args: readonly string[],
    ...codes: number[]
  ): Promise<string | undefined> {
    const { code, stdout, stderr } = await this.#folder.run([...args, DB_WAIT]);
    if (code === 0 || codes.includes(code)) return stdout;
    if (code === 3 && isBusy(stderr)) this.#report.refused++;
    else this.#problem(`${args[0]} ended with ${code}`, stderr);
    return undefined;
  }

  async #isUnfinished(): Promise<boolean> {
    const count = await readJson<number>(
      this.#path,
      `SELECT to_json(count(*)) FROM agent_tasks
       WHERE status NOT IN ('completed', 'failed')`,
    );
    return count > 0;
  }

  /** The database opens, and has what was acknowledged until now. */
  async #checkAfterKill(): Promise<void> {
    this.#report.checks++;
    try {
      const states = new Map(
        await readJson<[string, string][]>(
          this.#path,
          "SELECT to_json(list([id::TEXT, status])) FROM agent_tasks",
        ),
      );
      this.#waiting = [...states.values()].filter((it) => it === "created")
        .length;
      for (const { ids, isAcknowledged } of this.#batches) {
        const lost = isAcknowledged && ids.find((id) => !states.has(id));
        if (lost) this.#problem(`Task ${lost} is gone after a kill`);
      }
      for (const { taskId, kind } of this.#outcomes) {
        const state = states.get(taskId);
        if (kind === "released" || state === kind) continue;
        this.#problem(`Task ${taskId} is ${state}, and was said to be ${kind}`);
        break;
      }
    } catch (error) {
      this.#problem(`The database does not open after a kill: ${error}`);
    }
  }

  #problem(what: string, log = ""): void {
    const lines = log.trimEnd().split("\n").slice(-15);
    this.#report.problems.push([what, ...lines].join("\n  "));
  }
}

const OUTCOME =
  / - (?:INFO|ERROR|WARNING) - Task ([-0-9a-f]{36}) (completed in|failed:|was cancelled|was given back:)/g;

const KINDS: Readonly<Record<string, LoggedOutcome["kind"]>> = {
  "completed in": "completed",
  "failed:": "failed",
  "was cancelled": "cancelled",
  "was given back:": "released",
};

function* outcomesOf(log: string, pid: number): Generator<LoggedOutcome> {
  for (const [, taskId = "", words = ""] of log.matchAll(OUTCOME)) {
    yield { taskId, kind: KINDS[words] ?? "completed", pid };
  }
}

function isBusy(stderr: string): boolean {
  return /error: Cannot open .* holds it\./.test(stderr);
}

/** Lines of a log that no kill and no freeze explains. */
function isWrong(line: string): boolean {
  return / - (WARNING|ERROR) - |^error: /.test(line) &&
    !/ - Task [-0-9a-f]{36} |Stopping now| holds it\./.test(line);
}

/** A time that chaos takes, not one that something is expected within. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
