/**
 * Makes git repositories, for those who need one.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { dirname, join } from "node:path";

/** What files have, by their paths. */
export type Files = Readonly<Record<string, string | Uint8Array>>;

const NAME = "user.name=Ada";
const ADDRESS = "user.email=ada@example.org";

/** Makes one on `main` with one commit of the files. Returns the commit. */
export function makeRepository(
  path: string,
  files: Files,
  { message = "Begin" }: { readonly message?: string } = {},
): string {
  Deno.mkdirSync(path);
  gitIn(path, "init", "-q", "-b", "main");
  for (const it of [NAME, ADDRESS]) gitIn(path, "config", ...it.split("="));
  writeFiles(path, files);
  return commitAll(path, message);
}

/** Writes files below a folder. */
export function writeFiles(folder: string, files: Files): void {
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    Deno.mkdirSync(dirname(path), { recursive: true });
    if (typeof content === "string") Deno.writeTextFileSync(path, content);
    else Deno.writeFileSync(path, content);
  }
}

/** Commits all there is. Returns the commit. */
export function commitAll(cwd: string, message: string): string {
  gitIn(cwd, "add", "--all");
  gitIn(cwd, "commit", "-q", "-m", message);
  return gitIn(cwd, "rev-parse", "HEAD");
}

/** What git prints in a folder, where it succeeds. Nobody's settings count. */
export function gitIn(cwd: string, ...args: readonly string[]): string {
  const { code, stdout, stderr } = new Deno.Command("git", {
    args: ["-c", NAME, "-c", ADDRESS, ...args],
    cwd,
    // Not /dev/null: whoever writes a global setting would replace that.
    env: { GIT_CONFIG_GLOBAL: "/nowhere/gitconfig", GIT_CONFIG_NOSYSTEM: "1" },
  }).outputSync();
  const text = new TextDecoder();
  assertEquals(code, 0, `git ${args.join(" ")}: ${text.decode(stderr)}`);
  return text.decode(stdout).trimEnd();
}
