/**
 * Ends what the runner's programs leave behind: processes that left their
 * group, and everything when the runner itself has died, in whatever way.
 *
 * Each program is marked, and Linux shows the marks of all processes in /proc.
 * Deno may not read there without --allow-all, so a shell does.
 *
 * @module
 */

import type { Log } from "../../base/log.ts";
import { withGivenUmask } from "../../base/private.ts";
import { MARK_LIMIT, MARK_VARIABLE, ProcessMarks } from "./process_mark.ts";

const isLinux = Deno.build.os === "linux";
const SHELL = "/bin/sh";
const DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin";
/** How long a shell may take to look through /proc. */
const SCRIPT_MS = 10_000;

/** What /proc says of a process. Its name, in brackets, may be anything. */
const LOOK_AT = `
look_at() {
  read -r line 2>/dev/null < "/proc/$1/stat" || return 1
  set -- \${line##*) }
  state=$1 group=$3
  [ "$state" != Z ] && [ "$state" != X ]
}
`;

/**
 * Kills what is marked, again and again: a process may fork while it is killed.
 * One that forks and ends while /proc is read can be missed, so it must be
 * clean twice. Fails where something does not die, as a process in the kernel.
 */
const KILL_MARKED = `${LOOK_AT}
kill_marked() {
  command -v grep >/dev/null || return 1
  clean=0 same=0 before=
  while [ $clean -lt 2 ]; do
    pids=
    for file in $(grep -lsE "${MARK_VARIABLE}=$1|^${MARK_LIMIT} +$1" \
        /proc/[0-9]*/environ /proc/[0-9]*/limits); do
      pid=\${file#/proc/} pid=\${pid%/*}
      look_at "$pid" && pids="$pids $pid"
    done
    if [ -z "$pids" ]; then clean=$((clean + 1)); continue; fi
    clean=0
    kill -s KILL $pids 2>/dev/null
    if [ "$pids" = "$before" ]; then
      same=$((same + 1))
      [ $same -lt 20 ] || return 1
      sleep 0.1 2>/dev/null || sleep 1
    fi
    before=$pids
  done
}
`;

/** Looks for a process of a group. */
const HAS_LIVING = `${LOOK_AT}
for file in /proc/[0-9]*/stat; do
  pid=\${file#/proc/}
  look_at "\${pid%/stat}" && [ "$group" = "$1" ] && exit 0
done
exit 1
`;

/**
 * Notes which groups run. When its input ends, the runner is gone: then what is
 * left is ended politely, and after the grace for certain.
 */
const GUARD = `${KILL_MARKED}
signal_groups() {
  heard=1
  for group in $groups; do
    kill -s "$1" -- "-$group" 2>/dev/null && heard=0
  done
  return $heard
}
mark=$1 grace=$2 groups=' '
while read -r order group; do
  case $order in
    watch) groups="$groups$group " ;;
    leave) groups="\${groups%% "$group" *} \${groups#* "$group" }" ;;
  esac
done
signal_groups TERM
while [ "$grace" -gt 0 ] && signal_groups 0; do
  grace=$((grace - 1))
  sleep 1
done
signal_groups KILL
kill_marked "$mark"
`;

/** Options for {@linkcode ProcessGuard}. */
export interface ProcessGuardOptions {
  /** Time between SIGTERM and SIGKILL after the runner's death. */
  readonly graceMs: number;
  /** PATH of the shells. */
  readonly path: string | undefined;
  readonly log: Log;
}

/** A guard of the programs of one runner. Dispose of it when all have ended. */
export class ProcessGuard implements AsyncDisposable {
  readonly #options: ProcessGuardOptions;
  readonly #marks = new ProcessMarks();
  readonly #groups = new Set<number>();
  #shell: Deno.ChildProcess | undefined;
  #orders: WritableStreamDefaultWriter<Uint8Array> | undefined;
  #hasShell = Deno.build.os !== "windows";
  readonly #warned = new Set<string>();

  constructor(options: ProcessGuardOptions) {
    this.#options = options;
  }

  /**
   * Starts a program, the first of its group. It is ended should the runner die.
   *
   * @param start is given the variables that it must have
   * @returns the program, and the mark of all its processes.
   */
  start(
    start: (env: Readonly<Record<string, string>>) => Deno.ChildProcess,
  ): { readonly child: Deno.ChildProcess; readonly mark: string } {
    if (this.#hasShell && !this.#shell) this.#startShell();
    const mark = this.#marks.next();
    const { started: child, isLimited } = this.#marks.startWith(
      mark,
      () => withGivenUmask(() => start({ [MARK_VARIABLE]: mark })),
    );
    if (!isLimited && isLinux) {
      this.#warn(
        "no_limits",
        "Cannot mark programs by their limits (prlimit). What they leave behind " +
          "with an empty environment, outside of their process group, goes on.",
      );
    }
    this.#groups.add(child.pid);
    this.#order(`watch ${child.pid}`);
    return { child, mark };
  }

  /** Nothing of this group is left. */
  leave(group: number): void {
    this.#groups.delete(group);
    this.#order(`leave ${group}`);
  }

  /**
   * Kills all that has this mark. Resolves to false where something is left, to
   * undefined where marks can't be seen.
   */
  killMarked(mark: string): Promise<boolean | undefined> {
    return this.#ask(`${KILL_MARKED}kill_marked "$1"`, mark);
  }

  /**
   * Says whether a process of this group lives; undefined where that can't be
   * seen. One that has ended and waits for its parent to notice does not live.
   */
  hasLiving(group: number): Promise<boolean | undefined> {
    return this.#ask(HAS_LIVING, String(group));
  }

  /** Whether a script succeeds. */
  async #ask(script: string, argument: string): Promise<boolean | undefined> {
    if (!this.#hasShell || !isLinux) return undefined;
    const shell = this.#spawn(script, [argument], { stdin: "null" });
    if (!shell) return undefined;
    const limit = setTimeout(() => shell.kill("SIGKILL"), SCRIPT_MS);
    const { success } = await shell.status;
    clearTimeout(limit);
    return success;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#shell?.ref();
    await this.#orders?.close().catch(() => {});
    await this.#shell?.status;
    this.#marks[Symbol.dispose]();
  }

  #startShell(): void {
    const graceSeconds = Math.ceil(this.#options.graceMs / 1_000);
    const shell = this.#spawn(
      GUARD,
      [this.#marks.runner, String(graceSeconds)],
      { stdin: "piped" },
    );
    if (!shell) return;
    // It is there for the runner's end, so it must not put it off.
    shell.unref();
    this.#shell = shell;
    this.#orders = shell.stdin.getWriter();
    shell.status.then(() => this.#shell = this.#orders = undefined);
    for (const group of this.#groups) this.#order(`watch ${group}`);
  }

  #order(line: string): void {
    // A guard that has died is replaced with the next program.
    this.#orders?.write(encoder.encode(`${line}\n`)).catch(() => {});
  }

  /** Starts a shell; undefined where there is none. */
  #spawn(
    script: string,
    args: readonly string[],
    { stdin }: Pick<Deno.CommandOptions, "stdin">,
  ): Deno.ChildProcess | undefined {
    const shell = new Deno.Command(SHELL, {
      args: ["-c", script, "agent-runner-guard", ...args],
      // A session of its own: Ctrl-C on the terminal is not for it.
      detached: true,
      cwd: "/",
      // Without the mark of a runner that runs this runner.
      clearEnv: true,
      env: { PATH: this.#options.path ?? DEFAULT_PATH },
      stdin,
      stdout: "null",
      stderr: "null",
    });
    try {
      return this.#marks.startWith(undefined, () => shell.spawn()).started;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      this.#hasShell = false;
      this.#warn(
        "no_guard",
        `Cannot guard programs: there is no ${SHELL}. What they leave behind ` +
          "outside of their process group goes on.",
      );
      return undefined;
    }
  }

  /** Says once what this system lacks. */
  #warn(event: string, message: string): void {
    if (this.#warned.has(event)) return;
    this.#warned.add(event);
    this.#options.log.warning(message, { event });
  }
}

const encoder = new TextEncoder();
