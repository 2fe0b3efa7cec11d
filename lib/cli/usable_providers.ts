/**
 * Which providers can be used as they are configured. The tasks of the others wait:
 * a program or a secret that is missing would fail each of them.
 *
 * @module
 */

import { UsageError } from "../base/errors.ts";
import type { Processors } from "../processors/open.ts";
import type { CheckOptions } from "../processors/processor.ts";
import type { Runner } from "../runner.ts";
import type { CommandContext } from "./command.ts";
import { problemsOf, warningsOf } from "./config.ts";

/** How often it is looked again, in milliseconds. */
const AGAIN_MS = 60_000;

type Parts = Pick<CommandContext, "config" | "clock" | "log">;

/**
 * What is wrong with each provider that can't be used.
 *
 * @param options What may be tried to find that out
 */
export async function findUnusable(
  { config, clock }: Pick<Parts, "config" | "clock">,
  processors: Processors,
  options: (provider: string) => CheckOptions,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, readonly string[]>();
  for (const provider of config.providers?.keys() ?? []) {
    const processor = processors.for(provider);
    if (!processor) continue;
    const problems = await problemsOf(processor, clock, options(provider));
    if (problems.length > 0) found.set(provider, problems);
  }
  return found;
}

/**
 * Finds those that can't be used, and says so. What the network says of a URL may be
 * another thing in a minute, and is not asked.
 *
 * @throws {UsageError} where there is no other.
 */
export async function leaveOutUnusable(
  parts: Parts,
  processors: Processors,
): Promise<ReadonlySet<string>> {
  const isOffline = true;
  const found = await findUnusable(parts, processors, () => ({ isOffline }));
  for (const [provider, problems] of found) tell(parts, provider, problems);
  await warn(parts, processors, found);
  if (found.size > 0 && found.size === parts.config.providers?.size) {
    throw new UsageError(
      "Cannot run tasks: no provider can be used as it is configured. See " +
        "above; agent-runner config check says it again.",
    );
  }
  return new Set(found.keys());
}

/** Of those that are served. */
async function warn(
  { config, clock, log }: Parts,
  processors: Processors,
  unusable: ReadonlyMap<string, unknown>,
): Promise<void> {
  for (const provider of config.providers?.keys() ?? []) {
    const processor = processors.for(provider);
    if (!processor || unusable.has(provider)) continue;
    for (const warning of await warningsOf(processor, clock)) {
      log.warning(`Provider ${provider}: ${warning}`, {
        event: "provider_warning",
        provider,
      });
    }
  }
}

/**
 * Looks again every minute: a program may be gone while it is updated, or be there
 * when it was installed. Dispose of it to stop; a look that is under way ends with
 * the processors, and says nothing any more.
 */
export function watchUsable(
  parts: Parts,
  processors: Processors,
  { unusable, events }: Pick<Runner, "unusable" | "events">,
): Disposable {
  const { clock, log } = parts;
  const closed = new AbortController();
  const look = async () => {
    for (;;) {
      await clock.sleep(AGAIN_MS, closed.signal);
      if (closed.signal.aborted) return;
      // Those in use need not start anything to be known to be so.
      const found = await findUnusable(
        parts,
        processors,
        (it) => unusable.has(it) ? { isOffline: true } : { isQuiet: true },
      );
      if (closed.signal.aborted) return;
      for (const [provider, problems] of found) {
        if (unusable.has(provider)) continue;
        unusable.add(provider);
        tell(parts, provider, problems);
      }
      for (const provider of [...unusable].filter((it) => !found.has(it))) {
        unusable.delete(provider);
        log.info(`Provider ${provider} is served again`, {
          event: "provider_served",
          provider,
        });
        events.emit({ type: "usable", provider });
      }
    }
  };
  look();
  return { [Symbol.dispose]: () => closed.abort() };
}

function tell(
  { log }: Parts,
  provider: string,
  problems: readonly string[],
): void {
  for (const problem of problems) {
    log.error(
      `Provider ${provider} is not served, its tasks wait: ${problem}`,
      {
        event: "provider_problem",
        provider,
      },
    );
  }
}
