import { assertEquals } from "@std/assert";
import type { AgentStart } from "../../../lib/processors/agent/dialect.ts";
import {
  type AgentName,
  AGENTS,
  DIALECTS,
} from "../../../lib/processors/agent/dialects.ts";

const ID = "550e8400-e29b-41d4-a716-446655440000";
const PROMPT = "--help me with \"it\"\n'now'";

const PLAIN: Readonly<Record<AgentName, readonly string[]>> = {
  claude: [
    "-p",
    "--output-format=stream-json",
    "--verbose",
    "--permission-mode=acceptEdits",
    "--",
    PROMPT,
  ],
  codex: [
    "exec",
    "--json",
    "--skip-git-repo-check",
    "--sandbox=workspace-write",
    "--",
    PROMPT,
  ],
  gemini: [
    "--output-format=stream-json",
    "--approval-mode=auto_edit",
    "--skip-trust",
    `--prompt=${PROMPT}`,
  ],
  qwen: [
    "--output-format=stream-json",
    "--approval-mode=auto-edit",
    `--prompt=${PROMPT} `,
  ],
  opencode: [
    "run",
    "--format=json",
    "--",
    "--help",
    "me",
    "with",
    "\"it\"\n'now'",
  ],
};

for (const agent of AGENTS) {
  Deno.test(`${agent}.args() takes no prompt for an option`, () => {
    assertEquals(
      DIALECTS[agent].args({ prompt: PROMPT, permissions: "edit" }),
      PLAIN[agent],
    );
  });

  Deno.test(`${agent}.stdinArgs() are those without a prompt`, () => {
    const prompt = "p";
    const session = { id: ID, isNew: false };
    const { args, stdinArgs } = DIALECTS[agent];
    const start = { permissions: "edit", session } as const;
    const without = stdinArgs!(start).join(" ");
    const [kept] = args({ ...start, prompt }).join(" ").split(
      / (?:-- |--prompt=)?p ?$/,
    );
    assertEquals(without.replace(/ -$/, ""), kept);
  });

  Deno.test(`DIALECTS has ${agent} by its name`, () => {
    assertEquals(DIALECTS[agent].name, agent);
  });
}

/** What is between the first arguments and the prompt. */
function added(agent: AgentName, start: Omit<AgentStart, "prompt">) {
  const dialect = DIALECTS[agent];
  const all = dialect.args({ prompt: "p", ...start });
  const plain = dialect.args({ prompt: "p", permissions: "edit" });
  return all.filter((arg) => !plain.includes(arg));
}

const PERMISSIONS: Readonly<
  Record<AgentName, { read: readonly string[]; all: readonly string[] }>
> = {
  claude: {
    read: [
      "--permission-mode=dontAsk",
      "--disallowedTools=Edit,Write,NotebookEdit",
    ],
    all: ["--permission-mode=bypassPermissions"],
  },
  codex: {
    read: ["--sandbox=read-only"],
    all: ["--dangerously-bypass-approvals-and-sandbox"],
  },
  gemini: { read: ["--approval-mode=default"], all: ["--approval-mode=yolo"] },
  qwen: { read: ["--approval-mode=default"], all: ["--approval-mode=yolo"] },
  opencode: { read: [], all: ["--auto"] },
};

const NEW: Readonly<Record<AgentName, readonly string[]>> = {
  claude: [`--session-id=${ID}`],
  codex: [],
  gemini: [`--session-id=${ID}`],
  qwen: [`--session-id=${ID}`],
  opencode: [],
};

const RESUMED: Readonly<Record<AgentName, readonly string[]>> = {
  claude: [`--resume=${ID}`],
  codex: ["resume", ID],
  gemini: [`--resume=${ID}`],
  qwen: [`--resume=${ID}`],
  opencode: [`--session=${ID}`],
};

const OPENED: Readonly<Record<AgentName, readonly string[]>> = {
  ...RESUMED,
  codex: ["resume", "--", ID],
};

for (const agent of AGENTS) {
  Deno.test(`${agent}.args() says what it may do`, () => {
    for (const permissions of ["read", "all"] as const) {
      assertEquals(
        added(agent, { permissions }),
        PERMISSIONS[agent][permissions],
      );
    }
  });

  Deno.test(`${agent}.args() begins a session, or goes on in one`, () => {
    const permissions = "edit";
    const session = { id: ID, isNew: true };
    assertEquals(added(agent, { permissions, session }), NEW[agent]);
    assertEquals(
      added(agent, { permissions, session: { id: ID, isNew: false } }),
      RESUMED[agent],
    );
    assertEquals(DIALECTS[agent].openArgs(ID), OPENED[agent]);
  });

  Deno.test(`${agent}.args() names the model`, () => {
    assertEquals(added(agent, { permissions: "edit", model: "m1" }), [
      "--model=m1",
    ]);
  });
}

Deno.test("claude.args() says what the run may cost", () => {
  assertEquals(added("claude", { permissions: "edit", budgetUsd: 0.5 }), [
    "--max-budget-usd=0.5",
  ]);
});

Deno.test("codex.args() sets the options before a resumed session, and the prompt last", () => {
  const session = { id: ID, isNew: false };
  assertEquals(
    DIALECTS.codex.args({ prompt: "-", permissions: "read", session }),
    [
      "exec",
      "--json",
      "--skip-git-repo-check",
      "--sandbox=read-only",
      "resume",
      "--",
      ID,
      "-",
    ],
  );
});

const PROMPTS: readonly (readonly [string, readonly string[]])[] = [
  ["Fix it", ["Fix", "it"]],
  ["  a  b ", ["", "", "a", "", "b", ""]],
  ["Fix 12 of -1.5e3 now", ["Fix\t12", "of\t-1.5e3", "now"]],
  ["12", ["\t12"]],
  ["a  0x1F", ["a", "\t0x1F"]],
  ["1 2 3", ["\t1\t2\t3"]],
  ["007 1.2.3 12, #12 1\n2 -x", ["007", "1.2.3", "12,", "#12", "1\n2", "-x"]],
];

for (const [prompt, words] of PROMPTS) {
  Deno.test(`opencode.args() makes words of ${JSON.stringify(prompt)}`, () => {
    const args = DIALECTS.opencode.args({ prompt, permissions: "edit" });
    assertEquals(args.slice(args.indexOf("--") + 1), words);
  });
}

Deno.test("opencode.variables() lets it do only what is permitted", () => {
  const rules = (permissions: AgentStart["permissions"]) =>
    DIALECTS.opencode.variables?.({ prompt: "p", permissions })
      .OPENCODE_PERMISSION;
  assertEquals(JSON.parse(rules("read") ?? ""), {
    edit: "deny",
    bash: "deny",
    external_directory: "deny",
  });
  assertEquals(JSON.parse(rules("edit") ?? ""), {
    edit: "allow",
    bash: "deny",
    external_directory: "deny",
  });
  assertEquals(rules("all"), undefined);
});
