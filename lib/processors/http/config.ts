/**
 * What the configuration file says of an HTTP service.
 *
 * @module
 */

import { z } from "zod";
import { duration } from "../../base/config.ts";
import { isAllowEntry } from "./addresses.ts";

/** A text in which `problemOf` finds nothing wrong. */
function text(problemOf: (text: string) => string | undefined) {
  return z.string().superRefine((value, context) => {
    const message = problemOf(value);
    if (message) context.addIssue({ code: "custom", message });
  });
}

/** Stands in a header's value for the value of a variable. */
export const REFERENCE = /\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}/g;

/** What a value may hold: a tab, and visible characters of Latin-1. */
export const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** A header's name. */
const NAME = /^[!#$%&'*+.^_`|~\w-]+$/;

/** What the runner sets by itself, or what decides where a request ends. */
const OWN_NAMES =
  /^(host|connection|content-(length|type|encoding)|transfer-encoding|accept-encoding|te|trailer|upgrade|expect|keep-alive|proxy-.*|idempotency-key|webhook-.*)$/i;

/** What is wrong with a header in the configuration. */
function nameProblem(name: string): string | undefined {
  if (!NAME.test(name)) return "expected the name of a header";
  return OWN_NAMES.test(name)
    ? "expected another header: agent-runner sets this one itself"
    : undefined;
}

/** What is wrong with a header's value in the configuration. */
function valueProblem(value: string): string | undefined {
  const rest = value.replaceAll(REFERENCE, "");
  if (rest.includes("${")) {
    return "expected ${env:NAME} where it has ${, for the variable NAME";
  }
  return VALUE.test(rest)
    ? undefined
    : "expected a text without line breaks and characters beyond Latin-1";
}

function urlProblem(value: string): string | undefined {
  const url = URL.parse(value);
  if (!url || !/^https?:$/.test(url.protocol)) {
    return "expected a URL that begins with http:// or https://";
  }
  return url.username || url.password
    ? "expected a URL without user and password. Send them as a header, with " +
      "${env:NAME} for the secret"
    : undefined;
}

function allowProblem(value: string): string | undefined {
  return isAllowEntry(value)
    ? undefined
    : 'expected a host, an address or a range like "10.0.0.0/8", without a port';
}

const requestTime = duration({ min: 0.1, max: 86_400 });

const poll = z.strictObject({
  interval: requestTime.default(2).describe(
    "Time before the status URL is asked first; each wait is longer by " +
      "half. A Retry-After of the service wins. Default: 2",
  ),
  maxInterval: requestTime.default(60).describe(
    "The most time between two requests. Default: 60",
  ),
}).refine(({ interval, maxInterval }) => interval <= maxInterval, {
  path: ["maxInterval"],
  error: "expected no less than interval (default 2)",
});

/** The name of the variable with a secret that signs. */
export const secretEnv = z.string().regex(
  /^[A-Za-z_]\w*$/,
  "expected the name of an environment variable, not the secret itself",
);

/** The fields of an HTTP service's own. */
export const httpConfig = z.strictObject({
  url: text(urlProblem).describe("Where tasks are sent: http:// or https://"),
  method: z.enum(["POST", "PUT", "PATCH"]).default("POST").describe(
    'How they are sent. Default: "POST"',
  ),
  headers: z.record(text(nameProblem), text(valueProblem)).default({}).describe(
    "Headers to send to the url's origin; ${env:NAME} in a value stands for " +
      "the variable NAME, whose value is kept out of trace and log",
  ),
  secretEnv: secretEnv.optional().describe(
    "The environment variable with the secret, whsec_…, that signs tasks as " +
      "standardwebhooks.com says. Default: not signed",
  ),
  allowPrivate: z.union([z.boolean(), z.array(text(allowProblem))])
    .default(false).describe(
      "Addresses to connect to that are not public: true for the url's own " +
        'host, or a list of hosts, addresses and ranges as "10.0.0.0/8". ' +
        "Default: false",
    ),
  connectTimeout: requestTime.default(10).describe(
    "How long a connection may take. Default: 10",
  ),
  requestTimeout: requestTime.default(30).describe(
    "How long one request may take to the end of its answer. Default: 30",
  ),
  maxResponseBytes: z.int().min(1).max(4 * 1_048_576).default(1_048_576)
    .describe(
      "How much is read of an answer, in bytes; of a longer one, the beginning " +
        "is kept. Default: 1048576 (1 MiB)",
    ),
  maxRedirects: z.int().min(0).max(20).default(5).describe(
    "How often a request may be redirected. Default: 5",
  ),
  poll: poll.prefault({}).describe(
    "How a task is followed that the service takes with 202 and a status URL",
  ),
  answerWithin: duration({ min: 0.001, max: 315_360_000 }).optional().describe(
    "How long its questions wait for an answer; then the task fails. Default: " +
      "for ever",
  ),
});

/** An HTTP service, as configured. Times are in seconds. */
export type HttpConfig = z.output<typeof httpConfig>;
