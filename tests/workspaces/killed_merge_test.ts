import { assertEquals } from "@std/assert";
import { mergeBranch } from "../../lib/workspaces/merge.ts";
import { denoArgs, ROOT } from "../support/project.ts";
import { ScratchRepository } from "./scratch_repository.ts";

/**
 * Ends who calls it for the nth time to change something: before it does that, or
 * while it goes on.
 */
const DEADLY_GIT = `#!/bin/sh
case " $* " in
*" update-ref "* | *" --ff-only "*)
  echo >> "$CALLS"
  if [ "$(wc -l < "$CALLS")" -eq "$DEADLY" ]; then
    kill -9 $PPID
    [ "$ENDS" ] && exit 1
  fi ;;
esac
PATH=\${PATH#*:} exec git "$@" 2>/dev/null
`;

/** Merges in a process that dies so. What it printed. */
async function mergedBy(
  { path, tasks, folder }: ScratchRepository,
  head: string,
  { deadly, ends }: { readonly deadly: number; readonly ends: boolean },
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
      ENDS: ends ? "yes" : "",
    },
  }).output();
  return new TextDecoder().decode(stdout).trim();
}

// The name, the branch with its checkout; and not at all.
for (const deadly of [1, 2, 3]) {
  for (const ends of [true, false]) {
    for (const commits of [true, false]) {
      Deno.test(
        `mergeBranch() loses nothing where it is killed at step ${deadly}, which ${
          ends ? "is not done" : "goes on"
        }, and ${commits ? "the user commits" : "another merge comes"} then`,
        async () => {
          using repository = new ScratchRepository();
          const head = repository.branch("agent/fix", "a.txt", "mended\n");
          const other = repository.branch("agent/other", "b.txt", "two\n");
          assertEquals(
            await mergedBy(repository, head, { deadly, ends }),
            deadly === 3 ? "merged" : "",
          );
          const isMoved = deadly === 3 || deadly === 2 && !ends;
          while (isMoved && repository.git("show", "main:a.txt") === "one") {
            await new Promise((resolve) => setTimeout(resolve, 10));
          }
          assertEquals(repository.git("status", "--porcelain"), "");
          if (commits) repository.commit("c.txt", "by hand\n");
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
        },
      );
    }
  }
}
