/** Stands in for `@std/cli/unstable-progress-bar` where there is only npm. */

export interface ProgressBarFormatter {
  styledTime: string;
  styledData: string;
  progressBar: string;
  time: number;
  previousTime: number;
  value: number;
  previousValue: number;
  max: number;
}

export interface ProgressBarOptions {
  writable?: WritableStream<Uint8Array>;
  value?: number;
  max: number;
  barLength?: number;
  fillChar?: string;
  emptyChar?: string;
  clear?: boolean;
  formatter?: (formatter: ProgressBarFormatter) => string;
  keepOpen?: boolean;
  interval?: number;
}

const clearLine = "\r\u001b[K";

function defaultFormatter(now: ProgressBarFormatter): string {
  return `[${now.styledTime}] [${now.progressBar}] [${now.styledData}]`;
}

export class ProgressBar {
  value: number;
  max: number;
  #options: ProgressBarOptions;
  #writer: WritableStreamDefaultWriter<Uint8Array>;
  #startTime = Date.now();
  #previous: { time: number; value: number };
  #timer: ReturnType<typeof setInterval>;

  constructor(options: ProgressBarOptions) {
    this.#options = options;
    this.value = options.value ?? 0;
    this.max = options.max;
    this.#previous = { time: 0, value: this.value };
    this.#writer = (options.writable ?? Deno.stderr.writable).getWriter();
    this.#timer = setInterval(() => this.#print(), options.interval ?? 1000);
    this.#print();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#options.clear) {
      await this.#write(clearLine);
    } else {
      await this.#print();
      await this.#write("\n");
    }
    if (this.#options.keepOpen === false) {
      await this.#writer.close().catch(() => {});
    }
    this.#writer.releaseLock();
  }

  async #print(): Promise<void> {
    const { barLength = 50, fillChar = "#", emptyChar = "-" } = this.#options;
    const time = Date.now() - this.#startTime;
    const share = Math.min(Math.max(this.value / this.max, 0), 1);
    const filled = Math.trunc(share * barLength);
    const two = (n: number) => String(Math.trunc(n)).padStart(2, "0");
    const text = (this.#options.formatter ?? defaultFormatter)({
      styledTime: `${two(time / 60_000)}:${two(time / 1000 % 60)}`,
      styledData: `${this.value}/${this.max}`,
      progressBar: fillChar.repeat(filled) +
        emptyChar.repeat(barLength - filled),
      time,
      previousTime: this.#previous.time,
      value: this.value,
      previousValue: this.#previous.value,
      max: this.max,
    });
    this.#previous = { time, value: this.value };
    await this.#write(clearLine + text);
  }

  async #write(text: string): Promise<void> {
    // A closed terminal must not end the program.
    await this.#writer.write(new TextEncoder().encode(text)).catch(() => {});
  }
}
