import { assertEquals, assertThrows } from "@std/assert";
import { patchIn } from "../../../lib/processors/patch/blocks.ts";
import { RunError } from "../../../lib/processors/task_runs.ts";

const ONE = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n";
const TWO = "--- a/y\n+++ b/y\n@@ -1 +1 @@\n-a\n+b\n";

const FOUND: [title: string, text: string, patch: string][] = [
  ["one", `Do this:\n\`\`\`diff\n${ONE}\`\`\`\nThanks`, ONE],
  [
    "several, in their order",
    `\`\`\`diff\n${ONE}\`\`\`\n\n~~~ patch\n${TWO}~~~`,
    ONE + TWO,
  ],
  [
    "only those of diff and patch",
    `\`\`\`sh\nrm x\n\`\`\`\n\`\`\`Diff title=x\n${ONE}\`\`\``,
    ONE,
  ],
  [
    "none that is quoted in another",
    `\`\`\`\`md\n\`\`\`diff\n${TWO}\`\`\`\n\`\`\`\`\n\`\`\`diff\n${ONE}\`\`\``,
    ONE,
  ],
  [
    "one of a patch of Markdown",
    `\`\`\`\`diff\n${ONE}+\`\`\`\n\`\`\`\n\`\`\`\`\``,
    `${ONE}+\`\`\`\n\`\`\`\n`,
  ],
  [
    "one as it comes from a browser",
    `\`\`\`diff\n${ONE}\`\`\``.replaceAll("\n", "\r\n"),
    ONE,
  ],
  [
    "one of a file whose lines end with CR, and keeps that",
    "```diff\r\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\r\n+b\r\n```\r\n",
    "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\r\n+b\r\n",
  ],
  [
    "one that is indented, with its own blanks",
    "  ```diff\n  --- a/x\n  +++ b/x\n  @@ -1 +1 @@\n  -  a\n  +  b\n  ```",
    "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-  a\n+  b\n",
  ],
  [
    "none that is in a comment, where nobody sees it",
    `<!-- Thanks\n\`\`\`diff\n${TWO}\`\`\`\n-->\n<!-- x -->\n` +
    `\`\`\`diff\n${ONE}+<!--\n\`\`\``,
    `${ONE}+<!--\n`,
  ],
];

for (const [title, text, patch] of FOUND) {
  Deno.test(`patchIn() finds ${title}`, () => {
    assertEquals(patchIn(text), patch);
  });
}

const REFUSED: [text: string, error: string][] = [
  ["", "no fenced block"],
  ["Mend it", "no fenced block"],
  ["```diff\n```", "no fenced block"],
  ["```sh\necho\n```", "no fenced block"],
  [`\`\`\`diff\n${ONE}`, "is not ended"],
  ["```diff\n--- /dev/null\n+++ /etc/x\n```", "+++ /etc/x"],
  ['```diff\n--- a/x\n+++ "/etc/x"\n```', "not in the repository"],
  ["```diff\n--- /etc/x\n+++ /dev/null\n```", "not in the repository"],
  ["```diff\n--- a/x\r\n+++ /etc/x\r\n@@\n```", "not in the repository"],
];

for (const [text, error] of REFUSED) {
  Deno.test(`patchIn() refuses ${JSON.stringify(text)}`, () => {
    const { retryable } = assertThrows(() => patchIn(text), RunError, error);
    assertEquals(retryable, false);
  });
}

Deno.test("patchIn() takes files that are new, or removed", () => {
  for (const names of ["--- /dev/null\n+++ b/x", "--- a/x\n+++ /dev/null"]) {
    assertEquals(patchIn(`\`\`\`diff\n${names}\n\`\`\``), `${names}\n`);
  }
});
