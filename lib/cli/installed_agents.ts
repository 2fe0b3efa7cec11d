/**
 * Which of the agents that the program knows are installed.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { createAgentProcessor } from "../processors/agent/agent.ts";
import { agentConfig } from "../processors/agent/config.ts";
import {
  type AgentName,
  AGENTS,
  DIALECTS,
} from "../processors/agent/dialects.ts";
import { programProblem } from "../processors/command/check.ts";
import type { ProgramVersion } from "../processors/processor.ts";

/** An agent that is known. */
export interface KnownAgent {
  readonly name: AgentName;
  /** Its program is on PATH. */
  readonly isInstalled: boolean;
  /** `claude 2.1.197`; its name alone where it does not tell that soon. */
  readonly shown: string;
}

/** A person waits for it. */
const LONGEST_MS = 5_000;

/** Looks for all that are known, and asks those that are there for their versions. */
export async function findAgents(
  parts: { readonly clock: Clock; readonly log: Log },
): Promise<readonly KnownAgent[]> {
  const surroundings = { path: Deno.env.get("PATH") ?? "", baseFolder: "." };
  return await Promise.all(AGENTS.map(async (name) => {
    const { program } = DIALECTS[name];
    const isInstalled =
      await programProblem(program, surroundings) === undefined;
    const told = isInstalled ? await versionOf(name, parts) : undefined;
    const shown = told && "version" in told ? told.version : name;
    return { name, isInstalled, shown };
  }));
}

async function versionOf(
  agent: AgentName,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Promise<ProgramVersion | undefined> {
  const processor = await createAgentProcessor(
    agentConfig.parse({ agent, killGrace: 0 }),
    { baseFolder: Deno.cwd(), clock, log },
  );
  const answered = new AbortController();
  try {
    return await Promise.race([
      processor.version?.(),
      clock.sleep(LONGEST_MS, answered.signal).then(() => undefined),
    ]);
  } finally {
    answered.abort();
    // Ends what does not tell.
    await processor[Symbol.asyncDispose]?.();
  }
}
