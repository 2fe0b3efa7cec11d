/**
 * A folder with the program, one agent as its provider, and a model server.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { systemClock } from "../../lib/base/clock.ts";
import {
  type CliProcess,
  type CliResult,
  ENABLED,
  Folder,
} from "../cli/cli.ts";
import type { Cli } from "./clis.ts";
import { processesHere } from "./loopback.ts";
import { ModelServer, type Reply } from "./model_server.ts";

/** Some need a minute to start, and retry for two. */
const PATIENCE_MS = 400_000;
/** The grace of a program that ignores SIGTERM, and a slow machine. */
const ALONE_MS = 20_000;
const LOOK_MS = 200;

/** A task, as `show --json` has it. */
export interface Shown {
  readonly state: string;
  readonly attempt: number;
  // deno-lint-ignore no-explicit-any -- tests look into it
  readonly trace: any;
}

/** How the agent is configured. */
export interface BenchOptions {
  /** The folder of its program. */
  readonly bin: string;
  readonly config?: object;
  readonly isSubscriber?: boolean;
}

/** See above. Dispose of it to end and remove all. */
export class Bench implements AsyncDisposable {
  readonly #folder: Folder;
  readonly #server: ModelServer;
  readonly #env: Readonly<Record<string, string>>;
  readonly #name: string;
  /** Those that are not the agent's, nor the runner's. */
  readonly #others: ReadonlySet<number>;

  private constructor(
    parts: { folder: Folder; server: ModelServer; name: string },
    env: Readonly<Record<string, string>>,
    others: ReadonlySet<number>,
  ) {
    this.#folder = parts.folder;
    this.#server = parts.server;
    this.#name = parts.name;
    this.#env = env;
    this.#others = others;
  }

  static async open(
    cli: Cli,
    { bin, config, isSubscriber = false }: BenchOptions,
  ): Promise<Bench> {
    const folder = new Folder();
    const home = join(folder.path, "home");
    const server = await ModelServer.start(join(folder.path, "requests"));
    const surroundings = { url: server.url, home, isSubscriber };
    for (const [name, file] of Object.entries(cli.files(surroundings))) {
      Deno.mkdirSync(dirname(join(home, name)), { recursive: true });
      const text = typeof file === "string" ? file : JSON.stringify(file);
      Deno.writeTextFileSync(join(home, name), text);
    }
    Deno.mkdirSync(home, { recursive: true });
    const { name } = cli;
    const setEnv = cli.variables(surroundings);
    const provider = { processor: "agent", agent: name, setEnv, ...config };
    folder.write(
      "agent-runner.json",
      JSON.stringify({ providers: { [name]: provider } }),
    );
    const env = {
      ...ENABLED,
      PATH: `${bin}:${Deno.env.get("PATH")}`,
      HOME: home,
    };
    const others = new Set((await processesHere()).keys());
    return new Bench({ folder, server, name }, env, others);
  }

  /** From now on the model answers these, the last one for ever. */
  says(...replies: readonly Reply[]): Promise<void> {
    return this.#server.says(...replies);
  }

  /** What the agent told the model since then. */
  asked(): Promise<string[]> {
    return this.#server.asked();
  }

  /** Runs the program to its end. */
  run(...args: readonly string[]): Promise<CliResult> {
    return this.#folder.run(args, this.#options);
  }

  /** The same, which must succeed. Returns what it prints. */
  ok(...args: readonly string[]): Promise<string> {
    return this.#folder.ok(args, this.#options);
  }

  start(...args: readonly string[]): CliProcess {
    return this.#folder.start(args, this.#options);
  }

  /** Runs it again and again, until the task is no more `running`. */
  async runToEnd(id: string, ...args: readonly string[]): Promise<void> {
    await until(async () => {
      await this.run(...args);
      return (await this.task(id)).state !== "running";
    }, () => "the task comes to an end");
  }

  /** @returns the id of the new task. */
  async create(instruction: string): Promise<string> {
    const [id = ""] = await this.#folder.create([
      { provider: this.#name, instruction },
    ], this.#env);
    return id;
  }

  /** Answers a task's question, with what may be too long for an argument. */
  async answer(id: string, stdin: string): Promise<void> {
    await this.#folder.ok(["answer", id, "-"], { ...this.#options, stdin });
  }

  async task(id: string): Promise<Shown> {
    return JSON.parse(await this.ok("show", id, "--json"));
  }

  /** A file in a task's folder. */
  path(id: string, name: string): string {
    const state = join(this.#env.HOME!, ".local/state/agent-runner");
    return join(state, "workspaces", id, name);
  }

  /** Waits until the model is asked for what it does not answer. */
  async hangs(): Promise<void> {
    await until(
      async () => await this.#server.hanging() > 0,
      () => "the model is waited for",
    );
  }

  /** Waits until a process runs that has this in its command line. */
  async hasProcess(text: string): Promise<void> {
    await until(
      async () => [...(await processesHere()).values()].join().includes(text),
      () => `${text} runs`,
    );
  }

  /** Waits until nothing is left of the agent, nor of a runner. */
  async isAlone(): Promise<void> {
    let left = new Map<number, string>();
    await until(
      async () => {
        left = await processesHere();
        for (const pid of this.#others) left.delete(pid);
        return left.size === 0;
      },
      () => `it leaves no process: ${JSON.stringify([...left])}`,
      ALONE_MS,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }

  get #options() {
    return { env: this.#env, patienceMs: PATIENCE_MS };
  }
}

async function until(
  holds: () => Promise<boolean>,
  what: () => string,
  limitMs = PATIENCE_MS,
): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!await holds()) {
    if (performance.now() > deadline) {
      throw new Error(`It did not happen: ${what()}`);
    }
    await systemClock.sleep(LOOK_MS);
  }
}
