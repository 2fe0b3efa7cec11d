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
import type { HttpConfig } from "./config.ts";
import { fillHeaders, type VariableLookup } from "./headers.ts";
import { MIN_SECRET_CHARACTERS, Secrets } from "../secrets.ts";

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
