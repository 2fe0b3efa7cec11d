/**
 * The headers that the configuration asks for, with the values of variables in
 * place of their names.
 *
 * @module
 */

/** Finds a variable of the runner's environment. */
export type VariableLookup = (name: string) => string | undefined;

/** Stands in a header's value for the value of a variable. */
const REFERENCE = /\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}/g;

/** What a value may hold: a tab, and visible characters of Latin-1. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** A header's name. */
const NAME = /^[!#$%&'*+.^_`|~\w-]+$/;

/** What the runner sets by itself, or what decides where a request ends. */
const OWN_NAMES =
  /^(host|connection|content-(length|type|encoding)|transfer-encoding|accept-encoding|te|trailer|upgrade|expect|keep-alive|proxy-.*|idempotency-key|webhook-.*)$/i;

/** Headers whose values are secret, wherever they come from. */
const SECRET_NAMES = /auth|cookie|token|secret|key|password/i;

/** What is wrong with a header in the configuration. */
export function nameProblem(name: string): string | undefined {
  if (!NAME.test(name)) return "expected the name of a header";
  return OWN_NAMES.test(name)
    ? "expected another header: agent-runner sets this one itself"
    : undefined;
}

/** What is wrong with a header's value in the configuration. */
export function valueProblem(value: string): string | undefined {
  const rest = value.replaceAll(REFERENCE, "");
  if (rest.includes("${")) {
    return "expected ${env:NAME} where it has ${, for the variable NAME";
  }
  return VALUE.test(rest)
    ? undefined
    : "expected a text without line breaks and characters beyond Latin-1";
}

/** Headers to send, and what in them is secret. */
export interface FilledHeaders {
  readonly headers: Readonly<Record<string, string>>;
  /** The values of variables, and of headers like `Authorization`. */
  readonly secrets: readonly string[];
  /** What is wrong with the variables, a sentence each. */
  readonly problems: readonly string[];
}

/** Puts the values of variables into headers. */
export function fillHeaders(
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
