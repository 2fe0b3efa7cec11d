/**
 * Answers questions in SQL, in a transaction that is read only and has a limit of
 * time.
 *
 * @module
 */

import type { Clock } from "../../base/clock.ts";
import { messageOf, UsageError } from "../../base/errors.ts";
import { formatSpan } from "../../base/figures.ts";
import { track } from "../../base/under_way.ts";
import type { JsonValue } from "../../task/task.ts";
import { parseJson } from "../../task/trace.ts";
import type { QueryOptions, QueryResult, Reader } from "../contract.ts";
import { parsePostgresAddress, type PostgresAddress } from "./address.ts";
import { type Client, openClient } from "./connection.ts";
import { Database } from "./database.ts";
import { codeOf, explainPostgresError, isLost } from "./explain.ts";
import { readVersion, stepsFrom } from "./schema.ts";

/** Options for {@linkcode openPostgresReader}. */
export interface ReaderOptions {
  readonly clock: Clock;
  /** How long to try where the server can't be used, in ms. */
  readonly waitMs: number;
}

/**
 * Opens the database at an address to be read.
 *
 * @throws {DatabaseError} where it can't be used.
 */
export async function openPostgresReader(
  text: string,
  options: ReaderOptions,
): Promise<Reader> {
  const address = parsePostgresAddress(text);
  await using database = new Database(address, {
    ...options,
    onProblem: () => {},
  });
  // Without tables, each question would be a mistake in it.
  stepsFrom(
    await database.read((it) => readVersion(it, address.schema)),
    address.shown,
  );
  return new PostgresReader(address);
}

class PostgresReader implements Reader {
  readonly #address: PostgresAddress;
  readonly #client: Client;

  constructor(address: PostgresAddress) {
    this.#address = address;
    this.#client = openClient(address, { max: 1 });
  }

  async query(
    question: string,
    { limit, timeoutMs }: QueryOptions,
  ): Promise<QueryResult> {
    if (!READS.test(question)) {
      throw new UsageError(`Cannot run this: ${READS_ONLY}`);
    }
    try {
      return await track(this.#ask(question, { limit, timeoutMs }));
    } catch (error) {
      throw this.#explained(error, timeoutMs);
    }
  }

  async #ask(
    question: string,
    { limit, timeoutMs }: QueryOptions,
  ): Promise<QueryResult> {
    let result: QueryResult = { columns: [], rows: [], hasMore: false };
    // Whatever becomes of it, nothing was changed.
    await this.#client.unsafe("BEGIN READ ONLY");
    try {
      await this.#client.unsafe(
        `SELECT set_config('search_path', $1, true),
           set_config('statement_timeout', $2, true),
           set_config('TimeZone', 'UTC', true)`,
        [`"${this.#address.schema}", public`, String(timeoutMs)],
      );
      // Not the simple protocol, in which a question may be several.
      const asked = this.#client.unsafe(
        question,
        [],
        { simple: false, prepare: false } as { prepare: boolean },
      ).raw();
      for await (const rows of asked.cursor(limit + 1)) {
        result = resultOf(rows as unknown as RawRows, limit);
        break;
      }
      await this.#client.unsafe("ROLLBACK");
      return result;
    } catch (error) {
      if (!isLost(error)) await this.#client.unsafe("ROLLBACK");
      throw error;
    }
  }

  #explained(error: unknown, timeoutMs: number): Error {
    const code = codeOf(error);
    if (code === "" || isLost(error)) {
      return explainPostgresError(error, this.#address.shown);
    }
    if (code === "57014") {
      return new UsageError(
        `Cannot answer within ${formatSpan(timeoutMs)}. ` +
          "Ask for less, or give a longer --timeout.",
        { cause: error },
      );
    }
    const { hint } = error as { hint?: string };
    const why = code === "25006"
      ? READS_ONLY
      : /multiple commands/.test(messageOf(error))
      ? "it is more than one question. Ask one after the other."
      : messageOf(error) + (hint ? `\n  ${hint}` : "");
    return new UsageError(`Cannot run this: ${why}`, { cause: error });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await track(this.#client.end({ timeout: 1 }));
  }
}

/** After comments and brackets. What else it might be, its transaction refuses. */
const READS =
  /^(?:\s|\(|--[^\n]*\n|\/\*[^]*?\*\/)*(?:select|with|values|table|explain|show)\b/i;

const READS_ONLY = "the database is open to be read only, by SELECT and by " +
  "EXPLAIN before it. Tasks are changed by the other commands: create, cancel, " +
  "retry, answer, prune. agent-runner export writes files.";

type RawRows = readonly (readonly (Uint8Array | null)[])[] & {
  readonly columns: readonly { readonly name: string; readonly type: number }[];
};

const INTEGERS = new Set([20, 21, 23, 26]);
const FRACTIONS = new Set([700, 701, 1700]);
const BOOLEAN = 16;
const JSONS = new Set([114, 3802]);

function resultOf(raw: RawRows, limit: number): QueryResult {
  const names = new Map<string, number>();
  const decoder = new TextDecoder();
  return {
    columns: raw.columns.map(({ name, type }) => {
      const count = names.get(name) ?? 0;
      names.set(name, count + 1);
      return {
        name: count === 0 ? name : `${name}:${count}`,
        isNumber: INTEGERS.has(type) || FRACTIONS.has(type),
      };
    }),
    rows: raw.slice(0, limit).map((row) =>
      row.map((bytes, index) =>
        bytes === null
          ? null
          : valueOf(decoder.decode(bytes), raw.columns[index]?.type ?? 0)
      )
    ),
    hasMore: raw.length > limit,
  };
}

/** Numbers stay numbers, however large; what is no JSON is a text. */
function valueOf(text: string, type: number): JsonValue {
  if (type === BOOLEAN) return text === "t";
  if (JSONS.has(type)) return parseJson(text) ?? text;
  const number = Number(text);
  if (INTEGERS.has(type)) {
    return Number.isSafeInteger(number) ? number : BigInt(text);
  }
  if (!FRACTIONS.has(type) || !Number.isFinite(number)) return text;
  return /^-?\d{16,}$/.test(text) ? BigInt(text) : number;
}
