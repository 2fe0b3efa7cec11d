/**
 * `deno task install`: makes `agent-runner` a command, by a script that starts
 * this checkout where `deno install` puts its own.
 */
import { delimiter, resolve } from "node:path";
import { commandOf, ROOT } from "../tests/support/project.ts";
import { runEnv } from "./run_task.ts";

const root = Deno.env.get("DENO_INSTALL_ROOT") ??
  `${Deno.env.get("HOME")}/.deno`;
const folder = resolve(root, "bin");
const path = `${folder}/agent-runner`;
const mark = "# agent-runner, made by deno task install";

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

async function isAnother(): Promise<boolean> {
  try {
    return !(await Deno.readTextFile(path)).includes(mark);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

if (Deno.build.os === "windows") {
  console.error(
    "error: Cannot install on Windows: the command is a shell script. Use " +
      "deno task run, or deno task compile.",
  );
  Deno.exit(1);
}
if (await isAnother()) {
  console.error(
    `error: Cannot install: ${path} is another program. Remove it, or set ` +
      "DENO_INSTALL_ROOT.",
  );
  Deno.exit(1);
}

const variables = Object.entries(runEnv).map((it) => it.join("="));
await Deno.mkdir(folder, { recursive: true });
await Deno.writeTextFile(
  path,
  `#!/bin/sh
${mark} in ${ROOT}
for file in ${[Deno.execPath(), `${ROOT}main.ts`].map(quoted).join(" ")}; do
  [ -e "$file" ] && continue
  echo "error: $file is gone. Run deno task install again in a checkout." >&2
  exit 127
done
exec env ${variables.join(" ")} ${commandOf([]).map(quoted).join(" ")} "$@"
`,
);
await Deno.chmod(path, 0o755);

console.log(`Installed ${path}. To uninstall, remove that file.`);
if (!Deno.env.get("PATH")?.split(delimiter).includes(folder)) {
  console.log(`It is not on PATH yet: export PATH="${folder}:$PATH"`);
}
