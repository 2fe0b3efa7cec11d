/**
 * What the end of an agent's work means for its task.
 *
 * @module
 */

import { format as formatDuration } from "@std/fmt/duration";
import type { JsonValue, Outcome } from "../../task/task.ts";
import type { AgentConfig } from "./config.ts";
import type { AgentError } from "./dialect.ts";

type Failed = Extract<Outcome, { kind: "failed" }>;

/** A limit that ends in this moment has not quite ended. */
const LEAST_WAIT_MS = 1_000;
/** How many of what was not permitted a message names. */
const MAX_NAMED = 5;

/** Failed for good, unless said otherwise. */
export function failed(
  error: string,
  { retryable = false }: { readonly retryable?: boolean } = {},
): Failed {
  return { kind: "failed", error, retryable };
}

/** @param idleTimeout in seconds */
export function idled(name: string, idleTimeout: number): Failed {
  const time = formatDuration(idleTimeout * 1_000, { ignoreZero: true });
  return failed(`${name} said nothing for ${time}`, { retryable: true });
}

/** The outcome of a run that met an error. */
export function outcomeOfError(error: AgentError, now: Date): Outcome {
  const { message, kind, isAccount, until, retryAfterMs } = error;
  if (kind === "limit") {
    const waitMs = until && until.getTime() - now.getTime();
    return {
      kind: "limited",
      reason: message,
      ...waitMs !== undefined &&
        { waitMs: Math.max(waitMs, LEAST_WAIT_MS) },
    };
  }
  return {
    ...failed(message, { retryable: kind === "retryable" }),
    ...retryAfterMs !== undefined && { retryAfterMs },
    ...isAccount && { pausesProvider: true },
  };
}

/** The outcome of work that is done, as far as it was permitted. */
export function completed(
  result: JsonValue,
  { denied, onDenied }: {
    readonly denied: readonly string[];
    readonly onDenied: AgentConfig["onDenied"];
  },
): Outcome {
  const done = {
    kind: "completed",
    ...result !== "" && { result },
  } as const;
  if (denied.length === 0) return done;
  const rest = denied.length - MAX_NAMED;
  const warning = `Not permitted: ${denied.slice(0, MAX_NAMED).join(", ")}` +
    (rest > 0 ? `, and ${rest} more` : "");
  return onDenied === "warn" ? { ...done, warning } : failed(
    `${warning}. Give it more permissions, or tell it to do without that.`,
  );
}
