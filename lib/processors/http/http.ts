/**
 * Sends each task to a URL, and follows work that takes longer than a request.
 *
 * @module
 */

import { isIP } from "node:net";
import manifest from "../../../deno.json" with { type: "json" };
import type { Clock } from "../../base/clock.ts";
import { retryAfterMs } from "../../base/retry_after.ts";
import type {
  CheckOptions,
  Processor,
  ProcessorContext,
} from "../processor.ts";
import type { AgentTask, Outcome } from "../../task/task.ts";
import type { Secrets } from "../secrets.ts";
import {
  RunError,
  taskJson,
  TaskRuns,
  type VariableLookup,
  withAnswerTime,
} from "../task_runs.ts";
import {
  addressesOf,
  AllowedAddresses,
  hostOf,
  type Lookup,
  resolveHost,
} from "./addresses.ts";
import type { HttpConfig } from "./config.ts";
import { credentialsOf } from "./credentials.ts";
import { hopeless } from "./error.ts";
import {
  type HttpAnswer,
  openConnection,
  type RequestLimits,
} from "./request.ts";
import { type Meaning, meaningOf } from "./response.ts";
import { HttpSession, nameOf, nextUrl } from "./session.ts";

/** What {@linkcode createHttpProcessor} needs beside the configuration. */
export interface HttpParts {
  readonly clock: Clock;
  /** Finds a variable of the runner's environment. @default {Deno.env.get} */
  readonly variable?: VariableLookup;
  /** Finds the addresses of a host. Default: as the system does. */
  readonly lookup?: Lookup;
  /** PEM of the certificates to trust. Default: those that Deno trusts. */
  readonly ca?: string;
}

/** Sent to wherever a redirect leads. */
const OPEN_HEADERS = {
  "Accept": "application/json, */*",
  "User-Agent": `agent-runner/${manifest.version}`,
};
/** A check is waited for by a person. */
const MAX_CHECK_MS = 5_000;
/**
 * How often in a row a status URL may fail. The work goes on meanwhile, so that
 * one lost answer should not start it again.
 */
const MAX_FAILURES = 5;
/** A service that wants to be asked again at once is asked after this. */
const MIN_WAIT_MS = 100;
/** How much longer each wait is than the one before. */
const GROWTH = 1.5;

/** Makes the processor. Dispose of it to stop its requests. */
export function createHttpProcessor(
  config: HttpConfig,
  parts: HttpParts,
): Processor {
  return new HttpProcessor(config, parts);
}

class HttpProcessor implements Processor {
  readonly name = "http";
  readonly #config: HttpConfig;
  readonly #url: URL;
  readonly #clock: Clock;
  readonly #variable: VariableLookup;
  readonly #limits: RequestLimits;
  readonly #runs = new TaskRuns();

  constructor(config: HttpConfig, parts: HttpParts) {
    const { lookup = resolveHost, clock, ca } = parts;
    const { allowPrivate } = config;
    this.#config = config;
    this.#url = new URL(config.url);
    this.#clock = clock;
    this.#variable = parts.variable ?? ((name) => Deno.env.get(name));
    this.#limits = {
      allowed: new AllowedAddresses(
        allowPrivate === true ? [hostOf(this.#url)] : allowPrivate || [],
      ),
      lookup,
      ca,
      connectTimeoutMs: config.connectTimeout * 1_000,
      requestTimeoutMs: config.requestTimeout * 1_000,
      maxResponseBytes: config.maxResponseBytes,
      clock,
    };
  }

  describe(): string {
    return `sends the task to ${nameOf(this.#url)} (${this.#config.method})`;
  }

  /** Connects, and sends nothing. */
  async check(
    { isQuiet, isOffline = isQuiet }: CheckOptions = {},
  ): Promise<readonly string[]> {
    const { problems } = credentialsOf(this.#config, this.#variable);
    const { connectTimeoutMs } = this.#limits;
    try {
      if (isOffline) {
        // An address by itself is judged without asking anybody.
        const isAddress = isIP(hostOf(this.#url)) !== 0;
        const signal = this.#runs.closed;
        if (isAddress) {
          await addressesOf(this.#url, { ...this.#limits, signal });
        }
        return problems;
      }
      const connection = await openConnection(this.#url, {
        ...this.#limits,
        connectTimeoutMs: Math.min(connectTimeoutMs, MAX_CHECK_MS),
        signal: this.#runs.closed,
      });
      connection.destroy();
      return problems;
    } catch (error) {
      if (error instanceof RunError) return [...problems, error.message];
      throw error;
    }
  }

  process(task: AgentTask, context: ProcessorContext): Promise<Outcome> {
    return this.#runs.run(context, (stop) => this.#run(task, context, stop));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#runs[Symbol.asyncDispose]();
  }

  async #run(
    task: AgentTask,
    context: ProcessorContext,
    signal: AbortSignal,
  ): Promise<Outcome> {
    const { method, poll, maxRedirects, answerWithin } = this.#config;
    const { headers, sign, secrets, problems } = credentialsOf(
      this.#config,
      this.#variable,
    );
    if (problems.length > 0) {
      throw hopeless(`Cannot send the task: ${problems.join(" ")}`);
    }
    const session = new HttpSession({
      limits: this.#limits,
      maxRedirects,
      home: this.#url,
      openHeaders: OPEN_HEADERS,
      secretHeaders: headers,
      signal,
      onAnswer: (line) => context.output(secrets.mask(line)),
    });
    const id = context.idempotencyKey;
    const body = taskJson(task, context);
    const answer = await session.send({
      url: this.#url,
      method,
      body: {
        bytes: new TextEncoder().encode(body),
        openHeaders: {
          "Content-Type": "application/json",
          "Idempotency-Key": id,
        },
        secretHeaders: sign({ id, sentAt: this.#clock.now(), body }),
      },
    });
    const outcome = await followWork(answer, {
      session,
      poll,
      secrets,
      clock: this.#clock,
      signal,
      onProgress: (...note) => context.progress(...note),
    });
    return withAnswerTime(outcome, answerWithin);
  }
}

/** What work is followed with. */
interface FollowOptions {
  readonly session: HttpSession;
  readonly poll: HttpConfig["poll"];
  readonly secrets: Secrets;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onProgress: (message: string, fraction?: number) => void;
}

/**
 * Asks a service until the task that it took is done.
 *
 * @param answer what it said when it was sent the task
 * @throws {RunError} where the task is not done, or the signal's reason.
 */
async function followWork(
  answer: HttpAnswer,
  { session, poll, secrets, clock, signal, onProgress }: FollowOptions,
): Promise<Outcome> {
  const maxIntervalMs = poll.maxInterval * 1_000;
  let intervalMs = poll.interval * 1_000;
  let statusUrl = answer.url;
  let failures = 0;
  let lastNote = "";

  let meaning = meaningOf(answer, { secrets, now: clock.now() });
  let wantedMs = retryAfterMs(answer.header("retry-after"), clock.now());
  note(meaning, answer);
  while (meaning.kind === "working") {
    await clock.sleep(Math.max(wantedMs ?? intervalMs, MIN_WAIT_MS), signal);
    signal.throwIfAborted();
    if (wantedMs === undefined) {
      intervalMs = Math.min(intervalMs * GROWTH, maxIntervalMs);
    }
    try {
      const next = await session.send({ url: statusUrl, method: "GET" });
      const now = clock.now();
      meaning = meaningOf(next, { secrets, now });
      wantedMs = retryAfterMs(next.header("retry-after"), now);
      note(meaning, next);
      failures = 0;
    } catch (error) {
      const isLost = error instanceof RunError && error.retryable;
      if (!isLost || ++failures > MAX_FAILURES) throw error;
      wantedMs = error.retryAfterMs;
    }
  }
  return meaning.outcome;

  function note(meaning: Meaning, answer: HttpAnswer): void {
    if (meaning.kind !== "working") return;
    const { progress, fraction } = meaning;
    if (meaning.statusUrl !== undefined) {
      statusUrl = nextUrl(meaning.statusUrl, answer);
    }
    const message = progress ?? (fraction === undefined ? "" : "Working");
    const noted = `${message} ${fraction}`;
    if (message === "" || noted === lastNote) return;
    lastNote = noted;
    onProgress(message, fraction);
  }
}
