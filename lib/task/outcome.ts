/**
 * Makes what a processor returns fit to be kept. A processor may be anybody's
 * JavaScript: nothing that it returns is trusted.
 *
 * @module
 */

import { cut } from "../base/cut.ts";
import { messageOf } from "../base/errors.ts";
import { MAX_PROGRESS_CHARACTERS } from "./progress.ts";
import type { Asked, JsonValue, Outcome, Printed } from "./task.ts";
import { usageOf } from "./usage.ts";
import {
  isTooDeep,
  MAX_JSON_DEPTH,
  parseJson,
  stringifyJson,
} from "./trace.ts";

/** The longest result, in characters of its JSON text: 1 MiB. */
export const MAX_RESULT_CHARACTERS = 1024 * 1024;
/** What is kept of a longer one. */
export const KEPT_RESULT_CHARACTERS = MAX_RESULT_CHARACTERS / 2;
/** The longest error and the longest question; what is longer is cut. */
export const MAX_TEXT_CHARACTERS = 10_000;
/** The most that is kept of what was printed; what is longer is cut. */
const MAX_PRINTED_CHARACTERS = 1024 * 1024;
/** The longest time that a processor may ask for: ten years. */
const MAX_WAIT_MS = 10 * 365 * 86_400_000;

const KINDS: readonly unknown[] = [
  "completed",
  "failed",
  "needs_input",
  "limited",
] satisfies Outcome["kind"][];

/** The outcome in a form that can be kept, whatever a processor returned. */
export function checkedOutcome(outcome: Outcome): Outcome {
  try {
    const checked = check(outcome);
    const printed = printedOf(outcome?.printed);
    const usage = usageOf(outcome?.usage);
    return printed || usage
      ? { ...checked, ...printed && { printed }, ...usage && { usage } }
      : checked;
  } catch (error) {
    // A getter of the object's own.
    return nonsense(
      `The processor's outcome can't be read: ${
        cut(error, MAX_TEXT_CHARACTERS)
      }`,
    );
  }
}

/**
 * What a program printed, as an outcome, a trace or the history has it; undefined
 * where that is nothing.
 */
export function printedOf(value: unknown): Printed | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { stdout, stderr } = value as Record<string, unknown>;
  const printed = {
    ...isText(stdout) && { stdout: cut(stdout, MAX_PRINTED_CHARACTERS) },
    ...isText(stderr) && { stderr: cut(stderr, MAX_PRINTED_CHARACTERS) },
  };
  return Object.keys(printed).length > 0 ? printed : undefined;
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

const COMPLETED: Outcome = { kind: "completed" };

function check(outcome: Outcome): Outcome {
  switch (outcome?.kind) {
    case "completed": {
      const { result, message, warning } = outcome;
      if (result === undefined && message === undefined && !warning) {
        return COMPLETED;
      }
      return checkedCompletion(outcome);
    }
    case "failed": {
      const retryAfterMs = checkedWait(outcome.retryAfterMs);
      return {
        kind: "failed",
        error: cut(outcome.error, MAX_TEXT_CHARACTERS),
        retryable: outcome.retryable !== false,
        ...outcome.isUnbegun === true && { isUnbegun: true },
        ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
        ...outcome.pausesProvider === true && { pausesProvider: true },
        ...isQuestion(outcome.atLast?.question) &&
          { atLast: checkedAsked(outcome.atLast!) },
      };
    }
    case "needs_input": {
      return isQuestion(outcome.question)
        ? { kind: "needs_input", ...checkedAsked(outcome) }
        : nonsense("The processor asked for input without a question");
    }
    case "limited": {
      const waitMs = checkedWait(outcome.waitMs);
      return {
        kind: "limited",
        reason: cut(outcome.reason, MAX_PROGRESS_CHARACTERS),
        ...(waitMs === undefined ? {} : { waitMs }),
      };
    }
    default:
      return nonsense(
        "The processor returned no outcome: expected an object whose " +
          `"kind" is one of ${KINDS.join(", ")}`,
      );
  }
}

function nonsense(error: string): Outcome {
  return { kind: "failed", error, retryable: false };
}

function isQuestion(question: unknown): boolean {
  return typeof question === "string" && question.trim() !== "";
}

function checkedAsked(asked: Asked): Asked {
  const answerWithinMs = checkedWait(asked.answerWithinMs);
  return {
    question: cut(asked.question, MAX_TEXT_CHARACTERS),
    ...(answerWithinMs === undefined ? {} : { answerWithinMs }),
    ...checkedApproval(asked),
  };
}

function checkedApproval({ approval, result }: Asked) {
  if (approval?.of !== "start" && approval?.of !== "merge") return {};
  const { of, head } = approval;
  return {
    approval: { of, ...typeof head === "string" && { head } },
    ...result !== undefined && { result: checkedResult(result).value },
  };
}

/** Undefined where it is no time to wait. */
function checkedWait(ms: unknown): number | undefined {
  return typeof ms === "number" && ms > 0
    ? Math.min(ms, MAX_WAIT_MS)
    : undefined;
}

/**
 * The work is done, so it is not failed for a result that can't be kept: what
 * can be kept of it is, and the message says so.
 */
function checkedCompletion(
  { result, message, warning }: Readonly<Record<string, unknown>>,
): Outcome {
  const kept = result === undefined ? undefined : checkedResult(result);
  const note = [message, kept?.problem].filter((it) => it !== undefined)
    .map((it) => cut(it, MAX_PROGRESS_CHARACTERS)).join(". ");
  return {
    kind: "completed",
    ...(kept ? { result: kept.value } : {}),
    ...(note ? { message: note } : {}),
    ...(warning ? { warning: cut(warning, MAX_PROGRESS_CHARACTERS) } : {}),
  };
}

interface CheckedResult {
  readonly value: JsonValue;
  /** What is wrong with it, where it is not as it was returned. */
  readonly problem?: string;
}

function checkedResult(result: unknown): CheckedResult {
  let text: string | undefined;
  try {
    text = stringifyJson(result as JsonValue);
  } catch (error) {
    return unkept(messageOf(error).replace(/\n[^]*/, ""));
  }
  // What JSON has no word for, such as a function.
  if (text === undefined) return unkept(`it is a ${typeof result}`);
  if (text.length > MAX_RESULT_CHARACTERS) {
    const all = typeof result === "string" ? result : text;
    return {
      value: { truncated: all.slice(0, KEPT_RESULT_CHARACTERS) },
      problem: `The result was cut: it has ${
        text.length.toLocaleString("en")
      } characters of JSON, more than ${
        MAX_RESULT_CHARACTERS.toLocaleString("en")
      }`,
    };
  }
  // A copy: the processor may go on to change what it returned, and a toJSON()
  // may say something else the next time.
  const value = parseJson(text);
  if (value === undefined) return unkept("it is no JSON");
  return isTooDeep(value)
    ? unkept(`it is nested more than ${MAX_JSON_DEPTH} times`, text)
    : { value };
}

/** @param text what it is in JSON, of which the beginning is kept */
function unkept(why: string, text?: string): CheckedResult {
  const problem = `The result can't be kept: ${why}`;
  const value: JsonValue = text === undefined
    ? { unkept: problem }
    : { unkept: problem, text: text.slice(0, KEPT_RESULT_CHARACTERS) };
  return { value, problem };
}
