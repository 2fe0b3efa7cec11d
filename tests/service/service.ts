/**
 * A service on a free port of 127.0.0.1 with a database of its own. Every answer
 * that a test gets from it is compared with its own OpenAPI document.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { type Clock, systemClock } from "../../lib/base/clock.ts";
import {
  connectDuckDb,
  type Connection,
} from "../../lib/store/duckdb/connection.ts";
import { openDuckDbStore } from "../../lib/store/duckdb/store.ts";
import { createLog } from "../../lib/base/log.ts";
import { newTasks, type Store } from "../../lib/store/contract.ts";
import type { ClaimedTask, NewTask, Transition } from "../../lib/task/task.ts";
import {
  type RunningService,
  type ServedRunner,
  startService,
} from "../../lib/service/service.ts";
import type { Served } from "../../lib/config/served.ts";
import { Ajv2020, type ValidateFunction } from "../support/ajv.ts";

/** Options for {@linkcode TestService.start}. */
export interface TestServiceOptions {
  /** @default {SERVED} */
  readonly served?: Served;
  readonly token?: string;
  readonly readOnlyToken?: string;
  /** As a runner with --exclusive has it. */
  readonly exclusive?: boolean;
  readonly allowedHosts?: readonly string[];
  /** The service's. @default {systemClock} */
  readonly clock?: Clock;
  /** The database's. @default {systemClock} */
  readonly storeClock?: Clock;
  /** Makes the runner beside the service. */
  readonly runner?: (store: Store) => ServedRunner;
}

// deno-lint-ignore no-explicit-any -- what JSON gives; the test looks at it
export type Json = any;

/** An answer and its body. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Json;
}

/** Ids that are well-formed, and of no task. */
export const NO_ID = "00000000-0000-4000-8000-000000000000";

/** See the module's description. */
/** A service that says that it serves every provider. */
export const SERVED = {
  defaultProvider: "simulate",
  warningFor: () => undefined,
};

export class TestService implements AsyncDisposable {
  readonly folder = Deno.makeTempDirSync({ prefix: "agent-runner-service-" });
  readonly log: string[] = [];
  readonly store!: Store;
  readonly service!: RunningService;
  /** How often the database's file was opened. */
  opened = 0;
  #released = Promise.withResolvers<void>();
  readonly #never = new AbortController().signal;
  #document: Document | undefined;

  static async start(options: TestServiceOptions = {}): Promise<TestService> {
    const test = new TestService();
    const log = createLog({
      level: "DEBUG",
      write: (text) => test.log.push(text),
    });
    const { exclusive, storeClock } = options;
    const store = await openDuckDbStore(test.path, {
      exclusive,
      clock: storeClock,
      connect: (path) => test.#connect(path),
    });
    const service = await startService({
      store,
      log,
      clock: options.clock ?? systemClock,
      version: "1.2.3",
      settings: {
        address: { hostname: "127.0.0.1", port: 0 },
        allowedHosts: options.allowedHosts ?? [],
        token: options.token ?? "",
        readOnlyToken: options.readOnlyToken,
      },
      served: options.served ?? SERVED,
      runner: options.runner?.(store),
    });
    return Object.assign(test, { store, service });
  }

  /** Resolves when the file is not open. */
  released(): Promise<void> {
    return this.#released.promise;
  }

  async #connect(path: string): Promise<Connection> {
    const connection = await connectDuckDb(path);
    this.opened++;
    this.#released = Promise.withResolvers();
    const close = connection.close.bind(connection);
    connection.close = () => {
      close();
      this.#released.resolve();
    };
    return connection;
  }

  get path(): string {
    return `${this.folder}/tasks.duckdb`;
  }

  get url(): string {
    return this.service.url;
  }

  /** Sends a request; a body is sent as JSON. */
  async send(
    method: string,
    path: string,
    { body, headers = {} }: {
      body?: unknown;
      headers?: Record<string, string>;
    } = {},
  ): Promise<Answer> {
    const isText = typeof body === "string" || body instanceof Uint8Array;
    const response = await fetch(this.url + path, {
      method,
      headers: body === undefined || "Content-Type" in headers
        ? headers
        : { "Content-Type": "application/json", ...headers },
      body: isText
        ? body as BodyInit
        : body === undefined
        ? undefined
        : JSON.stringify(body),
    });
    const text = await response.text();
    const answer = {
      status: response.status,
      headers: response.headers,
      body: /\bjson/.test(response.headers.get("Content-Type") ?? "")
        ? JSON.parse(text)
        : text,
    };
    if (path !== "/openapi.json") {
      (await this.document()).check(method, path, answer);
    }
    return answer;
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.send("GET", path, { headers });
  }

  /** The body of an answer that must be 200. */
  async ok(path: string): Promise<Json> {
    const { status, body } = await this.get(path);
    assertEquals(status, 200, JSON.stringify(body));
    return body;
  }

  post(
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    return this.send("POST", path, { body, headers });
  }

  /** Creates a task through the API and returns its id. */
  async create(task: Record<string, unknown> = {}): Promise<string> {
    const body = { instruction: "Do something", ...task };
    const answer = await this.post("/api/v1/tasks", body);
    assertEquals(answer.status, 201, JSON.stringify(answer.body));
    return answer.body.id;
  }

  /** Creates tasks of the provider "p" beside the API. Returns their ids. */
  async add(tasks: readonly Partial<NewTask>[]): Promise<string[]> {
    const given = { userId: NO_ID, provider: "p" };
    const all = tasks.map((task) => ({ ...given, ...task }));
    return [...(await this.store.admin.create(newTasks(all))).sets()].flat();
  }

  /** Claims as a runner does. */
  async claim(limit = 1_000, owner = "tester"): Promise<ClaimedTask[]> {
    const options = { limit, owner, leaseMs: 60_000, maxAttempts: 3 };
    return [...(await this.store.queue.claim(options)).tasks];
  }

  /** Claims what there is, and ends it so. */
  async run(end: (claimed: ClaimedTask) => Transition): Promise<void> {
    await this.store.queue.record((await this.claim()).map(end));
  }

  async document(): Promise<Document> {
    if (!this.#document) {
      const { body, status } = await this.get("/openapi.json");
      assertEquals(status, 200);
      this.#document = new Document(body);
    }
    return this.#document;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.service.stop({ drainMs: 60_000, abort: this.#never });
    await this.store[Symbol.asyncDispose]();
    Deno.removeSync(this.folder, { recursive: true });
  }
}

const FORMATS = {
  uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  "date-time": /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/,
};

/** An OpenAPI document that answers are compared with. */
export class Document {
  readonly json: Json;
  readonly #ajv: Ajv2020;
  readonly #paths: readonly (readonly [RegExp, string])[];
  readonly #validators = new Map<string, ValidateFunction>();

  constructor(json: Json) {
    // Properties that the document does not name are not true of it.
    this.json = closed(json);
    this.#ajv = new Ajv2020({
      strict: true,
      strictTypes: false,
      formats: FORMATS,
      keywords: ["example"],
    });
    this.#paths = Object.keys(json.paths).map((path) => [
      new RegExp(`^${path.replaceAll(/\{\w+\}/g, "[^/]+")}$`),
      path,
    ]);
  }

  /** Fails where an answer is not as the document says. */
  check(method: string, path: string, { status, headers, body }: Answer): void {
    const route = path.replace(/\?.*/, "");
    const known = this.#paths.find(([pattern]) => pattern.test(route))?.[1];
    const operation = this.json.paths[known ?? ""]?.[method.toLowerCase()];
    const type = (headers.get("Content-Type") ?? "").split(";")[0] ?? "";
    if (!operation) return this.#checkProblem(status, type, body);
    const response = operation.responses[status] ??
      operation.responses.default;
    if (status === 204) return assertEquals(body, "");
    const what = `${method} ${path} ${status} ${type}`;
    const content = response.content?.[type];
    assert(content, `${what} is not in the document`);
    if (operation.responses[status] === undefined) {
      return this.#checkProblem(status, type, body);
    }
    this.#validate(content.schema, body, what);
  }

  #checkProblem(status: number, type: string, body: Json): void {
    assertEquals(type, "application/problem+json", JSON.stringify(body));
    assertEquals(body.status, status);
    this.#validate({ $ref: "#/components/schemas/Problem" }, body, "problem");
  }

  #validate(schema: Json, body: Json, what: string): void {
    const key = JSON.stringify(schema);
    let validate = this.#validators.get(key);
    if (!validate) {
      const all = JSON.stringify({
        ...schema,
        $defs: this.json.components.schemas,
      });
      validate = this.#ajv.compile(
        JSON.parse(all.replaceAll("#/components/schemas/", "#/$defs/")),
      );
      this.#validators.set(key, validate);
    }
    assert(
      validate(body),
      `${what}: ${this.#ajv.errorsText(validate.errors)}: ${
        JSON.stringify(body).slice(0, 2_000)
      }`,
    );
  }
}

function closed(value: Json): Json {
  if (Array.isArray(value)) return value.map(closed);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, it]) => [key, closed(it)]);
  const copy = Object.fromEntries(entries);
  return copy.type === "object" && copy.properties
    ? { additionalProperties: false, ...copy }
    : copy;
}
