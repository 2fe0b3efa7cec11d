/**
 * Sends each task to a URL.
 *
 * @module
 */

import manifest from "../../../deno.json" with { type: "json" };
import type { Clock } from "../../base/clock.ts";
import type { Processor, ProcessorContext } from "../processor.ts";
import type { AgentTask, Outcome } from "../../task/task.ts";
import { AllowedAddresses, hostOf } from "./addresses.ts";
import { type Lookup, resolveHost } from "./resolve.ts";
import type { HttpConfig } from "./config.ts";
import { credentialsOf } from "./credentials.ts";
import { hopeless, HttpError } from "./error.ts";
import type { VariableLookup } from "./headers.ts";
import { followWork } from "./poll.ts";
import { openConnection, type RequestLimits } from "./request.ts";
import { HttpSession, nameOf } from "./session.ts";
import { taskJson } from "../task_json.ts";

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
const STOPPED: Outcome = { kind: "failed", error: "Stopped", retryable: true };
/** A check is waited for by a person. */
const MAX_CHECK_MS = 5_000;

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
  readonly #runs = new Set<Promise<unknown>>();
  readonly #closed = new AbortController();

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
  async check(): Promise<readonly string[]> {
    const { problems } = credentialsOf(this.#config, this.#variable);
    const { connectTimeoutMs } = this.#limits;
    try {
      const connection = await openConnection(this.#url, {
        ...this.#limits,
        connectTimeoutMs: Math.min(connectTimeoutMs, MAX_CHECK_MS),
        signal: this.#closed.signal,
      });
      connection.destroy();
      return problems;
    } catch (error) {
      if (error instanceof HttpError) return [...problems, error.message];
      throw error;
    }
  }

  async process(task: AgentTask, context: ProcessorContext): Promise<Outcome> {
    const signal = AbortSignal.any([context.signal, this.#closed.signal]);
    const run = this.#run(task, context, signal);
    this.#runs.add(run);
    try {
      return await run;
    } catch (error) {
      if (signal.aborted) return STOPPED;
      if (!(error instanceof HttpError)) throw error;
      const { message, retryable, retryAfterMs } = error;
      return {
        kind: "failed",
        error: message,
        retryable,
        ...retryAfterMs !== undefined && { retryAfterMs },
      };
    } finally {
      this.#runs.delete(run);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort("shutdown");
    await Promise.allSettled(this.#runs);
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
    return outcome.kind === "needs_input" && answerWithin !== undefined
      ? { ...outcome, answerWithinMs: answerWithin * 1_000 }
      : outcome;
  }
}
