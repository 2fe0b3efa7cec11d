/**
 * Requests to a service's HTTP API, within bounds, and what their failures mean.
 *
 * @module
 */

import type { z } from "@hono/zod-openapi";
import type { Clock } from "../../base/clock.ts";
import type { ClientSettings } from "../../config/client.ts";
import { ServiceError, UsageError } from "../../base/errors.ts";
import { problemSchema } from "../api/schemas.ts";
import type { JsonValue } from "../../task/task.ts";
import { parseJson, stringifyJson } from "../../task/trace.ts";
import { connectionProblem } from "./connection_problem.ts";
import { Silence } from "./silence.ts";

/** The service gives up after half a minute itself. */
const SILENCE_MS = 45_000;
/** Before a request that changes nothing is sent again. */
const RETRY_MS = [200, 1_000];
/** What a refusal may say. */
const MAX_DETAIL = 500;

/** Options for {@linkcode Api}. */
export interface ApiOptions extends ClientSettings {
  readonly clock: Clock;
  /** The longest time in which nothing comes. @default {45_000} */
  readonly silenceMs?: number;
}

/** What is asked of the service. */
export interface ApiRequest {
  /** What stands after `?`; what is undefined is left out. */
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  /** Makes it a POST. */
  readonly body?: JsonValue;
  /** With it, a POST may be sent again. */
  readonly idempotencyKey?: string;
}

/** A problem that the service names in a word, for who asked to understand. */
export class Refusal extends UsageError {
  override readonly name = "Refusal";
  readonly reason: string | undefined;
  readonly taskId: string | undefined;
  readonly detail: string;

  constructor(
    message: string,
    { detail, reason, task_id: taskId }: z.infer<typeof problemSchema>,
  ) {
    super(message);
    this.detail = detail;
    this.reason = reason;
    this.taskId = taskId;
  }
}

/** A service's HTTP API. */
export class Api {
  readonly #options: ApiOptions;

  constructor(options: ApiOptions) {
    this.#options = options;
  }

  /**
   * What the service answers.
   *
   * @throws {Refusal} where it says no.
   * @throws {UsageError} where it does not know the token.
   * @throws {ServiceError} where it can't be reached, or is another program.
   */
  async json<T extends z.ZodType>(
    path: string,
    schema: T,
    request: ApiRequest = {},
  ): Promise<z.output<T>> {
    return await this.#send(path, request, async (response, again) => {
      const text = await textOf(response, again);
      const parsed = schema.safeParse(parseJson(text));
      if (parsed.success) return parsed.data;
      const [issue] = parsed.error.issues;
      throw this.#failed(
        `it answers ${path} with what this agent-runner does not ` +
          `understand${
            issue ? ` (${issue.path.join(".") || "all of it"})` : ""
          }`,
        "Use the same version on both sides.",
      );
    });
  }

  /** Gives the answer's body, as it comes, to `take`. */
  async download(
    path: string,
    request: ApiRequest,
    take: (body: ReadableStream<Uint8Array>) => Promise<void>,
  ): Promise<Headers> {
    return await this.#send(path, request, async (response, again) => {
      await take(
        (response.body ?? new Blob([]).stream()).pipeThrough(
          new TransformStream({
            transform(chunk, controller) {
              again();
              controller.enqueue(chunk);
            },
          }),
        ),
      );
      return response.headers;
    });
  }

  /** What to throw where the service does not know the token. */
  unauthorized(): UsageError {
    const { url, token } = this.#options;
    return new UsageError(
      `Cannot use the service at ${url.href}: ${
        token === "" ? "it wants a token" : "it has another token"
      }. Set HANDSFREE_AGENT_TOKEN or give --token-file, with the token that ` +
        "it was started with.",
    );
  }

  async #send<T>(
    path: string,
    request: ApiRequest,
    read: (response: Response, again: () => void) => Promise<T>,
  ): Promise<T> {
    const { clock } = this.#options;
    const isRepeatable = request.body === undefined ||
      request.idempotencyKey !== undefined;
    for (const waitMs of isRepeatable ? RETRY_MS : []) {
      try {
        return await this.#sendOnce(path, request, read);
      } catch (error) {
        if (!(error instanceof PassingError)) throw error;
      }
      await clock.sleep(waitMs);
    }
    return await this.#sendOnce(path, request, read);
  }

  async #sendOnce<T>(
    path: string,
    { query = {}, body, idempotencyKey }: ApiRequest,
    read: (response: Response, again: () => void) => Promise<T>,
  ): Promise<T> {
    const { url, token, silenceMs = SILENCE_MS } = this.#options;
    const target = new URL(path, url);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) target.searchParams.set(name, String(value));
    }
    const silence = new Silence(silenceMs);
    try {
      const response = await fetch(target, {
        method: body === undefined ? "GET" : "POST",
        // Another host must not be told the token.
        redirect: "manual",
        signal: silence.signal,
        headers: {
          Accept: "application/json",
          ...token !== "" && { Authorization: `Bearer ${token}` },
          ...idempotencyKey && { "Idempotency-Key": idempotencyKey },
          ...body !== undefined && { "Content-Type": "application/json" },
        },
        body: body === undefined ? undefined : stringifyJson(body),
      });
      silence.again();
      if (!response.ok) {
        throw await this.#problemOf(response, path, () => silence.again());
      }
      return await read(response, () => silence.again());
    } catch (error) {
      if (silence.signal.aborted) {
        throw this.#failed(
          `it said nothing for ${silenceMs / 1_000} s`,
          "Try again; what was to be changed may have been changed.",
        );
      }
      // What fetch throws, while it connects or reads.
      if (!(error instanceof TypeError)) throw error;
      const { reason, isUnheard } = connectionProblem(error);
      throw new PassingError(
        `Cannot reach the service at ${url.href}: ${reason}. ` +
          (isUnheard || body === undefined
            ? "Is it running there? Start it with run --listen or serve, or " +
              "give another --server."
            : "What was to be changed may have been changed: look before you " +
              "try again."),
        { cause: error },
      );
    } finally {
      silence[Symbol.dispose]();
    }
  }

  #failed(reason: string, advice: string): ServiceError {
    const { url } = this.#options;
    return new ServiceError(
      `Cannot use the service at ${url.href}: ${reason}. ${advice}`,
    );
  }

  async #problemOf(
    response: Response,
    path: string,
    again: () => void,
  ): Promise<Error> {
    const { status } = response;
    if (status >= 300 && status < 400) {
      await response.body?.cancel();
      const to = response.headers.get("Location");
      return this.#failed(
        `it sends its callers ${to ? `to ${to.slice(0, 200)}` : "elsewhere"}`,
        "Give the address that it has itself.",
      );
    }
    const problem = problemSchema.safeParse(
      parseJson(await textOf(response, again)),
    );
    if (!problem.success) {
      return this.#failed(
        `it answers as no agent-runner does (status ${status})`,
        "Give another --server.",
      );
    }
    const detail = problem.data.detail.slice(0, MAX_DETAIL);
    if (status === 401) return this.unauthorized();
    const { href } = this.#options.url;
    // Some of its refusals are whole sentences of the kind.
    const message = detail.startsWith("Cannot ")
      ? detail
      : `Cannot use the service at ${href}: ${detail}`;
    if (status === 503) return new PassingError(message);
    if (status >= 500) return new ServiceError(message);
    if (problem.data.reason === undefined && isUnknownPath(status)) {
      return this.#failed(
        `it does not know ${path}`,
        "It is another version of agent-runner, or the address has a path " +
          "that it should not have.",
      );
    }
    return new Refusal(message, problem.data);
  }
}

/** What may be over in a moment. */
class PassingError extends ServiceError {}

function isUnknownPath(status: number): boolean {
  return status === 404 || status === 405;
}

/** The text of JSON; of anything else, nothing is read. */
async function textOf(response: Response, again: () => void): Promise<string> {
  const type = response.headers.get("Content-Type") ?? "";
  if (!/^application\/(problem\+)?json\b/i.test(type)) {
    await response.body?.cancel();
    return "";
  }
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body ?? []) {
    again();
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
