/**
 * The whole terminal for one program, until that lets go of it: then everything
 * is as it was before.
 *
 * @module
 */

import type { Terminal } from "./terminal.ts";

const ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
const LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const CLEAR_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

/** Ctrl-C, which is no signal while keys are read one by one; and Ctrl-D. */
const STOP_KEYS = new Set(["q", "Q", "\x03", "\x04"]);

/** A terminal that a program has for itself. */
export class LiveScreen implements Disposable {
  readonly #stop = new AbortController();
  readonly #hasKeys = Deno.stdin.isTerminal();
  readonly #terminal: Pick<Terminal, "write">;
  readonly #onResize: () => void;

  /** Takes the terminal, which standard output must be. */
  constructor(terminal: Pick<Terminal, "write">, onResize: () => void) {
    this.#terminal = terminal;
    this.#onResize = onResize;
    terminal.write(ENTER);
    if (Deno.build.os !== "windows") {
      Deno.addSignalListener("SIGWINCH", onResize);
    }
    if (this.#hasKeys) {
      Deno.stdin.setRaw(true);
      this.#readKeys();
    }
  }

  /** Aborts when somebody presses `q` or Ctrl-C, or the terminal is gone. */
  get stopped(): AbortSignal {
    return this.#stop.signal;
  }

  get size(): { readonly columns: number; readonly rows: number } {
    return Deno.consoleSize();
  }

  /** Shows lines from the top; those that do not fit are left out. */
  draw(lines: readonly string[]): void {
    const shown = lines.slice(0, this.size.rows)
      .map((line) => line + CLEAR_LINE);
    try {
      this.#terminal.write(HOME + shown.join("\r\n") + CLEAR_BELOW);
    } catch {
      this.#stop.abort(); // Nobody looks any more.
    }
  }

  [Symbol.dispose](): void {
    if (Deno.build.os !== "windows") {
      Deno.removeSignalListener("SIGWINCH", this.#onResize);
    }
    try {
      if (this.#hasKeys) Deno.stdin.setRaw(false);
      this.#terminal.write(LEAVE);
    } catch {
      // There is no terminal any more to give back.
    }
  }

  async #readKeys(): Promise<void> {
    const bytes = new Uint8Array(64);
    const decoder = new TextDecoder();
    while (!this.#stop.signal.aborted) {
      const length = await Deno.stdin.read(bytes);
      if (length === null) return; // No more keys; signals still stop it.
      const keys = decoder.decode(bytes.subarray(0, length));
      if ([...keys].some((key) => STOP_KEYS.has(key))) this.#stop.abort();
    }
  }
}
