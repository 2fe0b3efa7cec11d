/**
 * What says whom a task is from, and may be seen by its receiver only.
 *
 * @module
 */

import {
  createSigner,
  SecretError,
  type Sign,
  type Signer,
} from "../../base/signature.ts";
import { MIN_SECRET_CHARACTERS, Secrets } from "../secrets.ts";
import type { VariableLookup } from "../task_runs.ts";
import { type HttpConfig, REFERENCE, VALUE } from "./config.ts";

/** Headers whose values are secret, wherever they come from. */
const SECRET_NAMES = /auth|cookie|token|secret|key|password/i;

/** Headers and signature, as configured. */
export interface Credentials {
  readonly headers: Readonly<Record<string, string>>;
  readonly sign: Sign;
  /** Masks what was taken from variables. */
  readonly secrets: Secrets;
  /** What is wrong with the variables, a sentence each. */
  readonly problems: readonly string[];
}

/** Reads the variables that the configuration names. */
export function credentialsOf(
  { headers: templates, secretEnv }: HttpConfig,
  variable: VariableLookup,
): Credentials {
  const { headers, secrets, problems } = fillHeaders(templates, variable);
  const { sign, keys, problem } = signerOf(secretEnv, variable);
  return {
    headers,
    sign,
    secrets: new Secrets(
      [...secrets, ...keys].filter((it) => it.length >= MIN_SECRET_CHARACTERS),
    ),
    problems: problem === undefined ? problems : [...problems, problem],
  };
}

/** Headers to send, and what in them is secret. */
interface FilledHeaders {
  readonly headers: Readonly<Record<string, string>>;
  /** The values of variables, and of headers like `Authorization`. */
  readonly secrets: readonly string[];
  /** What is wrong with the variables, a sentence each. */
  readonly problems: readonly string[];
}

/** Puts the values of variables into headers. */
function fillHeaders(
  templates: Readonly<Record<string, string>>,
  variable: VariableLookup,
): FilledHeaders {
  const headers: Record<string, string> = {};
  const secrets: string[] = [];
  const problems = new Set<string>();
  for (const [name, template] of Object.entries(templates)) {
    headers[name] = template.replaceAll(REFERENCE, (_, key: string) => {
      const value = variable(key);
      if (!value) problems.add(`The variable ${key} is not set.`);
      else if (!VALUE.test(value)) {
        problems.add(
          `The variable ${key} can't be part of the header ${name}: it has a ` +
            "line break or a character beyond Latin-1.",
        );
      } else secrets.push(value);
      return value ?? "";
    });
    // Of `Bearer x`, x alone is secret too.
    if (SECRET_NAMES.test(name)) {
      secrets.push(headers[name], ...headers[name].split(/\s+/).slice(-1));
    }
  }
  return { headers, secrets, problems: [...problems] };
}

function signerOf(
  name: string | undefined,
  variable: VariableLookup,
): Signer & { readonly problem?: string } {
  const unsigned = { sign: () => ({}), keys: [] };
  if (name === undefined) return unsigned;
  try {
    return createSigner(variable(name));
  } catch (error) {
    if (!(error instanceof SecretError)) throw error;
    return { ...unsigned, problem: `The variable ${name} ${error.message}` };
  }
}
