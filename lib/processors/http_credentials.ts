/**
 * What says whom a task is from, and may be seen by its receiver only.
 *
 * @module
 */

import type { HttpConfig } from "./http_config.ts";
import { fillHeaders, type VariableLookup } from "./http_headers.ts";
import { MIN_SECRET_CHARACTERS, Secrets } from "./secrets.ts";
import { createSigner, type Sign } from "./signature.ts";

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
  { headers: templates, signingSecret }: HttpConfig,
  variable: VariableLookup,
): Credentials {
  const { headers, secrets, problems } = fillHeaders(templates, variable);
  const { sign, secret, problem } = signerOf(signingSecret, variable);
  return {
    headers,
    sign,
    secrets: new Secrets(
      [...secrets, ...secret].filter((it) =>
        it.length >= MIN_SECRET_CHARACTERS
      ),
    ),
    problems: [...problems, ...problem],
  };
}

interface Signer {
  readonly sign: Sign;
  readonly secret: readonly string[];
  readonly problem: readonly string[];
}

function signerOf(
  name: string | undefined,
  variable: VariableLookup,
): Signer {
  const unsigned = { sign: () => ({}), secret: [], problem: [] };
  if (name === undefined) return unsigned;
  const secret = variable(name);
  if (!secret) {
    return { ...unsigned, problem: [`The variable ${name} is not set.`] };
  }
  try {
    return { sign: createSigner(secret), secret: [secret], problem: [] };
  } catch {
    const problem = `The variable ${name} is no secret to sign with: ` +
      "expected base64, as `openssl rand -base64 32` makes it.";
    return { ...unsigned, problem: [problem] };
  }
}
