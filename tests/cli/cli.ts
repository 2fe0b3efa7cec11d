/**
 * Starts the program as its users do: as a process of its own, with nothing in
 * its environment but what a test sets.
 *
 * @module
 */

import { assertEquals, assertFalse } from "@std/assert";
import { DuckDBInstance } from "duckdb";
import { runEnv } from "../../tools/run_task.ts";
import { commandOf, keptVariables } from "../support/project.ts";

/** Only what hangs reaches this, however busy the machine is. */
export const PATIENCE_MS = 60_000;

// deno-lint-ignore no-control-regex -- looking for them is the point
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/;

/** What a process left. */
export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a process is started. */
export interface CliOptions {
  /** Variables beside those that Deno itself needs. */
  readonly env?: Readonly<Record<string, string>>;
  /** What standard input gives. Default: nothing. */
  readonly stdin?: string | Uint8Array<ArrayBuffer>;
  /** Standard error goes where standard output goes, as with `2>&1`. */
  readonly isErrorsToOutput?: boolean;
  /** The folder of another version of the program, with a slash at its end. */
  readonly root?: string;
  /** How long it is waited for. @default {PATIENCE_MS} */
  readonly patienceMs?: number;
}

/** The variable without which nothing runs. */
export const ENABLED = { HANDSFREE_AGENT_RUNNER_ENABLED: "true" };

/** As {@linkcode ENABLED}, with tasks that take no time. */
export const AT_ONCE = {
  ...ENABLED,
  HANDSFREE_AGENT_TASK_COMPLETION_DELAY: "0",
};

/** A folder that is gone after the test, in which the program is started. */
export class Folder implements Disposable {
  readonly path = Deno.makeTempDirSync({ prefix: "agent-runner-cli-" });

  /** Runs the program to its end. */
  async run(
    args: readonly string[],
    options: CliOptions = {},
  ): Promise<CliResult> {
    const process = this.start(args, options);
    try {
      return await process.ended();
    } finally {
      await process[Symbol.asyncDispose]();
    }
  }

  /** Runs the program, which must succeed, and returns what it prints. */
  async ok(
    args: readonly string[],
    options: CliOptions = {},
  ): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, options);
    assertEquals(code, 0, `${args.join(" ")}: ${stderr}`);
    return stdout;
  }

  /** Runs the program, which must say no. Returns what it says. */
  async fails(
    code: number,
    args: readonly string[],
    options: CliOptions = {},
  ): Promise<string> {
    const result = await this.run(args, options);
    assertEquals(
      { code: result.code, stdout: result.stdout },
      { code, stdout: "" },
      `${args.join(" ")}: ${result.stdout}${result.stderr}`,
    );
    return result.stderr;
  }

  /** Starts the program. */
  start(args: readonly string[], options: CliOptions = {}): CliProcess {
    return new CliProcess(this.path, args, options);
  }

  /** Creates tasks in this order and returns their ids. */
  async create(
    tasks: readonly Record<string, unknown>[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<string[]> {
    const text = tasks.map((task) => JSON.stringify(task)).join("\n");
    this.write("tasks.jsonl", text);
    const out = await this.ok(["create", "--file", "tasks.jsonl", "--json"], {
      env,
    });
    return (JSON.parse(out) as { id: string }[]).map(({ id }) => id);
  }

  /** Rows of the default database, read without the program. */
  async rows(sql: string): Promise<Record<string, unknown>[]> {
    const instance = await DuckDBInstance.create(
      `${this.path}/handsfree.duckdb`,
    );
    const connection = await instance.connect();
    try {
      const reader = await connection.runAndReadAll(sql);
      return reader.getRowObjectsJson();
    } finally {
      connection.closeSync();
      instance.closeSync();
    }
  }

  write(name: string, content: string | Uint8Array): void {
    const bytes = typeof content === "string"
      ? new TextEncoder().encode(content)
      : content;
    Deno.writeFileSync(`${this.path}/${name}`, bytes);
  }

  read(name: string): string {
    return Deno.readTextFileSync(`${this.path}/${name}`);
  }

  /** The names in the folder. */
  names(): string[] {
    return [...Deno.readDirSync(this.path)].map(({ name }) => name).sort();
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

interface Waiting {
  readonly pattern: RegExp;
  readonly count: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** The program while it runs. Dispose of it to be sure that it does not. */
export class CliProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #stdout: Promise<string>;
  readonly #stderr: Promise<string>;
  readonly #closeOutput = new AbortController();
  readonly #patienceMs: number;
  #seen = "";
  #waiting: Waiting[] = [];
  #hasEnded = false;

  constructor(
    folder: string,
    args: readonly string[],
    { env = {}, stdin, isErrorsToOutput, root, patienceMs = PATIENCE_MS }:
      CliOptions,
  ) {
    this.#patienceMs = patienceMs;
    const command = commandOf(args, root);
    // Only a shell can give a process one pipe for both.
    if (isErrorsToOutput) command.unshift("sh", "-c", 'exec "$@" 2>&1', "sh");
    const [program = "", ...words] = command;
    this.#child = new Deno.Command(program, {
      args: words,
      cwd: folder,
      clearEnv: true,
      env: { ...keptVariables(), ...runEnv, ...env },
      stdin: stdin === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#stdout = this.#readOutput();
    this.#stderr = this.#followErrors();
    if (stdin !== undefined) this.#feed(stdin);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Everything on standard error so far. */
  get seen(): string {
    return this.#seen;
  }

  /** Waits until `count` lines on standard error match. */
  line(pattern: RegExp, count = 1): Promise<void> {
    if (matches(this.#seen, pattern) >= count) return Promise.resolve();
    return this.#inTime(
      new Promise((resolve, reject) => {
        this.#waiting.push({ pattern, count, resolve, reject });
      }),
      () => `${count} × ${pattern}`,
    );
  }

  signal(name: Deno.Signal): void {
    this.#child.kill(name);
  }

  /** Stops to read standard output after its first bytes, as `head` does. */
  closeOutput(): void {
    this.#closeOutput.abort();
  }

  /** Waits for the end. Whatever was done, no stack trace may be shown. */
  async ended(): Promise<CliResult> {
    const { code } = await this.#inTime(this.#child.status, () => "the end");
    this.#hasEnded = true;
    const stdout = await this.#stdout;
    const stderr = await this.#stderr;
    assertFalse(/^ {4}at /m.test(stderr), `A stack trace:\n${stderr}`);
    assertFalse(CONTROL.test(stderr), `Raw control bytes: ${quoted(stderr)}`);
    return { code, stdout, stderr };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#hasEnded) {
      try {
        this.#child.kill("SIGKILL");
      } catch {
        // It has ended by itself.
      }
    }
    await Promise.all([this.#child.status, this.#stdout, this.#stderr]);
  }

  async #readOutput(): Promise<string> {
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of this.#child.stdout) {
      text += decoder.decode(chunk, { stream: true });
      // Leaving the loop closes the pipe.
      if (this.#closeOutput.signal.aborted) break;
    }
    return text;
  }

  async #followErrors(): Promise<string> {
    const decoder = new TextDecoder();
    for await (const chunk of this.#child.stderr) {
      this.#seen += decoder.decode(chunk, { stream: true });
      this.#waiting = this.#waiting.filter(({ pattern, count, resolve }) => {
        const isFound = matches(this.#seen, pattern) >= count;
        if (isFound) resolve();
        return !isFound;
      });
    }
    for (const { pattern, reject } of this.#waiting) {
      reject(new Error(`It ended without ${pattern}:\n${this.#seen}`));
    }
    return this.#seen;
  }

  async #feed(text: string | Uint8Array<ArrayBuffer>): Promise<void> {
    const bytes = typeof text === "string"
      ? new TextEncoder().encode(text)
      : text;
    const writer = this.#child.stdin.getWriter();
    try {
      await writer.write(bytes);
      await writer.close();
    } catch {
      // The program did not want it; whether that is right, the test says.
    }
  }

  async #inTime<T>(result: Promise<T>, what: () => string): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () =>
          reject(
            new Error(`Waited too long for ${what()}. Seen:\n${this.#seen}`),
          ),
        this.#patienceMs,
      );
    });
    try {
      return await Promise.race([result, tooLate]);
    } finally {
      clearTimeout(timer);
    }
  }
}

function matches(text: string, pattern: RegExp): number {
  return text.split("\n").filter((line) => pattern.test(line)).length;
}

/** A text with its control characters made visible, for messages. */
function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 500));
}
