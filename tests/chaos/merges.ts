/**
 * Runners on one repository that are killed between the claim of a task and its
 * merge, and a check of all that git has then.
 *
 * @module
 */

import { until } from "../support/until.ts";
import { type CliProcess, ENABLED, Folder } from "../cli/cli.ts";
import { gitIn, makeRepository } from "../support/repository.ts";
import type { Random } from "./random.ts";
import { pause } from "./session.ts";

/** Options for {@linkcode killAtMerges}. */
export interface MergesOptions {
  readonly random: Random;
  readonly kills: number;
  /** How many share the repository. */
  readonly runners: number;
  /** Told of each kill. */
  readonly onKill?: (kills: number) => void;
}

/** What was done, and what came of it. */
export interface MergesReport {
  readonly kills: number;
  readonly tasks: number;
  /** How often the base was moved. */
  readonly moves: number;
  readonly problems: readonly string[];
}

/** A busy machine renews late; what is lost then is begun again. */
const LEASE_SECONDS = 5;
/** As many as are merged while runners are killed, and some more. */
const TASKS_A_KILL = 1.2;
/** What is left at the end is one merge after the other. */
const PATIENCE_MS = 900_000;
const MAX_ONCE = 60;

/** Each task commits a file of its own, once, and says so. */
const WORK = [
  'test -e "$AGENT_TASK_ID.txt" || { echo work > "$AGENT_TASK_ID.txt"',
  'git add . && git commit -qm "Task $AGENT_TASK_ID"; }',
].join("; ");

/** Torments a repository. */
export async function killAtMerges(
  { random, kills, runners, onKill }: MergesOptions,
): Promise<MergesReport> {
  using folder = new Folder();
  const repository = new UsersRepository(folder.path);
  folder.write("agent-runner.json", configOf(folder, random));
  const ids = await folder.create(
    Array.from({ length: Math.ceil(kills * TASKS_A_KILL) }, (_, index) => ({
      provider: "work",
      instruction: `Work ${index}`,
    })),
  );
  const running: CliProcess[] = [];
  let killed = 0;
  try {
    while (killed < kills) {
      while (running.length < runners) running.push(start(folder, "--loop"));
      const [victim] = running.splice(random.between(0, runners - 1), 1);
      await victim!.line(/Running until stopped/);
      await pause(random.between(0, 2_500));
      victim!.signal("SIGKILL");
      await victim![Symbol.asyncDispose]();
      killed++;
      onKill?.(killed);
    }
  } finally {
    for (const process of running) await process[Symbol.asyncDispose]();
  }
  for (let tries = 0; tries < MAX_ONCE && await waiting(folder) > 0; tries++) {
    await using once = start(folder, "--once");
    await once.ended();
  }
  await until(
    "the end of the last git",
    () => !repository.git("worktree", "list").includes("/merges/"),
  );
  const { moves, problems } = repository.problems(ids, folder.read("verified"));
  if (await waiting(folder) > 0) problems.push("Not all tasks have ended");
  const failed = await folder.rows(
    "SELECT id::TEXT AS id, last_update FROM agent_tasks " +
      "WHERE status <> 'completed'",
  );
  for (const { id, last_update } of failed) {
    problems.push(`Task ${id} is not completed: ${last_update}`);
  }
  return { kills: killed, tasks: ids.length, moves, problems };
}

function configOf({ path }: Folder, random: Random): string {
  const verify = `git rev-parse HEAD >> ${path}/verified`;
  return JSON.stringify({
    providers: {
      work: {
        processor: "command",
        shell: WORK,
        workspace: {
          git: "app",
          base: "main",
          folder: "work",
          onApproved: "merge",
          approval: "none",
          mergeBy: random.pick(["merge", "rebase"]),
          verify: ["sh", "-c", verify],
        },
      },
    },
  });
}

function start(folder: Folder, mode: "--loop" | "--once"): CliProcess {
  return folder.start([
    "run",
    mode,
    `--lease=${LEASE_SECONDS}`,
    "--max-attempts=100",
    "--concurrency=3",
    "--db-wait=20",
  ], { env: ENABLED, patienceMs: PATIENCE_MS });
}

/** How many have not ended. */
async function waiting(folder: Folder): Promise<number> {
  const [row] = JSON.parse(
    await folder.ok([
      "sql",
      "SELECT count(*) AS count FROM agent_tasks " +
      "WHERE status NOT IN ('completed', 'failed')",
      "--json",
      "--db-wait=20",
    ]),
  );
  return Number(row.count);
}

/** A repository in which a user is at work. */
class UsersRepository {
  readonly #path: string;
  /** A worktree of the user's with the base in it. */
  readonly #main: string;
  readonly #before: ReadonlyMap<string, string>;

  constructor(folder: string) {
    this.#path = `${folder}/app`;
    this.#main = `${folder}/the main one`;
    makeRepository(this.#path, { "a.txt": "one\n", "b.txt": "two\n" });
    this.git("switch", "-q", "-c", "mine");
    this.#write("a.txt", "staged\n");
    this.git("add", ".");
    this.#write("a.txt", "and more\n");
    this.#write("c.txt", "of nobody\n");
    this.git("worktree", "add", "-q", this.#main, "main");
    Deno.writeTextFileSync(`${this.#main}/b.txt`, "changed\n");
    Deno.writeTextFileSync(`${this.#main}/d.txt`, "of nobody\n");
    this.#before = this.#checkout();
  }

  git(...args: string[]): string {
    return gitIn(this.#path, ...args);
  }

  /** What is not as it should be, and how often the base was moved. */
  problems(
    ids: readonly string[],
    verified: string,
  ): { readonly moves: number; readonly problems: string[] } {
    const problems: string[] = [];
    const merged = this.git("log", "--format=%s", "main").split("\n");
    for (const id of ids) {
      const times = merged.filter((it) => it === `Task ${id}`).length;
      if (times !== 1) problems.push(`Task ${id} was merged ${times} times`);
    }
    const files = new Set(
      this.git("ls-tree", "--name-only", "main").split("\n"),
    );
    for (const id of ids) {
      if (!files.has(`${id}.txt`)) problems.push(`The work of ${id} is lost`);
    }
    const tips = this.git("reflog", "--format=%H", "main").split("\n")
      .toReversed();
    tips.slice(1).forEach((tip, index) => {
      const before = tips[index]!;
      if (this.git("merge-base", before, tip) !== before) {
        problems.push(`main went from ${before} to ${tip}, which has it not`);
      }
      if (!verified.split("\n").includes(tip)) {
        problems.push(`main went to ${tip}, which nobody has checked`);
      }
    });
    const now = this.#checkout();
    for (const [name, bytes] of this.#before) {
      if (now.get(name) !== bytes) problems.push(`The user's ${name} changed`);
    }
    const status = gitIn(this.#main, "status", "--porcelain");
    if (status !== " M b.txt\n?? d.txt") {
      problems.push(`The worktree of main is not as it was left:\n${status}`);
    }
    const left = this.git("for-each-ref", "refs/agent-runner/follow");
    if (left !== "") problems.push(`A worktree has not followed: ${left}`);
    return { moves: tips.length - 1, problems };
  }

  /** All bytes of the user's checkout, and of what git keeps of it. */
  #checkout(): ReadonlyMap<string, string> {
    const names = [...Deno.readDirSync(this.#path)].filter((it) => it.isFile)
      .map(({ name }) => name);
    const paths = [...names, ".git/HEAD", ".git/index", ".git/config"];
    return new Map(
      paths.map((name) => [
        name,
        Deno.readFileSync(`${this.#path}/${name}`).toHex(),
      ]),
    );
  }

  #write(name: string, text: string): void {
    Deno.writeTextFileSync(`${this.#path}/${name}`, text);
  }
}
