/**
 * What would run for each provider, and what is wrong with that.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import type { Processor } from "../processors/processor.ts";
import type { AgentTask } from "../task/task.ts";
import type { CommandContext } from "./command.ts";

/** What would run for a provider. */
export interface ProviderReport {
  /** `*` for all that are not named. */
  readonly provider: string;
  readonly processor: string;
  /** What it would do for a task; empty where the processor does not say. */
  readonly does: string;
  /** What is wrong, a sentence each. */
  readonly problems: readonly string[];
}

/**
 * Tries what can be tried of each configured provider without doing work.
 *
 * @throws {UserError} where a processor can't be made at all.
 */
export async function reportProviders(
  { config, clock, log }: Pick<CommandContext, "config" | "clock" | "log">,
): Promise<ProviderReport[]> {
  const { createProcessors } = await import("../processors/open.ts");
  await using processors = await createProcessors(config, { clock, log });
  const providers = config.providers?.keys() ?? ["*"];
  return await Promise.all([...providers].map(async (provider) => {
    const processor = processors.for(provider);
    return {
      provider,
      processor: config.providers?.get(provider)?.processor ?? "simulate",
      does: processor?.describe?.(EXAMPLE) ?? "",
      problems: processor ? await problemsOf(processor, clock) : [],
    };
  }));
}

/** A task for `describe()` whose texts say what they stand for. */
const EXAMPLE: AgentTask = {
  id: "00000000-0000-0000-0000-000000000000",
  userId: "00000000-0000-0000-0000-000000000000",
  provider: "example",
  targetType: null,
  targetRef: null,
  instruction: "{instruction}",
  state: "running",
  traceText: null,
  priority: 0,
  runAt: null,
  attempt: 1,
  questions: 0,
  maxAttempts: null,
  timeoutMs: null,
  leaseOwner: null,
  leaseExpiresAt: null,
  cancelRequestedAt: null,
  createdAt: new Date(0),
  updatedAt: new Date(0),
};

const CHECK_TIMEOUT_MS = 10_000;

async function problemsOf(
  processor: Processor,
  clock: Clock,
): Promise<readonly string[]> {
  if (!processor.check) return [];
  const answered = new AbortController();
  try {
    return await Promise.race([
      processor.check(),
      clock.sleep(CHECK_TIMEOUT_MS, answered.signal).then(() => [
        `No answer within ${CHECK_TIMEOUT_MS / 1_000} s.`,
      ]),
    ]);
  } catch (error) {
    return [messageOf(error)];
  } finally {
    answered.abort();
  }
}
