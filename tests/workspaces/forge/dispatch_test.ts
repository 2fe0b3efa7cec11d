import { assert, assertEquals, assertThrows } from "@std/assert";
import { UserError } from "../../../lib/base/errors.ts";
import {
  type Dispatch,
  dispatchOf,
} from "../../../lib/workspaces/forge/dispatch.ts";

const NAMED: [title: string, body: string, dispatch: Dispatch][] = [
  ["a line", "Do it.\n\nTarget Repository: octo/app\n", {
    repository: "octo/app",
  }],
  ["a line in bold", "**Target Repository:** `octo/app.js`", {
    repository: "octo/app.js",
  }],
  ["a line of a list, in small letters", "- target repository: octo/.github", {
    repository: "octo/.github",
  }],
  ["a link", "> **Target Repository**: <https://github.com/octo/app>", {
    repository: "octo/app",
  }],
  [
    "metadata",
    '<!-- agent_task_metadata {"target_repository": "octo/app",\n' +
    '"provider": "patch", "base": "main", "branch": "x", "task_id": 7} -->',
    { repository: "octo/app", provider: "patch", base: "main", branch: "x" },
  ],
  [
    "metadata that call it otherwise, and a line",
    "Target Repository: Octo/App\n<!--agent_task_metadata\n" +
    '{"repo": "https://github.com/octo/app.git", "base_branch": "dev"}\n-->',
    { repository: "octo/app", base: "dev" },
  ],
  [
    "a line, and another one in a patch",
    "```diff\n--- a/x\n+++ b/x\n-Target Repository: evil/app\n```\n" +
    "Target Repository: octo/app",
    { repository: "octo/app" },
  ],
];

for (const [title, body, dispatch] of NAMED) {
  Deno.test(`dispatchOf() reads ${title}`, () => {
    assertEquals(dispatchOf(body), dispatch);
    assertEquals(dispatchOf(body.replaceAll("\n", "\r\n")), dispatch);
  });
}

const REFUSED: [body: string, error: string][] = [
  ["Please mend the app.", "it names no target"],
  ["```diff\nTarget Repository: octo/app\n```", "it names no target"],
  ["```diff\nTarget Repository: octo/app\n", "it names no target"],
  ["<!-- agent_task_metadata {oops} -->", "no JSON object"],
  ['<!-- agent_task_metadata {"repo": "app"} -->', '"app" is no repository'],
  ['<!-- agent_task_metadata {"repo": "a/.."} -->', '"a/.." is no repository'],
  [
    '<!-- agent_task_metadata {"repo": "../../etc/x"} -->',
    '"../../etc/x" is no repository',
  ],
  [
    'Target Repository: a/b\n<!-- agent_task_metadata {"repo": "a/c"} -->',
    "two targets, a/c and a/b",
  ],
];

for (const [body, error] of REFUSED) {
  Deno.test(`dispatchOf() refuses ${JSON.stringify(body)}`, () => {
    assertThrows(() => dispatchOf(body), UserError, error);
  });
}

Deno.test("dispatchOf() takes no long time with what is written to take it", () => {
  const began = performance.now();
  for (const line of ["\n", " \n", "> \n", "Target Repository\n"]) {
    assertThrows(() => dispatchOf(line.repeat(60_000 / line.length)));
  }
  const tookMs = performance.now() - began;
  assert(tookMs < 2_000, `${tookMs} ms`);
});
