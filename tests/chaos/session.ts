/**
 * A session of chaos: a database of its own with real runners on it, what was done
 * to them, and a check of all that they left behind.
 *
 * @module
 */

import { type CliProcess, ENABLED, Folder } from "../cli/cli.ts";
import type { PostgresServer } from "../support/postgres_server.ts";
import { programConfig } from "../support/journal.ts";
import { until } from "../support/until.ts";
import {
  type Batch,
  checkHistory,
  type Counts,
  type LoggedOutcome,
  noCounts,
  readHistory,
  readJson,
} from "./history.ts";
import {
  checkJournal,
  isNothingLocked,
  type JournalCounts,
  noJournalCounts,
} from "./journal.ts";
import { isBusy, isWrong, outcomesOf } from "./logs.ts";
import type { Random } from "./random.ts";
import type { RunnerLife } from "./runners.ts";

/** Options for a session. */
export interface SessionOptions {
  readonly random: Random;
  /** When no new runners are started any more. */
  readonly seconds: number;
  /** How many share the database. */
  readonly runners: number;
  /** A PostgreSQL server, in place of a file. Its tables are made anew. */
  readonly server?: PostgresServer;
}

/** What was done, and what came of it. */
export interface Report extends Counts, JournalCounts {
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
    ...noJournalCounts(),
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

const MAX_ATTEMPTS = 3;
/** Longer than a freeze: who is frozen may hold the file. */
const DB_WAIT = "--db-wait=20";

/** How long a last runner may take, before another takes its place. */
const FINISH_MS = 30_000;

/** Says how a runner is started. */
export interface RunnerOptions {
  readonly concurrency: number;
  /** How long a simulated task takes. */
  readonly seconds: number;
  readonly args: readonly string[];
}

/** A runner that chaos has started. */
export interface ChaosRunner extends AsyncDisposable {
  readonly process: CliProcess;
  readonly life: RunnerLife;
}

/** One database, and those who use it. */
export class Session implements Disposable {
  readonly random: Random;
  readonly report = noReport();
  readonly #folder = new Folder();
  readonly #server: PostgresServer | undefined;
  /** Where the programs find the database. */
  readonly #env: Readonly<Record<string, string>>;
  readonly #files = {
    journal: `${this.#folder.path}/journal`,
    locks: `${this.#folder.path}/locks`,
  };
  readonly #leaseMs: number;
  readonly #endAt: number;
  readonly #batches: Batch[] = [];
  readonly #outcomes: LoggedOutcome[] = [];
  /** By process id. */
  readonly #runners = new Map<number, RunnerLife>();

  constructor({ random, seconds, server }: SessionOptions, leaseMs: number) {
    this.random = random;
    this.#server = server;
    this.#env = server ? { HANDSFREE_DB: server.address() } : {};
    server?.ask("DROP SCHEMA IF EXISTS agent_runner CASCADE");
    this.#leaseMs = leaseMs;
    this.#endAt = performance.now() + seconds * 1_000;
    this.#folder.write("journal", "");
    Deno.mkdirSync(this.#files.locks);
    this.#folder.write("agent-runner.json", programConfig(this.#files));
  }

  /** On a slow machine it goes on until something was killed. */
  get isOver(): boolean {
    const { kills, problems } = this.report;
    return problems.length > 0 ||
      kills > 0 && performance.now() >= this.#endAt;
  }

  start({ concurrency, seconds, args }: RunnerOptions): ChaosRunner {
    this.report.starts++;
    const process = this.#folder.start(
      [
        "run",
        `--lease=${this.#leaseMs / 1_000}`,
        `--max-attempts=${MAX_ATTEMPTS}`,
        `--concurrency=${concurrency}`,
        DB_WAIT,
        ...args,
      ],
      {
        env: {
          ...ENABLED,
          ...this.#env,
          HANDSFREE_AGENT_TASK_COMPLETION_DELAY: String(seconds),
        },
      },
    );
    const { pid } = process;
    const life: RunnerLife = { pid, concurrency, log: "", freezes: [] };
    this.#runners.set(pid, life);
    return {
      process,
      life,
      [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
    };
  }

  /** Waits until a runner claims; false where it gave up before. */
  async isRunning(runner: ChaosRunner): Promise<boolean> {
    try {
      await runner.process.line(/Running until stopped/);
      return true;
    } catch {
      await this.ended(runner, 3);
      return false;
    }
  }

  kill(runner: ChaosRunner): void {
    runner.life.killedAt = Date.now();
    if (this.#signal(runner, "SIGKILL")) this.report.kills++;
  }

  async freeze(runner: ChaosRunner): Promise<void> {
    const from = Date.now();
    if (!this.#signal(runner, "SIGSTOP")) return;
    this.report.freezes++;
    const freeze = { from, until: Infinity };
    runner.life.freezes.push(freeze);
    const most = 2.5 * this.#leaseMs;
    await pause(this.random.between(most / 20, most));
    this.#signal(runner, "SIGCONT");
    freeze.until = Date.now();
  }

  /** Tells a runner to stop, and perhaps a second time. */
  async stop(runner: ChaosRunner, isTwice: boolean): Promise<void> {
    if (!this.#signal(runner, "SIGTERM")) return;
    runner.life.stoppedAt = Date.now();
    this.report.stops++;
    if (!isTwice) return;
    await pause(this.random.between(0, 500));
    try {
      runner.process.signal("SIGTERM");
      runner.life.isAborted = true;
    } catch {
      // It was faster.
    }
  }

  /** Waits for the end, and keeps what the log says. */
  async ended(
    { process, life }: ChaosRunner,
    ...codes: number[]
  ): Promise<void> {
    const { pid } = process;
    try {
      const { code, stderr } = await process.ended();
      life.log = stderr;
      for (const outcome of outcomesOf(stderr, pid)) {
        this.#outcomes.push(outcome);
      }
      if (code === 3 && isBusy(stderr)) this.report.refused++;
      else if (!codes.includes(code)) {
        this.#problem(`Process ${pid} ended with ${code}`, stderr);
      }
      const [wrong] = stderr.split("\n").filter((line) => isWrong(line));
      if (wrong) this.#problem(`Process ${pid} said: ${wrong}`, stderr);
    } catch (error) {
      life.log = process.seen;
      const [what] = String(error).split("\n");
      this.#problem(`Process ${pid}: ${what}`, life.log);
    }
  }

  /** Creates tasks, at once. The command may be killed while it does. */
  async create(
    tasks: readonly Record<string, unknown>[],
    isKilled = false,
  ): Promise<void> {
    const ids = tasks.map(() => crypto.randomUUID());
    const stdin = tasks.map((task, index) =>
      JSON.stringify({ id: ids[index], instruction: `${index}`, ...task })
    ).join("\n");
    await using process = this.#folder.start(
      ["create", "--file=-", "--json", DB_WAIT],
      { stdin, env: this.#env },
    );
    if (isKilled) {
      await pause(this.random.between(100, 250));
      try {
        process.signal("SIGKILL");
      } catch {
        // It was faster.
      }
    }
    const { code, stderr } = await process.ended();
    this.#batches.push({ ids, isAcknowledged: code === 0 });
    if (code === 3 && isBusy(stderr)) this.report.refused++;
    else if (code !== 0 && !isKilled) {
      this.#problem(`create ended with ${code}`, stderr);
    }
  }

  /** Cancels one of the tasks that were created last. */
  async cancel(): Promise<void> {
    const { ids = [], isAcknowledged } = this.#batches.at(-1) ?? {};
    const id = ids[this.random.between(0, ids.length - 1)];
    if (id === undefined || !isAcknowledged) return;
    const stdout = await this.#command(["cancel", id, "--json"], 0, 1);
    if (stdout === undefined) return;
    const { result } = JSON.parse(stdout);
    if (result !== "cancelled") return;
    this.#outcomes.push({ taskId: id, kind: "cancelled", pid: 0 });
  }

  async list(): Promise<void> {
    const stdout = await this.#command(["list", "--json", "--limit=20"]);
    if (stdout !== undefined) JSON.parse(stdout);
  }

  /**
   * Looks at the database while nobody has it: it opens, and has what was
   * acknowledged until now. Returns how many tasks nobody has started.
   */
  async check(): Promise<number> {
    this.report.checks++;
    try {
      const states = new Map(
        await readJson<[string, string][]>(
          await this.#readable(),
          "SELECT to_json(list([id::TEXT, status])) FROM agent_tasks",
        ),
      );
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
      return [...states.values()].filter((it) => it === "created").length;
    } catch (error) {
      this.#problem(`The database does not open after a kill: ${error}`);
      return 0;
    }
  }

  /** Lets a last runner do what is left, and checks everything. */
  async finish(): Promise<Report> {
    const { report } = this;
    try {
      for (let tries = 0; tries < 60 && await this.#isUnfinished(); tries++) {
        await using runner = this.start({
          concurrency: 20,
          seconds: 0,
          args: ["--once"],
        });
        // What was to be done alone may be minutes of work: the next one goes on.
        const timer = setTimeout(() => {
          try {
            runner.process.signal("SIGTERM");
          } catch {
            // It was faster.
          }
        }, FINISH_MS);
        // 1: tasks failed, as they should.
        await this.ended(runner, 0, 1).finally(() => clearTimeout(timer));
      }
      await until(
        "the end of the last program",
        () => isNothingLocked(this.#files.locks),
      );
      const history = await readHistory(await this.#readable());
      const runners = this.#runners;
      const tasks = checkHistory(history, {
        batches: this.#batches,
        outcomes: this.#outcomes,
        leaseMs: this.#leaseMs,
        maxAttempts: MAX_ATTEMPTS,
        runners,
      });
      const programs = checkJournal(this.#folder.read("journal"), {
        history,
        runners,
        leaseMs: this.#leaseMs,
      });
      Object.assign(report, tasks.counts, programs.counts, {
        outcomes: this.#outcomes.length,
      });
      report.problems.push(...tasks.problems, ...programs.problems);
    } catch (error) {
      report.problems.push(`Not to be finished: ${error}`);
    }
    return report;
  }

  [Symbol.dispose](): void {
    if (this.report.problems.length === 0) {
      this.#folder[Symbol.dispose]();
      return;
    }
    for (const { pid, log } of this.#runners.values()) {
      this.#folder.write(`${pid}.log`, log);
    }
    this.report.problems.push(`The files are in ${this.#folder.path}`);
  }

  /** False where it has ended by itself, which it should not. */
  #signal({ process }: ChaosRunner, signal: Deno.Signal): boolean {
    try {
      process.signal(signal);
      return true;
    } catch {
      this.#problem(`Process ${process.pid} ended by itself`, process.seen);
      return false;
    }
  }

  /** What a command prints; undefined where it had to give up. */
  async #command(
    args: readonly string[],
    ...codes: number[]
  ): Promise<string | undefined> {
    const { code, stdout, stderr } = await this.#folder.run(
      [...args, DB_WAIT],
      { env: this.#env },
    );
    if (code === 0 || codes.includes(code)) return stdout;
    if (code === 3 && isBusy(stderr)) this.report.refused++;
    else this.#problem(`${args[0]} ended with ${code}`, stderr);
    return undefined;
  }

  /** The path of a file with everything: of a server's, a copy. */
  async #readable(): Promise<string> {
    if (!this.#server) return `${this.#folder.path}/handsfree.duckdb`;
    const path = `${this.#folder.path}/copy.duckdb`;
    for (const name of this.#folder.names()) {
      if (name.startsWith("copy.duckdb")) {
        Deno.removeSync(`${this.#folder.path}/${name}`);
      }
    }
    await this.#folder.ok(["copy", this.#server.address(), path]);
    return path;
  }

  async #isUnfinished(): Promise<boolean> {
    const count = await readJson<number>(
      await this.#readable(),
      `SELECT to_json(count(*)) FROM agent_tasks
       WHERE status NOT IN ('completed', 'failed')`,
    );
    return count > 0;
  }

  #problem(what: string, log = ""): void {
    const lines = log.trimEnd().split("\n").slice(-15);
    this.report.problems.push([what, ...lines].join("\n  "));
  }
}

/** A time that chaos takes, not one that something is expected within. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
