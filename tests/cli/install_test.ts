import { assertEquals, assertStringIncludes } from "@std/assert";
import { denoArgs } from "../support/project.ts";

async function install(root: string): Promise<[code: number, text: string]> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: denoArgs("tools/install.ts"),
    env: { DENO_INSTALL_ROOT: root },
  }).output();
  const decoder = new TextDecoder();
  return [code, decoder.decode(stdout) + decoder.decode(stderr)];
}

Deno.test("deno task install replaces its own script, and no other program", async () => {
  const root = await Deno.makeTempDir({ prefix: "agent-runner-it's-" });
  const path = `${root}/bin/agent-runner`;
  for (const _ of ["first", "again"]) {
    const [code, text] = await install(root);
    assertEquals(code, 0, text);
    assertStringIncludes(text, `Installed ${path}. To uninstall, remove`);
  }
  const { stdout } = await new Deno.Command(path, { args: ["--version"] })
    .output();
  assertStringIncludes(new TextDecoder().decode(stdout), "agent-runner ");
  const script = await Deno.readTextFile(path);
  const gone = Deno.execPath();
  await Deno.writeTextFile(path, script.replaceAll(gone, `${gone}-moved`));
  const ended = await new Deno.Command(path, { args: ["--version"] }).output();
  assertEquals(ended.code, 127);
  assertEquals(
    new TextDecoder().decode(ended.stderr),
    `error: ${gone}-moved is gone. Run deno task install again in a checkout.\n`,
  );
  await Deno.writeTextFile(path, "#!/bin/sh\n");
  const [code, text] = await install(root);
  assertEquals(code, 1);
  assertStringIncludes(text, `${path} is another program`);
  assertEquals(await Deno.readTextFile(path), "#!/bin/sh\n");
  await Deno.remove(root, { recursive: true });
});
