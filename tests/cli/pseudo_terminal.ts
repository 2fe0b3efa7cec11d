/**
 * Starts the program on a terminal, as a person does: on a pseudo-terminal of
 * util-linux's `script`.
 *
 * @module
 */

import { commandOf, keptVariables } from "../support/project.ts";
import { PATIENCE_MS } from "./cli.ts";

/** Whether there is what it takes. */
export const hasPseudoTerminals = Deno.build.os === "linux" &&
  await new Deno.Command("script", { args: ["--version"], stdout: "null" })
    .output().then(({ success }) => success, () => false);

/** Options for {@linkcode PseudoTerminal}. */
export interface PseudoTerminalOptions {
  readonly folder: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly columns?: number;
  readonly rows?: number;
}

/** The program on a terminal. Dispose of it to be sure that it has ended. */
export class PseudoTerminal implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #keys: WritableStreamDefaultWriter<Uint8Array>;
  readonly #read: Promise<void>;
  #text = "";
  #wake: () => void = () => {};

  constructor(
    args: readonly string[],
    { folder, env, columns = 80, rows = 24 }: PseudoTerminalOptions,
  ) {
    const words = commandOf(args).map((word) =>
      `'${word.replaceAll("'", `'\\''`)}'`
    );
    const size = `stty cols ${columns} rows ${rows}`;
    this.#child = new Deno.Command("script", {
      args: ["-qefc", `${size}; exec ${words.join(" ")}`, "/dev/null"],
      cwd: folder,
      clearEnv: true,
      env: { ...keptVariables(), TERM: "xterm", ...env },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#keys = this.#child.stdin.getWriter();
    this.#read = this.#readAll();
  }

  /** Everything that was written so far. */
  get text(): string {
    return this.#text;
  }

  /** The last screen that was drawn, without colours. */
  get screen(): string {
    const frame = this.#text.split("\x1b[H").at(-1) ?? "";
    // deno-lint-ignore no-control-regex -- looking for them is the point
    return frame.replaceAll(/\x1b\[[0-9;?]*[a-zA-Z]|\r/g, "");
  }

  async type(keys: string): Promise<void> {
    await this.#keys.write(new TextEncoder().encode(keys));
  }

  /** Waits until one screen has all of that. */
  async shows(...patterns: RegExp[]): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    const isMissing = (pattern: RegExp) => !pattern.test(this.screen);
    while (patterns.some(isMissing)) {
      const leftMs = deadline - Date.now();
      if (leftMs <= 0) {
        throw new Error(`No ${patterns.filter(isMissing)}:\n${this.#text}`);
      }
      let timer: ReturnType<typeof setTimeout> | undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        timer = setTimeout(resolve, leftMs);
      });
      clearTimeout(timer);
    }
  }

  /** Waits for the end, and returns the exit code. */
  async ended(): Promise<number> {
    const timer = setTimeout(() => this.#kill(), PATIENCE_MS);
    try {
      const { code } = await this.#child.status;
      await this.#read;
      return code;
    } finally {
      clearTimeout(timer);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#kill();
    await this.#child.status;
    await this.#read;
    await this.#keys.close().catch(() => {}); // It may be closed already.
  }

  /** The terminal's end is the program's too: it gets SIGHUP. */
  #kill(): void {
    try {
      this.#child.kill("SIGTERM");
    } catch {
      // It has ended by itself.
    }
  }

  async #readAll(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.#child.stdout) {
      this.#text += decoder.decode(chunk, { stream: true });
      this.#wake();
    }
  }
}
