/**
 * Requests to a service's HTTP API, within bounds, and what their failures mean.
 *
 * @module
 */

import type { z } from "@hono/zod-openapi";
import type { Clock } from "../../base/clock.ts";
import { messageOf, ServiceError, UsageError } from "../../base/errors.ts";
import type { ClientSettings } from "../../config/service.ts";
import type { JsonValue } from "../../task/task.ts";
import { parseJson, stringifyJson } from "../../task/trace.ts";
import { problemSchema } from "../api/task_schemas.ts";

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
  readonly query?: Readonly<
    Record<string, string | number | boolean | undefined>
  >;
  /** Makes it a POST, */
  readonly body?: JsonValue;
  /** or a PATCH. @default {false} */
  readonly isPatch?: boolean;
  /** With it, a POST may be sent again. */
  readonly idempotencyKey?: string;
}

type Bytes = Uint8Array<ArrayBuffer>;

/** What the service sends. */
export interface Reply {
  readonly headers: Headers;
  readonly body: ReadableStream<Bytes>;
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

/** What may be over in a moment. */
class PassingError extends ServiceError {}

/** A service's HTTP API. */
export class Api implements Disposable {
  readonly #options: ApiOptions;
  readonly #client: Deno.HttpClient | undefined;

  constructor(options: ApiOptions) {
    const { socketPath: path } = options;
    this.#options = options;
    this.#client = path === undefined
      ? undefined
      : Deno.createHttpClient({ proxy: { transport: "unix", path } });
  }

  [Symbol.dispose](): void {
    this.#client?.close();
  }

  /** Where it is, for people. */
  get #place(): string {
    const { url, socketPath } = this.#options;
    return socketPath === undefined ? url.href : `unix:${socketPath}`;
  }

  /**
   * The JSON that the service sends.
   *
   * @throws {Refusal} where it says no.
   * @throws {UsageError} where it does not know the token.
   * @throws {ServiceError} where it can't be reached, or is another program.
   */
  json<T extends z.ZodType>(
    path: string,
    schema: T,
    request: ApiRequest = {},
  ): Promise<z.output<T>> {
    return this.#repeated(request, async () => {
      const reply = await this.#send(path, request);
      const parsed = schema.safeParse(parseJson(await textOf(reply)));
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

  /**
   * What the service sends, as it comes. Throws as {@linkcode Api.json} does, and
   * so does its body.
   */
  stream(path: string, request: ApiRequest = {}): Promise<Reply> {
    return this.#repeated(request, () => this.#send(path, request));
  }

  /** What to throw where the service does not know the token. */
  unauthorized(): UsageError {
    const { token } = this.#options;
    return new UsageError(
      `Cannot use the service at ${this.#place}: ${
        token === "" ? "it wants a token" : "it has another token"
      }. Set HANDSFREE_AGENT_TOKEN or give --token-file, with the token that ` +
        "it was started with.",
    );
  }

  async #repeated<T>(
    { body, idempotencyKey }: ApiRequest,
    work: () => Promise<T>,
  ): Promise<T> {
    const isRepeatable = body === undefined || idempotencyKey !== undefined;
    for (const waitMs of isRepeatable ? RETRY_MS : []) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof PassingError)) throw error;
      }
      await this.#options.clock.sleep(waitMs);
    }
    return await work();
  }

  async #send(path: string, request: ApiRequest): Promise<Reply> {
    const { url, token } = this.#options;
    const { query = {}, body, isPatch, idempotencyKey } = request;
    const target = new URL(path, url);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) target.searchParams.set(name, String(value));
    }
    const end = new AbortController();
    const heard = <T>(work: () => Promise<T>) =>
      this.#heard(work, { end, isChange: body !== undefined });
    const response = await heard(() =>
      fetch(target, {
        method: body === undefined ? "GET" : isPatch ? "PATCH" : "POST",
        // Another host must not be told the token.
        redirect: "manual",
        client: this.#client,
        signal: end.signal,
        headers: {
          Accept: "application/json",
          ...token !== "" && { Authorization: `Bearer ${token}` },
          ...idempotencyKey && { "Idempotency-Key": idempotencyKey },
          ...body !== undefined && { "Content-Type": "application/json" },
        },
        body: body === undefined ? undefined : stringifyJson(body),
      })
    );
    const { status, headers, ok } = response;
    const reply = {
      headers,
      body: ReadableStream.from(chunksOf(response, heard)),
    };
    if (ok) return reply;
    throw status >= 300 && status < 400
      ? await this.#redirected(reply)
      : await this.#problemOf(reply, { status, path });
  }

  /** Gives up on what takes too long, and says what its failure means. */
  async #heard<T>(
    work: () => Promise<T>,
    { end, isChange }: {
      readonly end: AbortController;
      readonly isChange: boolean;
    },
  ): Promise<T> {
    const { silenceMs = SILENCE_MS } = this.#options;
    const timer = setTimeout(() => end.abort(), silenceMs);
    try {
      return await work();
    } catch (error) {
      if (end.signal.aborted) {
        throw this.#failed(
          `it said nothing for ${silenceMs / 1_000} s`,
          "Try again; what was to be changed may have been changed.",
        );
      }
      // What fetch throws, while it connects or reads.
      if (!(error instanceof TypeError)) throw error;
      const { reason, isUnheard } = connectionProblem(error);
      throw new PassingError(
        `Cannot reach the service at ${this.#place}: ${reason}. ` +
          (isUnheard || !isChange
            ? "Is it running there? Start it with run --listen or serve, or " +
              "give another --server."
            : "What was to be changed may have been changed: look before you " +
              "try again."),
        { cause: error },
      );
    } finally {
      clearTimeout(timer);
    }
  }

  #failed(reason: string, advice: string): ServiceError {
    return new ServiceError(
      `Cannot use the service at ${this.#place}: ${reason}. ${advice}`,
    );
  }

  async #redirected({ headers, body }: Reply): Promise<Error> {
    await body.cancel();
    const to = headers.get("Location");
    return this.#failed(
      `it sends its callers ${to ? `to ${to.slice(0, 200)}` : "elsewhere"}`,
      "Give the address that it has itself.",
    );
  }

  async #problemOf(
    reply: Reply,
    { status, path }: { readonly status: number; readonly path: string },
  ): Promise<Error> {
    const problem = problemSchema.safeParse(parseJson(await textOf(reply)));
    if (!problem.success) {
      return this.#failed(
        `it answers as no agent-runner does (status ${status})`,
        "Give another --server.",
      );
    }
    const detail = problem.data.detail.slice(0, MAX_DETAIL);
    if (status === 401) return this.unauthorized();
    // Some of its refusals are whole sentences of the kind.
    const message = detail.startsWith("Cannot ")
      ? detail
      : `Cannot use the service at ${this.#place}: ${detail}`;
    if (status === 503) return new PassingError(message);
    if (status >= 500) return new ServiceError(message);
    const isUnknownPath = status === 404 || status === 405;
    if (problem.data.reason === undefined && isUnknownPath) {
      return this.#failed(
        `it does not know ${path}`,
        "It is another version of agent-runner, or the address has a path " +
          "that it should not have.",
      );
    }
    return new Refusal(message, problem.data);
  }
}

type Heard = <T>(work: () => Promise<T>) => Promise<T>;

async function* chunksOf({ body }: Response, heard: Heard) {
  const reader = body?.getReader();
  if (!reader) return;
  try {
    while (true) {
      const { done, value } = await heard(() => reader.read());
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {}); // It has failed by itself.
  }
}

/** The text of JSON; of anything else, nothing is read. */
async function textOf({ headers, body }: Reply): Promise<string> {
  const type = headers.get("Content-Type") ?? "";
  if (/^application\/(problem\+)?json\b/i.test(type)) {
    return await new Response(body).text();
  }
  await body.cancel();
  return "";
}

const UNHEARD: readonly (readonly [RegExp, string])[] = [
  [/refused/i, "the connection was refused"],
  [/no such file/i, "there is no such socket"],
  [/permission denied/i, "there is no permission to use the socket"],
  [/dns error|lookup address/i, "there is no host of that name"],
  [/certificate/i, "its certificate is not trusted"],
  [/unreachable/i, "the network does not lead there"],
  [/corrupt message|InvalidContentType|wrong version/i, "it speaks no TLS"],
];

const HUNG_UP =
  /reset|closed before|broken pipe|reading a body|incomplete|eof/i;

/**
 * Says for people what a failed `fetch`, or the body of its response, failed of,
 * and whether the other side can't have read anything.
 */
function connectionProblem(
  error: TypeError,
): { readonly reason: string; readonly isUnheard: boolean } {
  // What was asked for stands before it.
  const text = messageOf(error.cause ?? error);
  const known = UNHEARD.find(([pattern]) => pattern.test(text));
  if (known) return { reason: known[1], isUnheard: true };
  const reason = HUNG_UP.test(text)
    ? "it hung up"
    : text.split("\n")[0]?.slice(0, 200) ?? "";
  return { reason, isUnheard: false };
}
