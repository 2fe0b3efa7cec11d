/**
 * Errors as RFC 9457 has them: `application/problem+json`.
 *
 * @module
 */

/** One thing that is wrong with a request. */
export interface FieldError {
  /** `body.priority`, `query.limit`. */
  readonly path: string;
  readonly message: string;
}

/** A status that a request can fail with. */
export type ProblemStatus = keyof typeof TITLES;

/** What each status is called. */
export const TITLES = {
  400: "Bad request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not found",
  405: "Method not allowed",
  409: "Conflict",
  413: "Too large",
  415: "Unsupported media type",
  421: "Misdirected request",
  422: "Invalid",
  500: "Internal error",
  503: "Not available",
  504: "Took too long",
} as const;

/** Options for {@linkcode Problem}. */
export interface ProblemOptions {
  readonly errors?: readonly FieldError[];
  /** Why, in a word for programs. */
  readonly reason?: string;
  /** The task that it is about. */
  readonly taskId?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A request that is refused or failed; thrown by whatever finds out. */
export class Problem extends Error {
  override readonly name = "Problem";

  constructor(
    readonly status: ProblemStatus,
    readonly detail: string,
    readonly options: ProblemOptions = {},
  ) {
    super(detail);
  }

  /** The answer that says so. */
  get response(): Response {
    const { errors, reason, taskId, headers } = this.options;
    const { status, detail } = this;
    return new Response(
      JSON.stringify({
        type: "about:blank",
        title: TITLES[status],
        status,
        detail,
        ...errors && { errors },
        ...reason && { reason },
        ...taskId && { task_id: taskId },
      }),
      {
        status,
        headers: { ...headers, "Content-Type": "application/problem+json" },
      },
    );
  }
}
