/**
 * Ends what the runner's programs leave behind: processes that left their
 * group, and everything when the runner itself has died, in whatever way.
 *
 * Each program is marked by a variable in its environment, which its descendants
 * inherit. Linux shows the environment of processes in /proc. Deno may not read
 * it without --allow-all, so a shell does.
 *
 * @module
 */

import type { Log } from "../../base/log.ts";

/** The variable that marks the processes of one program. */
export const MARK_VARIABLE = "AGENT_RUNNER_RUN";

const SHELL = "/bin/sh";
const DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin";
/** How long a shell may take to look through /proc. */
const SCRIPT_MS = 10_000;

/**
 * Kills what is marked, again and again: a process may fork while it is killed.
 * One that forks and ends while /proc is read can be missed, so it must be
 * clean twice. Fails where something does not die, as a process in the kernel.
 */
const KILL_MARKED = `
kill_marked() {
  command -v grep >/dev/null || return 1
  clean=0 same=0 before=
  while [ $clean -lt 2 ]; do
    pids=
    for file in $(grep -lsF "${MARK_VARIABLE}=$1" /proc/[0-9]*/environ); do
      file=\${file%/environ}
      pids="$pids \${file#/proc/}"
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

/** Looks for a process of a group, in the state and group that /proc says. */
const HAS_LIVING = `
for file in /proc/[0-9]*/stat; do
  read -r line 2>/dev/null < "$file" || continue
  set -- "$1" \${line##*) }
  [ "$4" = "$1" ] && [ "$2" != Z ] && [ "$2" != X ] && exit 0
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
  readonly #id = crypto.randomUUID();
  readonly #groups = new Set<number>();
  #count = 0;
  #shell: Deno.ChildProcess | undefined;
  #orders: WritableStreamDefaultWriter<Uint8Array> | undefined;
  #hasShell = Deno.build.os !== "windows";

  constructor(options: ProcessGuardOptions) {
    this.#options = options;
  }

  /** Gets ready for a program: returns the mark of all its processes. */
  prepare(): string {
    if (this.#hasShell && !this.#shell) this.#start();
    return `${this.#id}/${++this.#count}/`;
  }

  /** Ends this group, should the runner die. */
  watch(group: number): void {
    this.#groups.add(group);
    this.#order(`watch ${group}`);
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
    if (!this.#hasShell || Deno.build.os !== "linux") return undefined;
    try {
      const { success } = await this.#shellWith(script, {
        args: [argument],
        stdin: "null",
        signal: AbortSignal.timeout(SCRIPT_MS),
      }).output();
      return success;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      this.#warnOfNoShell();
      return undefined;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const shell = this.#shell;
    if (!shell) return;
    shell.ref();
    await this.#orders?.close().catch(() => {});
    await shell.status;
  }

  #start(): void {
    const { graceMs } = this.#options;
    try {
      const shell = this.#shellWith(GUARD, {
        args: [`${this.#id}/`, String(Math.ceil(graceMs / 1_000))],
        stdin: "piped",
      }).spawn();
      // It is there for the runner's end, so it must not put it off.
      shell.unref();
      this.#shell = shell;
      this.#orders = shell.stdin.getWriter();
      shell.status.then(() => this.#shell = this.#orders = undefined);
      for (const group of this.#groups) this.#order(`watch ${group}`);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      this.#warnOfNoShell();
    }
  }

  #order(line: string): void {
    // A guard that has died is replaced with the next program.
    this.#orders?.write(encoder.encode(`${line}\n`)).catch(() => {});
  }

  #shellWith(
    script: string,
    { args, ...options }: Deno.CommandOptions & { args: string[] },
  ): Deno.Command {
    return new Deno.Command(SHELL, {
      ...options,
      args: ["-c", script, "agent-runner-guard", ...args],
      // A session of its own: Ctrl-C on the terminal is not for it.
      detached: true,
      cwd: "/",
      // Without the mark of a runner that runs this runner.
      clearEnv: true,
      env: { PATH: this.#options.path ?? DEFAULT_PATH },
      stdout: "null",
      stderr: "null",
    });
  }

  #warnOfNoShell(): void {
    if (!this.#hasShell) return;
    this.#hasShell = false;
    this.#options.log.warning(
      `Cannot guard programs: there is no ${SHELL}. What they leave behind ` +
        "outside of their process group goes on.",
      { event: "no_guard" },
    );
  }
}

const encoder = new TextEncoder();
