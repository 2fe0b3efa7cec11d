/**
 * What a run of an agent used.
 *
 * @module
 */

/** Tokens and cost of one run, as far as the agent told them. */
export type Usage = {
  /** Tokens read, those from a cache not included. */
  readonly input?: number;
  /** Tokens written, those of thoughts included. */
  readonly output?: number;
  /** Tokens read from a cache. */
  readonly cached?: number;
  /** US dollars. */
  readonly costUsd?: number;
  /** The model that did most of it. */
  readonly model?: string;
};

const NUMBERS = ["input", "output", "cached", "costUsd"] as const;
/** No run uses more: what says so is wrong, and would spoil all sums. */
const MOST = 1e12;
/** The name of a model becomes the label of a metric. */
const MAX_MODEL_CHARACTERS = 100;

/**
 * A value as the usage that it is, whoever made it; undefined where nothing of it
 * is.
 */
export function usageOf(value: unknown): Usage | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const given = value as Record<string, unknown>;
  const numbers = NUMBERS.flatMap((name) => {
    const number = given[name];
    const isAmount = typeof number === "number" && number >= 0 &&
      number <= MOST;
    return isAmount ? [[name, number]] : [];
  });
  if (numbers.length === 0) return undefined;
  const { model } = given;
  return {
    ...Object.fromEntries(numbers),
    ...typeof model === "string" && model !== "" &&
      { model: model.slice(0, MAX_MODEL_CHARACTERS) },
  };
}

/** Both together; the model is the first one's where it has one. */
export function addUsage(
  one: Usage | undefined,
  other: Usage | undefined,
): Usage | undefined {
  if (!one || !other) return one ?? other;
  const sums = NUMBERS.flatMap((name) =>
    one[name] === undefined && other[name] === undefined
      ? []
      : [[name, (one[name] ?? 0) + (other[name] ?? 0)]]
  );
  return { ...other, ...one, ...Object.fromEntries(sums) };
}

/** All tokens that a run had to do with. */
export function tokensOf(
  { input = 0, output = 0, cached = 0 }: Pick<
    Usage,
    "input" | "output" | "cached"
  >,
): number {
  return input + output + cached;
}

/** What may be used. */
export interface Budget {
  /** US dollars for a task, all its attempts together, */
  readonly taskUsd?: number;
  /** and for a day, which begins at midnight where the runner is. */
  readonly dayUsd?: number;
  /** Tokens for a day, those from caches included. */
  readonly tokensPerDay?: number;
}

/** US dollars for a million tokens. */
export interface Price {
  readonly input: number;
  readonly output: number;
  /** @default {that of input} */
  readonly cached?: number | undefined;
}

const MILLION = 1_000_000;

/**
 * A usage with its cost, where the agent did not tell that.
 *
 * @param prices by model; `*` is for those that are not named
 */
export function priced(
  usage: Usage | undefined,
  prices: ReadonlyMap<string, Price> | undefined,
): Usage | undefined {
  if (!usage || usage.costUsd !== undefined) return usage;
  const price = prices?.get(usage.model ?? "*") ?? prices?.get("*");
  if (!price) return usage;
  const { input = 0, output = 0, cached = 0 } = usage;
  const costUsd = (input * price.input + output * price.output +
    cached * (price.cached ?? price.input)) / MILLION;
  return { ...usage, costUsd };
}
