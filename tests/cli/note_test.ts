import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { AT_ONCE, Folder } from "./cli.ts";

const OPTIONS = { env: AT_ONCE };

Deno.test("note leaves a text for a task's next attempt, which its processor sees", async () => {
  using folder = new Folder();
  folder.write(
    "agent-runner.json",
    JSON.stringify({
      providers: { "*": { processor: "command", command: ["cat"] } },
    }),
  );
  const [id = ""] = await folder.create([{}], AT_ONCE);
  const start = id.slice(0, 8);
  assertEquals(
    await folder.ok(["note", start, "Use Node 22"], OPTIONS),
    `Task ${id}: its next attempt gets your note\n`,
  );
  await folder.ok(["note", start, "-"], { ...OPTIONS, stdin: "From a pipe\n" });
  assertMatch(await folder.ok(["show", start], OPTIONS), /noted.*Use Node 22/);
  await folder.ok(["run", "--once"], OPTIONS);
  const result = await folder.ok(["result", start], OPTIONS);
  assertStringIncludes(result, "Use Node 22");
  assertStringIncludes(result, "From a pipe");
  const { code, stderr } = await folder.run(["note", start, "Late"], OPTIONS);
  assertEquals(code, 1);
  assertMatch(stderr, /it is completed already\. agent-runner retry/);
});

const MISTAKES: [args: string[], error: RegExp][] = [
  [["note", "5"], /without a task's id and a text/],
  [["note", "5", " "], /the note is empty/],
];

for (const [args, error] of MISTAKES) {
  Deno.test(`agent-runner ${args.join(" ")} says what is wrong`, async () => {
    using folder = new Folder();
    assertMatch(await folder.fails(2, args, OPTIONS), error);
  });
}
