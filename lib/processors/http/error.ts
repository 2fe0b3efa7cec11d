/**
 * What keeps a task from being done over HTTP.
 *
 * @module
 */

import { UserError } from "../../base/errors.ts";
import { excerptOf } from "../excerpt.ts";

/** Options for {@linkcode HttpError}. */
export interface HttpErrorOptions extends ErrorOptions {
  /** False where a second try can't help. */
  readonly retryable: boolean;
  /** When to try again, as the server says. */
  readonly retryAfterMs?: number;
}

/** Why a task could not be sent, or was not done; in one line. */
export class HttpError extends UserError {
  override readonly name = "HttpError";
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;

  constructor(message: string, options: HttpErrorOptions) {
    super(excerptOf(message), options);
    this.retryable = options.retryable;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** An error that a second try can't mend. */
export function hopeless(message: string): HttpError {
  return new HttpError(message, { retryable: false });
}
