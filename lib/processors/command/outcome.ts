/**
 * What the end of a program means for its task.
 *
 * @module
 */

import type { JsonValue, Outcome } from "../../task/task.ts";
import type { CommandConfig } from "./config.ts";
import { Excerpt } from "./tail.ts";

/** How much of its output a failure quotes, in characters. */
export const MAX_QUOTED_CHARACTERS = 2_000;

/** How a program ended, and what it said until then. */
export interface End {
  readonly status: Deno.CommandStatus;
  readonly stdout: string;
  readonly stderr: string;
  /** The last message of the program that ends its work. */
  readonly message:
    | { readonly kind: "result"; readonly value: JsonValue }
    | { readonly kind: "question"; readonly question: string }
    | undefined;
}

/** The outcome of a program that ended by itself. */
export function outcomeOf(
  { status, stdout, stderr, message }: End,
  { exitCodes, answerWithin }: CommandConfig,
): Outcome {
  const meaning = meaningOf(status, exitCodes);
  switch (meaning) {
    case "completed":
      if (message?.kind === "question") return ask(message.question);
      if (message) return { kind: "completed", result: message.value };
      return stdout === ""
        ? { kind: "completed" }
        : { kind: "completed", result: stdout };
    case "needsInput":
      if (message?.kind === "question") return ask(message.question);
      return ask(stdout || "The program needs input, and does not say which");
    default:
      return {
        kind: "failed",
        error: errorOf(status, quoted(stderr || stdout)),
        retryable: meaning === "retry",
      };
  }

  function ask(question: string): Outcome {
    return answerWithin === undefined ? { kind: "needs_input", question } : {
      kind: "needs_input",
      question,
      answerWithinMs: answerWithin * 1_000,
    };
  }
}

type ExitCodes = CommandConfig["exitCodes"];

const MEANINGS = ["completed", "needsInput", "retry", "failed"] as const;

function meaningOf(
  { code, signal }: Deno.CommandStatus,
  exitCodes: ExitCodes,
): (typeof MEANINGS)[number] {
  if (signal !== null) return exitCodes.others;
  return MEANINGS.find((it) => exitCodes[it].includes(code)) ??
    exitCodes.others;
}

function errorOf(
  { code, signal }: Deno.CommandStatus,
  output: string,
): string {
  const end = signal === null ? `Exit code ${code}` : `Killed by ${signal}`;
  return output === "" ? end : `${end}: ${output}`;
}

function quoted(text: string): string {
  const excerpt = new Excerpt(MAX_QUOTED_CHARACTERS);
  excerpt.add(text);
  return excerpt.toString();
}
