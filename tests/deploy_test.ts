import {
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { npmFlags } from "../tools/std_source.ts";
import { keptVariables, ROOT } from "./support/project.ts";

Deno.test("npmFlags refuse a package that the lock file does not know", async () => {
  const lock = JSON.parse(
    await Deno.readTextFile(`${ROOT}tools/npm/deno.lock`),
  );
  delete lock.specifiers["npm:zod@4.6.7"];
  const path = await Deno.makeTempFile({ suffix: ".lock" });
  await Deno.writeTextFile(path, JSON.stringify(lock));
  const flags = npmFlags.map((it) => it.replace(/(?<=^--lock=).*/, path));
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-q",
      "--cached-only",
      ...flags,
      "-P",
      "main.ts",
      "--version",
    ],
    cwd: ROOT,
    env: keptVariables(),
    clearEnv: true,
  }).output();
  assertMatch(new TextDecoder().decode(stderr), /lockfile is out of date/);
  assertNotEquals(code, 0);
  await Deno.remove(path);
});

Deno.test("the image is built by the lock file that knows every package", async () => {
  const text = await Deno.readTextFile(`${ROOT}Dockerfile`);
  assertStringIncludes(text, `tools/compile.ts \\\n  ${npmFlags.join(" ")}\n`);
});
