import { assertEquals, assertStringIncludes } from "@std/assert";
import { denoArgs, keptVariables, ROOT } from "../support/project.ts";
import { Folder } from "./cli.ts";

const PRELOAD = `${ROOT}tests/support/fixtures/preload_rights.ts`;

const COMMAND = { processor: "command", command: ["true"] };
const WITH_REPOSITORY = { ...COMMAND, workspace: { git: "." } };
const HTTP = { processor: "http", url: "https://example.com" };
const moduleWith = (permissions: object) => ({
  processor: "module",
  module: "plugin.ts",
  permissions,
});
const WEBHOOKS = {
  webhooks: [{
    url: "https://example.com",
    secretEnv: "SECRET",
    on: ["completed"],
  }],
};
const providing = (provider: object) => ({ providers: { "*": provider } });

const CASES: readonly [words: string, file: object, rights: string][] = [
  ["run --once", {}, ""],
  ["run --once", providing({ processor: "simulate" }), ""],
  ["run --once", providing(COMMAND), "run"],
  ["run --once", providing(HTTP), "net"],
  ["run --once", { providers: { a: COMMAND, b: HTTP } }, "run net"],
  ["run --once", providing(moduleWith({})), "run"],
  ["run --once", providing(moduleWith({ run: ["git"] })), "run"],
  ["run --once", providing(moduleWith({ net: true })), "run net"],
  ["run --once", WEBHOOKS, "net"],
  ["run --loop --listen 0.0.0.0:1", {}, "net"],
  ["run-task x", providing(COMMAND), "run"],
  ["doctor", providing(moduleWith({ net: true })), "run net"],
  ["config check", providing(COMMAND), "run"],
  ["serve --listen 0.0.0.0:1", providing(COMMAND), "net"],
  ["serve --token-file none", {}, "net"],
  [
    "serve --listen 0.0.0.0:1",
    providing({ ...COMMAND, workspace: { git: "." } }),
    "run net",
  ],
  ["diff x", {}, "run"],
  ["init --config x.json", {}, "run"],
  ["workspaces", providing(COMMAND), ""],
  ["workspaces", providing(WITH_REPOSITORY), "run"],
  ["prune --older-than 1d", providing(WITH_REPOSITORY), "run"],
  ["serve --listen 0.0.0.0:1", providing(WITH_REPOSITORY), "run net"],
  ["open x", {}, "run"],
  ["open x", { settings: { server: "http://127.0.0.1:1" } }, "run net"],
  ["webhooks test", {}, "net"],
  ["webhooks list", WEBHOOKS, ""],
  ["list --db postgres://127.0.0.1:1/x", {}, "net"],
  ["list", { ...providing(COMMAND), ...WEBHOOKS }, ""],
  ["list --server http://127.0.0.1:1", {}, "net"],
  ["sql x", { settings: { server: "http://127.0.0.1:1" } }, ""],
];

for (const [words, file, rights] of CASES) {
  Deno.test(`${words} keeps ${rights || "no right"} with ${JSON.stringify(file)}`, async () => {
    using folder = new Folder();
    folder.write("agent-runner.json", JSON.stringify(file));
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...denoArgs("main.ts", { flags: [`--preload=${PRELOAD}`] }),
        ...words.split(" "),
      ],
      cwd: folder.path,
      clearEnv: true,
      env: { ...keptVariables(), SECRET: "of no form" },
    }).output();
    const [said, all] = [stdout, stderr].map((it) =>
      new TextDecoder().decode(it)
    );
    assertStringIncludes(said ?? "", "rights:", all);
    assertEquals(/^rights: (.*)$/m.exec(said ?? "")?.[1], rights, all);
  });
}
