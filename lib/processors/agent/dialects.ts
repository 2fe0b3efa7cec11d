/**
 * The agents that the runner knows.
 *
 * @module
 */

import { claude } from "./claude.ts";
import { codex } from "./codex.ts";
import type { Dialect } from "./dialect.ts";
import { gemini } from "./gemini.ts";
import { opencode } from "./opencode.ts";
import { qwen } from "./qwen.ts";

/** The names of the agents. */
export const AGENTS = [
  "claude",
  "codex",
  "gemini",
  "qwen",
  "opencode",
] as const;

/** One of {@linkcode AGENTS}. */
export type AgentName = (typeof AGENTS)[number];

/** The agents by name. */
export const DIALECTS: Readonly<Record<AgentName, Dialect>> = {
  claude,
  codex,
  gemini,
  qwen,
  opencode,
};
