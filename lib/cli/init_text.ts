/**
 * What `agent-runner init` writes into the configuration file.
 *
 * @module
 */

import type { AgentName } from "../processors/agent/dialects.ts";

/** Beside the file, for editors. */
export const SCHEMA_FILE = "agent-runner.schema.json";

/** What a new file is to say. */
export interface InitChoice {
  /** Those that work; the first does what names no provider. */
  readonly agents: readonly [AgentName, ...AgentName[]];
  /** All work in the folder of the file, in place of one for each task. */
  readonly isInPlace: boolean;
  readonly isEnabled: boolean;
}

/** Where each finds its key, for those who have not logged in. */
const KEYS: Readonly<Record<AgentName, readonly string[]>> = {
  claude: ["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"],
  codex: ["CODEX_API_KEY", "OPENAI_API_KEY"],
  gemini: ["GEMINI_API_KEY"],
  qwen: ["OPENAI_API_KEY"],
  opencode: ["ANTHROPIC_API_KEY", "OPENAI_API_KEY"],
};

/** What else such a key goes with. */
const VARIABLES: Partial<Record<AgentName, readonly string[]>> = {
  qwen: ["OPENAI_BASE_URL", "OPENAI_MODEL"],
};

/** The text of the file: JSON with comments. */
export function configText(choice: InitChoice): string {
  const { agents, isInPlace, isEnabled } = choice;
  const [first, ...others] = agents;
  const several = others.length > 0;
  return `\
// What agent-runner does in this folder. Comments are welcome in this file.
//   agent-runner config check    says what would run, and what is wrong
// All that it may say: docs/settings.md and docs/processors.md of agent-runner.
{
  "$schema": "./${SCHEMA_FILE}",

  "settings": {
    // Nothing is run where this is false.
    "enabled": ${isEnabled},
${
    several
      ? `    // Gets the tasks that name none, as by: create --provider ${
        others[0]
      } "…"
    "default-provider": "${first}",
`
      : ""
  }${
    isInPlace
      ? `    // More than one would work in this folder at once, and disturb each other.
    "concurrency": 1
`
      : `    // Tasks that run at the same time.
    "concurrency": 2
`
  }  },

  "providers": {
${
    [
      providerText(first, isInPlace),
      ...others.map((it) => shortText(it, choice)),
    ]
      .join(",\n\n")
  }
  }
}
`;
}

function providerText(agent: AgentName, isInPlace: boolean): string {
  return `\
    "${agent}": {
      "processor": "agent",
      "agent": "${agent}",
      // What it may do unasked: "read", "edit" (files in its folder), or "all".
      "permissions": "edit",
${
    isInPlace
      ? `      // It works here, and may edit this file too, and with it what it is
      // permitted. Without this, each task has a folder of its own.
      "cwd": ".",
      // Of all runners together: see concurrency above.
      "globalConcurrency": 1,
`
      : `      // Each task has a folder of its own: agent-runner show ID says where. To
      // have all work in one place, and then one at a time:
      // "cwd": "/path/to/repository",
      // "globalConcurrency": 1,
`
  }      // Who has logged in needs none of them; ? is for what may be missing.
${
    environmentText(agent)
  }      // What must pass before a task counts as completed:
      // "verify": ["npm", "test"],
      // What a task may cost, and all of a day; then the rest waits until midnight:
      // "budget": { "task": "$5", "day": "$40" },
      // The longest that a task may run, and how often one that fails is tried.
      "timeout": "1h",
      "attempts": 2
    }`;
}

/** Of the others: what differs, or counts for each. */
function shortText(agent: AgentName, { isInPlace }: InitChoice): string {
  return `\
    "${agent}": {
      "processor": "agent",
      "agent": "${agent}",
${isInPlace ? '      "cwd": ".",\n      "globalConcurrency": 1,\n' : ""}${
    environmentText(agent)
  }      "timeout": "1h",
      "attempts": 2
    }`;
}

/** What it gets of the environment, a line each. */
function environmentText(agent: AgentName): string {
  return Object.entries({ secrets: KEYS[agent], env: VARIABLES[agent] ?? [] })
    .filter(([, names]) => names.length > 0)
    .map(([key, names]) => {
      const list = names.map((name) => `"${name}?"`).join(", ");
      return `      "${key}": [${list}],\n`;
    })
    .join("");
}
