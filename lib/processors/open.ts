/**
 * Chooses the processor of each provider by the configuration.
 *
 * @module
 */

import { dirname, resolve } from "node:path";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { AgentConfig } from "./agent/config.ts";
import type { CommandConfig } from "./command/config.ts";
import type { HttpConfig } from "./http/config.ts";
import type { ModuleConfig } from "./module/config.ts";
import type { PatchConfig } from "./patch/config.ts";
import type {
  Processor,
  ProcessorLookup,
  ProviderSettings,
} from "./processor.ts";
import { createSimulateProcessor } from "./simulate.ts";

/** The processors of all providers; dispose of it to stop what they started. */
export interface Processors extends AsyncDisposable {
  /** `*` finds that of the providers that are not named. */
  readonly for: ProcessorLookup;
}

/** A processor's kind, with what is configured of it. */
export type ProcessorOptions =
  | { readonly processor: "simulate" }
  | { readonly processor: "command" } & CommandConfig
  | { readonly processor: "agent" } & AgentConfig
  | { readonly processor: "patch" } & PatchConfig
  | { readonly processor: "http" } & HttpConfig
  | { readonly processor: "module" } & ModuleConfig;

/** What processors are chosen by. */
export interface ProcessorsConfig {
  /** Paths start where this file stands; undefined: in the working folder. */
  readonly configPath: string | undefined;
  /** By provider. Undefined where none is configured: all are simulated. */
  readonly providers?: ReadonlyMap<
    string,
    & { readonly options: ProcessorOptions }
    & Pick<ProviderSettings, "budget" | "prices">
  >;
  /** How long a simulated task takes, in milliseconds. */
  readonly completionDelayMs: number;
  /** Every simulated task fails. */
  readonly simulateFailure: boolean;
}

/** What processors are made with, beside the configuration. */
export interface ProcessorParts {
  readonly clock: Clock;
  readonly log: Log;
}

/** Makes the processors of all providers that are configured. */
export async function createProcessors(
  config: ProcessorsConfig,
  parts: ProcessorParts,
): Promise<Processors> {
  const providers = config.providers ??
    new Map([["*", { options: { processor: "simulate" } as const }]]);
  await using made = new AsyncDisposableStack();
  const processors = new Map<string, Processor>();
  for (const [provider, { options, ...spending }] of providers) {
    const processor = await createProcessor(options, {
      config,
      spending,
      ...parts,
    });
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
  options: ProcessorOptions,
  { config, spending, ...parts }: ProcessorParts & {
    readonly config: ProcessorsConfig;
    readonly spending: Pick<ProviderSettings, "budget" | "prices">;
  },
): Promise<Processor> {
  const baseFolder = resolve(dirname(config.configPath ?? ""));
  switch (options.processor) {
    case "simulate":
      return createSimulateProcessor({
        delayMs: config.completionDelayMs,
        fails: config.simulateFailure,
        clock: parts.clock,
      });
    case "command": {
      const { createCommandProcessor } = await import("./command/command.ts");
      return createCommandProcessor(options, { baseFolder, ...parts });
    }
    case "agent": {
      const { createAgentProcessor } = await import("./agent/agent.ts");
      return await createAgentProcessor(options, {
        baseFolder,
        spending,
        ...parts,
      });
    }
    case "patch": {
      const { createPatchProcessor } = await import("./patch/patch.ts");
      return createPatchProcessor(options, { baseFolder, ...parts });
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
