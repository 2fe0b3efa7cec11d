/**
 * Errors that a user can act on. Each message says what could not be done, why,
 * and what to do: "Cannot X: Y. Do Z."
 *
 * @module
 */

/** What the program returns to the shell. */
export const EXIT = {
  ok: 0,
  /** A task failed in a run, or the runner is not enabled. */
  failed: 1,
  /** Wrong flags, settings or input. */
  usage: 2,
  /** The database can't be used. */
  database: 3,
  /** What was waited for has not ended in time. */
  timedOut: 4,
  /** A defect of this program. */
  internal: 70,
} as const;

/** An error whose message is all that a user needs to see. */
export class UserError extends Error {
  override readonly name: string = "UserError";
  /** The program's exit code. */
  readonly exitCode: number = EXIT.failed;
}

/** Wrong flags, settings or input. Exit code 2. */
export class UsageError extends UserError {
  override readonly name: string = "UsageError";
  override readonly exitCode: number = EXIT.usage;
}

/** There is a task with this id already. Exit code 2. */
export class DuplicateIdError extends UsageError {
  readonly id: string;

  constructor(id: string, options?: ErrorOptions) {
    super(
      `Cannot create task ${id}: there is one with this id. ` +
        "Leave the id out to get a new one.",
      options,
    );
    this.id = id;
  }
}

/** What a new task is to wait for is wrong. Exit code 2. */
export class DependencyError extends UsageError {
  /** Which of the new tasks, from 0. */
  readonly index: number;

  constructor(message: string, index: number) {
    super(message);
    this.index = index;
  }
}

/** The database can't be used. Exit code 3. */
export class DatabaseError extends UserError {
  override readonly name: string = "DatabaseError";
  override readonly exitCode: number = EXIT.database;
}

/** Another process has the database open, or its server is away. Waiting can help. */
export class DatabaseBusyError extends DatabaseError {
  override readonly name = "DatabaseBusyError";
  /**
   * The program that has it open, with its process id where that is known. Empty:
   * nobody has it.
   */
  readonly holder: string;
  /**
   * Nobody can claim meanwhile: whoever has it keeps everybody out. False: others
   * may get in while this process can't.
   */
  readonly keepsAllOut: boolean;

  constructor(
    message: string,
    { holder = "another process", keepsAllOut = false, ...options }:
      & ErrorOptions
      & { readonly holder?: string; readonly keepsAllOut?: boolean } = {},
  ) {
    super(message, options);
    this.holder = holder;
    this.keepsAllOut = keepsAllOut;
  }
}

/** The service that a command is to work through can't be used. Exit code 3. */
export class ServiceError extends DatabaseError {
  override readonly name = "ServiceError";
}

/** The runner was not enabled. Exit code 1, as in the HandsFree runner. */
export class DisabledError extends UserError {
  override readonly name = "DisabledError";
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  if (error instanceof Error) return error.message || error.name;
  try {
    return String(error);
  } catch {
    return "Unknown error"; // An object that can't be made a text.
  }
}
