/**
 * What is wrong with a connection, by what Deno's `fetch` throws.
 *
 * @module
 */

import { messageOf } from "../../base/errors.ts";

/** Why a connection failed. */
export interface ConnectionProblem {
  /** For people. */
  readonly reason: string;
  /** The other side can't have read anything. */
  readonly isUnheard: boolean;
}

const UNHEARD: readonly (readonly [RegExp, string])[] = [
  [/refused/i, "the connection was refused"],
  [/dns error|lookup address/i, "there is no host of that name"],
  [/certificate/i, "its certificate is not trusted"],
  [/unreachable/i, "the network does not lead there"],
  [/corrupt message|InvalidContentType|wrong version/i, "it speaks no TLS"],
];

const HUNG_UP =
  /reset|closed before|broken pipe|reading a body|incomplete|eof/i;

/** Says what a failed `fetch`, or the body of its response, failed of. */
export function connectionProblem(error: TypeError): ConnectionProblem {
  // What was asked for stands before it.
  const text = messageOf(error.cause ?? error);
  const known = UNHEARD.find(([pattern]) => pattern.test(text));
  if (known) return { reason: known[1], isUnheard: true };
  const reason = HUNG_UP.test(text)
    ? "it hung up"
    : text.split("\n")[0]?.slice(0, 200) ?? "";
  return { reason, isUnheard: false };
}
