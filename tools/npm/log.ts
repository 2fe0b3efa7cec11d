/** Stands in for what is used of `@std/log` 0.224.14 where there is only npm. */

export const LogLevels = {
  NOTSET: 0,
  DEBUG: 10,
  INFO: 20,
  WARN: 30,
  ERROR: 40,
  CRITICAL: 50,
} as const;
export type LevelName = keyof typeof LogLevels;
export type LogLevel = typeof LogLevels[LevelName];
// deno-lint-ignore no-explicit-any
export type GenericFunction = (...args: any[]) => any;
export type FormatterFunction = (logRecord: LogRecord) => string;

export function getLevelByName(name: LevelName): LogLevel {
  const level = LogLevels[name];
  if (level === undefined) {
    throw new Error(`Cannot get log level: no level named ${name}`);
  }
  return level;
}

const levelNames = new Map(
  Object.entries(LogLevels).map(([name, level]) => [level, name as LevelName]),
);

export function getLevelName(level: LogLevel): LevelName {
  const name = levelNames.get(level);
  if (name) return name;
  throw new Error(`Cannot get log level: no name for level: ${level}`);
}

export interface LogRecordOptions {
  msg: string;
  args: unknown[];
  level: LogLevel;
  loggerName: string;
}

export class LogRecord {
  readonly msg: string;
  readonly args: unknown[];
  readonly datetime: Date = new Date();
  readonly level: number;
  readonly levelName: string;
  readonly loggerName: string;

  constructor({ msg, args, level, loggerName }: LogRecordOptions) {
    this.msg = msg;
    this.args = [...args];
    this.level = level;
    this.levelName = getLevelName(level);
    this.loggerName = loggerName;
  }
}

export interface BaseHandlerOptions {
  formatter?: FormatterFunction;
}

export abstract class BaseHandler {
  formatter: FormatterFunction;
  level: LogLevel;

  constructor(levelName: LevelName, options?: BaseHandlerOptions) {
    this.level = getLevelByName(levelName);
    this.formatter = options?.formatter ??
      ((record) => `${record.levelName} ${record.msg}`);
  }

  get levelName(): LevelName {
    return getLevelName(this.level);
  }

  set levelName(levelName: LevelName) {
    this.level = getLevelByName(levelName);
  }

  handle(logRecord: LogRecord): void {
    if (logRecord.level >= this.level) this.log(this.format(logRecord));
  }

  format(logRecord: LogRecord): string {
    return this.formatter(logRecord);
  }

  abstract log(msg: string): void;

  setup(): void {}

  destroy(): void {}

  [Symbol.dispose](): void {
    this.destroy();
  }
}

type Message<T> = T extends GenericFunction ? never : T;

interface LogMethod {
  <T>(msg: () => T, ...args: unknown[]): T | undefined;
  <T>(msg: Message<T>, ...args: unknown[]): T;
}

function asString(data: unknown): string {
  if (data instanceof Error) return data.stack ?? String(data);
  if (typeof data === "object" && data !== null) return JSON.stringify(data);
  return String(data);
}

export interface LoggerOptions {
  handlers?: BaseHandler[];
}

export class Logger {
  handlers: BaseHandler[];
  level: LogLevel;
  readonly loggerName: string;

  constructor(
    loggerName: string,
    levelName: LevelName,
    options: LoggerOptions = {},
  ) {
    this.loggerName = loggerName;
    this.level = getLevelByName(levelName);
    this.handlers = options.handlers ?? [];
  }

  get levelName(): LevelName {
    return getLevelName(this.level);
  }

  set levelName(levelName: LevelName) {
    this.level = getLevelByName(levelName);
  }

  readonly debug: LogMethod = this.#method(LogLevels.DEBUG);
  readonly info: LogMethod = this.#method(LogLevels.INFO);
  readonly warn: LogMethod = this.#method(LogLevels.WARN);
  readonly error: LogMethod = this.#method(LogLevels.ERROR);
  readonly critical: LogMethod = this.#method(LogLevels.CRITICAL);

  #method(level: LogLevel): LogMethod {
    return (msg: unknown, ...args: unknown[]) => {
      const lazy = typeof msg === "function";
      if (level < this.level) return lazy ? undefined : msg;
      const value = lazy ? msg() : msg;
      const record = new LogRecord({
        msg: asString(value),
        args,
        level,
        loggerName: this.loggerName,
      });
      for (const handler of this.handlers) handler.handle(record);
      return value;
    };
  }
}
