/**
 * Runs the programs of forges, `gh` and `glab`, with the user's own login.
 *
 * @module
 */

import { messageOf, UserError } from "../../base/errors.ts";
import { write } from "../git.ts";

/** The programs that are known. */
export const FORGES = ["gh", "glab"] as const;
export type Forge = (typeof FORGES)[number];

/** Where a forge's program runs, and with what. */
export interface ForgeOptions {
  /** @default {the current folder} */
  readonly cwd?: string;
  /** What its stdin gives. Default: nothing */
  readonly input?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** It is stopped then. @default {two minutes} */
  readonly timeMs?: number;
}

/** What kept a forge's program from doing it. The message is in words for people. */
export class ForgeError extends UserError {
  override readonly name = "ForgeError";
  /** The same would happen again, until a person has done something. */
  readonly needsPerson: boolean;

  constructor(
    message: string,
    { needsPerson, ...options }: ErrorOptions & {
      readonly needsPerson: boolean;
    },
  ) {
    super(message, options);
    this.needsPerson = needsPerson;
  }
}

/** What both say where nobody is logged in; `gh` has an exit code for it. */
const NOT_LOGGED_IN = /auth login|not logged in|401 Unauthorized/i;
const GH_LOGIN_CODE = 4;
const MAX_SAID = 2_000;
/** No call of theirs takes so long, but one whose network hangs. */
const TIME_MS = 120_000;

/** Neither asks, colours, or looks for a newer one of itself. */
const SET = {
  GH_PROMPT_DISABLED: "1",
  GH_NO_UPDATE_NOTIFIER: "1",
  GH_SPINNER_DISABLED: "1",
  NO_PROMPT: "1",
  GLAB_CHECK_UPDATE: "false",
  NO_COLOR: "1",
  GIT_TERMINAL_PROMPT: "0",
};

/**
 * What a forge's program prints where it succeeds. Never asks anybody anything.
 *
 * @throws {ForgeError} where it is not there, nobody is logged in, or it fails.
 */
export async function runForge(
  forge: Forge,
  args: readonly string[],
  { cwd, input, signal, timeMs = TIME_MS }: ForgeOptions = {},
): Promise<string> {
  const tooLong = new AbortController();
  const timer = setTimeout(() => tooLong.abort(), timeMs);
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(forge, {
      args: [...args],
      ...cwd !== undefined && { cwd },
      env: SET,
      stdin: input === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
      signal: signal
        ? AbortSignal.any([signal, tooLong.signal])
        : tooLong.signal,
    }).spawn();
  } catch (error) {
    clearTimeout(timer);
    throw new ForgeError(
      `Cannot run ${forge}: ${
        error instanceof Deno.errors.NotFound
          ? `it is not on PATH. Install it, and log in: ${forge} auth login.`
          : messageOf(error)
      }`,
      { cause: error, needsPerson: true },
    );
  }
  const writing = input === undefined ? undefined : write(child, input);
  const { code, ...output } = await child.output();
  await writing;
  clearTimeout(timer);
  signal?.throwIfAborted();
  if (tooLong.signal.aborted) {
    throw new ForgeError(
      `${forge} ${args.slice(0, 2).join(" ")} did not end within ` +
        `${Math.ceil(timeMs / 1_000)} s, and was stopped.`,
      { needsPerson: false },
    );
  }
  const [stdout, stderr] = [output.stdout, output.stderr]
    .map((it) => new TextDecoder().decode(it)) as [string, string];
  if (code === 0) return stdout;
  const said = (stderr.trim() || stdout.trim()).slice(0, MAX_SAID);
  const needsPerson = (forge === "gh" && code === GH_LOGIN_CODE) ||
    NOT_LOGGED_IN.test(said);
  throw new ForgeError(
    needsPerson
      ? `Cannot use ${forge}: nobody is logged in. Log in: ${forge} auth ` +
        `login.${said && ` It says: ${said}`}`
      : `${forge} ${args.slice(0, 2).join(" ")} failed: ${
        said || `exit code ${code}`
      }`,
    { needsPerson },
  );
}
