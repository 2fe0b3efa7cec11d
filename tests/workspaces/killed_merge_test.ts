import { assertEquals } from "@std/assert";
import { mergeBranch } from "../../lib/workspaces/merge.ts";
import { denoArgs, ROOT } from "../support/project.ts";
import { ScratchRepository } from "./scratch_repository.ts";

/** Ends who calls it for the nth time to change something, before it does that. */
const DEADLY_GIT = `#!/bin/sh
case " $* " in
*" read-tree "*" -n "*) ;;
*" update-ref "* | *" read-tree "*)
  echo >> "$CALLS"
  if [ "$(wc -l < "$CALLS")" -eq "$DEADLY" ]; then
    kill -9 $PPID
    exit 1
  fi ;;
esac
PATH=\${PATH#*:} exec git "$@"
`;

/** Merges in a process that dies so. What it printed. */
async function mergedBy(
  { path, tasks, folder }: ScratchRepository,
  head: string,
  deadly: number,
): Promise<string> {
  const bin = `${folder}/bin`;
  Deno.mkdirSync(bin);
  Deno.writeTextFileSync(`${bin}/git`, DEADLY_GIT, { mode: 0o755 });
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...denoArgs("tests/workspaces/merge_one.ts", { permissions: ["-A"] }),
      path,
      tasks,
      head,
    ],
    cwd: ROOT,
    env: {
      PATH: `${bin}:${Deno.env.get("PATH")}`,
      CALLS: `${folder}/calls`,
      DEADLY: `${deadly}`,
    },
  }).output();
  return new TextDecoder().decode(stdout).trim();
}

// The begin, the checkout, the branch, the end; and not at all.
for (const deadly of [1, 2, 3, 4, 5]) {
  for (const commits of [true, false]) {
    Deno.test(
      `mergeBranch() loses nothing where it is killed at step ${deadly}, and ${
        commits ? "the user commits then" : "another merge comes then"
      }`,
      async () => {
        using repository = new ScratchRepository();
        const head = repository.branch("agent/fix", "a.txt", "mended\n");
        const other = repository.branch("agent/other", "b.txt", "two\n");
        assertEquals(
          await mergedBy(repository, head, deadly),
          deadly === 5 ? "merged" : "",
        );
        if (commits) {
          const before = repository.git("show", "main:a.txt");
          repository.commit("c.txt", "by hand\n");
          const now = repository.git("show", "main:a.txt");
          assertEquals(now, before === "mended" ? "mended" : now);
          repository.git("diff", "--quiet", "HEAD");
        }
        for (const [taskId, commit] of [["2", other], ["1", head]] as const) {
          await mergeBranch({
            taskId,
            repo: repository.path,
            branch: "agent/any",
            head: commit,
            base: "main",
            mergeBy: "merge",
            folder: repository.tasks,
          });
        }
        assertEquals(repository.git("show", "main:a.txt"), "mended");
        assertEquals(repository.git("show", "main:b.txt"), "two");
        assertEquals(repository.git("status", "--porcelain"), "");
        assertEquals(
          repository.git("for-each-ref", "refs/agent-runner/moves"),
          "",
        );
      },
    );
  }
}
