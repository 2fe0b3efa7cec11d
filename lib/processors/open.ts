/**
 * Chooses the processor of each provider by the configuration.
 *
 * @module
 */

import { dirname, resolve } from "node:path";
import type { Clock } from "../base/clock.ts";
import type { Config } from "../config/config.ts";
import type { ProviderOptions } from "../config/schema.ts";
import type { Log } from "../base/log.ts";
import type { Processor, ProcessorLookup } from "./processor.ts";
import { createSimulateProcessor } from "./simulate.ts";

/** The processors of all providers; dispose of it to stop what they started. */
export interface Processors extends AsyncDisposable {
  /** `*` finds that of the providers that are not named. */
  readonly for: ProcessorLookup;
}

/** What processors are made with, beside the configuration. */
export interface ProcessorParts {
  readonly clock: Clock;
  readonly log: Log;
}

/** Without a configuration of providers, every provider is simulated. */
export async function createProcessors(
  config: Config,
  parts: ProcessorParts,
): Promise<Processors> {
  if (!config.providers) {
    const simulate = simulated(config, parts);
    return { for: () => simulate, async [Symbol.asyncDispose]() {} };
  }
  await using made = new AsyncDisposableStack();
  const processors = new Map<string, Processor>();
  for (const [provider, { options }] of config.providers) {
    const processor = await createProcessor(options, { config, ...parts });
    made.defer(async () => await processor[Symbol.asyncDispose]?.());
    processors.set(provider, processor);
  }
  const others = processors.get("*");
  const owned = made.move();
  return {
    for: (provider) => processors.get(provider) ?? others,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A kind is loaded where a provider uses it: a kind more is a case more. */
async function createProcessor(
  options: ProviderOptions,
  { config, ...parts }: ProcessorParts & { readonly config: Config },
): Promise<Processor> {
  // Where the file stands; paths in it are seen from there.
  const baseFolder = resolve(dirname(config.configPath ?? ""));
  switch (options.processor) {
    case "simulate":
      return simulated(config, parts);
    case "command": {
      const { createCommandProcessor } = await import("./command/command.ts");
      return createCommandProcessor(options, { baseFolder, ...parts });
    }
    case "http": {
      const { createHttpProcessor } = await import("./http/http.ts");
      return createHttpProcessor(options, parts);
    }
    case "module": {
      const { createModuleProcessor } = await import("./module/module.ts");
      return createModuleProcessor(options, { baseFolder, ...parts });
    }
  }
}

function simulated(
  { completionDelayMs, simulateFailure }: Config,
  { clock }: ProcessorParts,
): Processor {
  return createSimulateProcessor({
    delayMs: completionDelayMs,
    fails: simulateFailure,
    clock,
  });
}
