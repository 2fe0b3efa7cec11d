/**
 * The log: text or JSON lines on stderr, so that stdout is for results. What is
 * used of `@std/log` stays in this file: upstream removed it from the standard
 * library in 2025.
 *
 * @module
 */

import { BaseHandler } from "@std/log/base-handler";
import { LogLevels } from "@std/log/levels";
import { Logger, LogRecord } from "@std/log/logger";

/** How much is said. */
export type LogLevel = "DEBUG" | "INFO" | "WARNING" | "ERROR";
export type LogFormat = "text" | "json";

/** Facts that a JSON line carries apart from its message. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Writes lines of four levels. */
export interface Log extends Disposable {
  /** Whether DEBUG lines are written; saves making them where they are not. */
  readonly isDebug: boolean;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warning(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** Writes what waits in memory. */
  flush(): void;
}

/** Options for {@linkcode createLog}. */
export interface LogOptions {
  /** @default {"INFO"} */
  level?: LogLevel;
  /** @default {"text"} */
  format?: LogFormat;
  /** Takes the finished lines. Default: stderr. */
  write?: (text: string) => void;
}

const LOGGER_NAME = "agent-runner";

/** `WARN` is how `@std/log` calls WARNING. */
const LEVEL_NAMES = {
  DEBUG: "DEBUG",
  INFO: "INFO",
  WARNING: "WARN",
  ERROR: "ERROR",
} as const;

/** Makes a log. Dispose of it to write the last lines. */
export function createLog(options: LogOptions = {}): Log {
  const level = LEVEL_NAMES[options.level ?? "INFO"];
  const handler = new BufferedHandler(
    options.format === "json" ? formatJson : createTextFormat(),
    options.write ?? writeToStderr,
  );
  const logger = new Logger(LOGGER_NAME, level, { handlers: [handler] });
  return {
    isDebug: level === "DEBUG",
    debug: (message, fields) => void logger.debug(message, fields),
    info: (message, fields) => void logger.info(message, fields),
    warning: (message, fields) => void logger.warn(message, fields),
    error: (message, fields) => void logger.error(message, fields),
    flush: () => handler.flush(),
    [Symbol.dispose]: () => handler.flush(),
  };
}

/**
 * Collects the lines of one turn of the event loop into one write: a line by
 * itself costs a system call, which at 100,000 lines/s is most of the time.
 *
 * What can't be written is dropped, and counted for the next lines that can:
 * the tasks matter more than their log.
 */
class BufferedHandler extends BaseHandler {
  static readonly #MAX_LENGTH = 64 * 1024;
  readonly #write: (text: string) => void;
  #buffer = "";
  #lines = 0;
  #lost = 0;
  #scheduled = false;

  constructor(
    formatter: (record: LogRecord) => string,
    write: (text: string) => void,
  ) {
    super("DEBUG", { formatter });
    this.#write = write;
  }

  override log(line: string): void {
    this.#buffer += line + "\n";
    this.#lines++;
    if (this.#buffer.length >= BufferedHandler.#MAX_LENGTH) this.flush();
    else if (!this.#scheduled) {
      this.#scheduled = true;
      setTimeout(() => {
        this.#scheduled = false;
        this.flush();
      }, 0);
    }
  }

  flush(): void {
    if (this.#buffer === "") return;
    const text = this.#lossNotice() + this.#buffer;
    const lines = this.#lines;
    this.#buffer = "";
    this.#lines = 0;
    try {
      this.#write(text);
      this.#lost = 0;
    } catch {
      this.#lost += lines; // The disk is full, or nobody reads any more.
    }
  }

  #lossNotice(): string {
    if (this.#lost === 0) return "";
    const record = new LogRecord({
      msg: `Lines of the log that could not be written: ${this.#lost}`,
      args: [{ event: "log_lost", count: this.#lost }],
      level: LogLevels.WARN,
      loggerName: LOGGER_NAME,
    });
    return this.format(record) + "\n";
  }
}

function createTextFormat(): (record: LogRecord) => string {
  let second = NaN;
  let time = "";
  return ({ datetime, levelName, msg }) => {
    const now = Math.floor(datetime.getTime() / 1000);
    if (now !== second) {
      second = now;
      time = formatLocalTime(datetime);
    }
    return `${time} - ${LOGGER_NAME} - ${levelNameOf(levelName)} - ${
      printable(msg)
    }`;
  };
}

function formatJson({ datetime, levelName, msg, args }: LogRecord): string {
  return JSON.stringify({
    time: datetime.toISOString(),
    level: levelNameOf(levelName),
    logger: LOGGER_NAME,
    message: msg,
    ...(args[0] as LogFields | undefined),
  });
}

function levelNameOf(name: string): string {
  return name === "WARN" ? "WARNING" : name;
}

const CONTROL =
  // deno-lint-ignore no-control-regex -- what comes from tasks must not steer the terminal or forge a line
  /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]|\n(?! {2})/g;

/**
 * Makes control characters visible, so that a task's text can neither forge a
 * log line nor steer the terminal. An indented line break stays.
 */
export function printable(text: string): string {
  return text.replace(
    CONTROL,
    (char) => char === "\n" ? "\\n" : escapeOf(char.charCodeAt(0)),
  );
}

function escapeOf(code: number): string {
  const hex = code.toString(16);
  return code > 0xff ? `\\u${hex}` : `\\x${hex.padStart(2, "0")}`;
}

/** `2026-01-19 18:30:00` in the local time zone. */
export function formatLocalTime(time: Date): string {
  const two = (n: number) => String(n).padStart(2, "0");
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${
    two(time.getDate())
  } ${two(time.getHours())}:${two(time.getMinutes())}:${
    two(time.getSeconds())
  }`;
}

const encoder = new TextEncoder();

/** On a terminal, a line takes the place of a progress line that stands there. */
const CLEAR_LINE = "\r\x1b[K";
let isTerminal: boolean | undefined;

function writeToStderr(text: string): void {
  isTerminal ??= Deno.stderr.isTerminal();
  let bytes = encoder.encode(isTerminal ? CLEAR_LINE + text : text);
  while (bytes.length > 0) {
    bytes = bytes.subarray(Deno.stderr.writeSync(bytes));
  }
}
