/**
 * Runs git, without a word to anybody and without what the runner's own surroundings
 * would tell it.
 *
 * @module
 */

import { normalize } from "node:path";
import { systemClock } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import { withGivenUmask } from "../base/private.ts";

/** How a call of git ended. */
export interface GitEnd {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** It printed more than it was to, and was stopped: the exit code says nothing. */
  readonly isCut?: true;
}

/** Where git runs, and with what. */
export interface GitOptions {
  /** A folder in the repository, or in one of its worktrees. */
  readonly cwd: string;
  /** What its stdin gives. Default: nothing */
  readonly input?: string;
  /**
   * Whether the repository's hooks run. Only a commit's have a say; a checkout by us
   * is none by the user. @default {false}
   */
  readonly hasHooks?: boolean;
  /** Variables beside the runner's own. */
  readonly env?: Readonly<Record<string, string>>;
  /**
   * Variables in place of the runner's own, which hooks and filters that an agent
   * may have written must not see.
   */
  readonly surroundings?: Readonly<Record<string, string>> | undefined;
  readonly signal?: AbortSignal | undefined;
  /** It is stopped where it prints more. Default: it prints what it likes */
  readonly maxBytes?: number;
}

/** What git said where it failed. The message is in words for people. */
export class GitError extends Error {
  override readonly name = "GitError";
  readonly end: GitEnd;
  /** The file of a lock that was in its way all the time. */
  readonly lock: string | undefined;

  constructor(args: readonly string[], end: GitEnd) {
    const said = (end.stderr.trim() || end.stdout.trim())
      .replace(LOGIN, "$1").slice(0, MAX_SAID);
    const lock = lockIn(end);
    super(
      `git ${commandIn(args)} failed: ${
        lock
          ? `${lock} is left from a git that was killed, or one is at work. ` +
            "Remove it if no git runs there."
          : said || `exit code ${end.code}`
      }`,
    );
    this.end = end;
    this.lock = lock;
  }

  /** Another git was in its way, perhaps for a moment only. */
  get mayPass(): boolean {
    return this.lock !== undefined || HALF_MADE.test(this.end.stderr);
  }

  /** The disk is full: no fault of what it was to do. */
  get isFull(): boolean {
    return /No space left on device|Disk quota exceeded/i.test(this.end.stderr);
  }
}

/** The first word that is neither an option nor one's value. */
function commandIn(args: readonly string[]): string {
  return args.find((it, at) => !it.startsWith("-") && args[at - 1] !== "-c") ??
    "";
}

/** It looks at all worktrees, and another git has just begun one. */
const HALF_MADE = /failed to read [^\n]*worktrees\//;

/** The file of a lock that is another git's; undefined where it failed otherwise. */
function lockIn({ stderr }: GitEnd): string | undefined {
  const [, path] =
    /(?:Unable to create|could not lock config file) '?([^'\n]+)'?: File exists/
      .exec(stderr) ?? [];
  return path && normalize(path);
}

/** There is no git. */
export class NoGitError extends Error {
  override readonly name = "NoGitError";
}

const MAX_SAID = 2_000;

/** Who one is at an address, which git says in some messages. */
const LOGIN = /(\b(?:https?|ssh|git):\/\/)[^\s\/@]+@/gi;

/**
 * What git's own variables say is of another repository: a runner may be started
 * from a hook. Of the user's settings, all hold but what would wait for a person.
 */
const UNSET =
  /^GIT_(DIR|WORK_TREE|INDEX_FILE|COMMON_DIR|OBJECT_DIRECTORY|ALTERNATE_OBJECT_DIRECTORIES|NAMESPACE|PREFIX|QUARANTINE_PATH|EDITOR|SEQUENCE_EDITOR|LITERAL_PATHSPECS|GLOB_PATHSPECS|ICASE_PATHSPECS|NOGLOB_PATHSPECS|TRACE.*|REFLOG_ACTION|INTERNAL_.*|CEILING_DIRECTORIES|EXTERNAL_DIFF|DIFF_OPTS)$/;

/** Who the user is, and where their settings are. */
const OF_USER =
  /^(GIT_(AUTHOR|COMMITTER)_(NAME|EMAIL)|GIT_CONFIG_(GLOBAL|SYSTEM|NOSYSTEM)|XDG_CONFIG_HOME|EMAIL)$/;

const SET = {
  GIT_TERMINAL_PROMPT: "0",
  // What is read takes no lock from whoever works there.
  GIT_OPTIONAL_LOCKS: "0",
  // Its messages are read.
  LC_ALL: "C.UTF-8",
  GIT_EDITOR: "true",
  GIT_SEQUENCE_EDITOR: "true",
  GIT_PAGER: "cat",
};

/** No background work of ours in a repository of the user's. */
const CONFIG = [
  "gc.auto=0",
  "maintenance.auto=false",
  "advice.detachedHead=false",
  // How a conflict of ours was resolved is no memory of the user's.
  "rerere.enabled=false",
  // It is a program, and the configuration of a clone may be an agent's.
  "core.fsmonitor=false",
  "protocol.ext.allow=never",
].flatMap((it) => ["-c", it]);
const NO_HOOKS = ["-c", "core.hooksPath=/dev/null"];

/**
 * Runs git. Never asks anybody anything.
 *
 * @throws {NoGitError} where there is no git, or no such folder.
 */
export async function runGit(
  args: readonly string[],
  { cwd, input, hasHooks = false, env, surroundings, signal, maxBytes }:
    GitOptions,
): Promise<GitEnd> {
  let child: Deno.ChildProcess;
  // Its hooks are ended with it, and a Ctrl-C for us ends neither.
  const isGroup = Deno.build.os !== "windows";
  try {
    child = withGivenUmask(() =>
      new Deno.Command("git", {
        args: [...CONFIG, ...hasHooks ? [] : NO_HOOKS, ...args],
        cwd,
        clearEnv: true,
        env: { ...withoutGits(surroundings), ...SET, ...env },
        stdin: input === undefined ? "null" : "piped",
        stdout: "piped",
        stderr: "piped",
        detached: isGroup,
      }).spawn()
    );
  } catch (error) {
    throw new NoGitError(
      `Cannot run git in ${cwd}: ${
        error instanceof Deno.errors.NotFound
          ? await isFolder(cwd)
            ? "there is no git on PATH. Install it."
            : "that folder is gone."
          : messageOf(error)
      }`,
      { cause: error },
    );
  }
  const writing = input === undefined ? undefined : write(child, input);
  const ended = new AbortController();
  const stop = () => end(isGroup ? -child.pid : child.pid, ended.signal);
  if (signal?.aborted) stop();
  signal?.addEventListener("abort", stop);
  try {
    const [{ code }, printed, stderr] = await Promise.all([
      child.status,
      firstOf(child, maxBytes),
      new Response(child.stderr).text(),
      writing,
    ]);
    return { code, ...printed, stderr };
  } finally {
    ended.abort();
    signal?.removeEventListener("abort", stop);
  }
}

/** Whether there is such a folder, in which git can run. */
export async function isFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch (error) {
    const isNone = error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory;
    if (isNone) return false;
    throw error;
  }
}

/** How long it may take to let go of its locks. */
const GRACE_MS = 2_000;

/** Ends a program, and for certain where it does not end soon. */
async function end(pid: number, ended: AbortSignal): Promise<void> {
  for (const name of ["SIGTERM", "SIGKILL"] as const) {
    if (ended.aborted) return;
    try {
      Deno.kill(pid, name);
    } catch (error) {
      // It has just ended; macOS says that in another way.
      const isGone = error instanceof Deno.errors.NotFound ||
        error instanceof Deno.errors.PermissionDenied;
      if (!isGone) throw error;
    }
    await systemClock.sleep(GRACE_MS, ended);
  }
}

/** Another git has a lock for a moment only, unless it was killed. */
const LOCK_WAITS_MS = [50, 100, 200, 400, 800];

/**
 * What git prints where it succeeds, without the end of its last line. Where another
 * git is at work there, it is tried again for a while.
 *
 * @throws {GitError} where it fails.
 */
export async function git(
  args: readonly string[],
  options: GitOptions,
): Promise<string> {
  const { signal } = options;
  for (let tries = 0;; tries++) {
    const end = await runGit(args, options);
    if (end.code === 0) return end.stdout.replace(/\n$/, "");
    const error = new GitError(args, end);
    const waitMs = LOCK_WAITS_MS[tries];
    if (!error.mayPass || waitMs === undefined || signal?.aborted) throw error;
    await systemClock.sleep(waitMs, signal);
  }
}

function withoutGits(
  given: Readonly<Record<string, string>> | undefined,
): Record<string, string> {
  const own = Object.entries(Deno.env.toObject());
  const entries = given
    ? [...own.filter(([name]) => OF_USER.test(name)), ...Object.entries(given)]
    : own;
  return Object.fromEntries(entries.filter(([name]) => !UNSET.test(name)));
}

async function firstOf(
  child: Deno.ChildProcess,
  maxBytes = Infinity,
): Promise<Pick<GitEnd, "stdout" | "isCut">> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for await (const chunk of child.stdout) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > maxBytes) break;
  }
  const stdout = new TextDecoder().decode(await new Blob(chunks).arrayBuffer());
  return { stdout, ...size > maxBytes && { isCut: true } };
}

/** Writes all that a program's stdin is to give. */
export async function write(
  child: Deno.ChildProcess,
  text: string,
): Promise<void> {
  const writer = child.stdin.getWriter();
  try {
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
  } catch (error) {
    // It has ended before it read all; its exit code says why.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}
