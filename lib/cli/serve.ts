/**
 * `agent-runner serve`
 *
 * @module
 */

import { EXIT } from "../../base/errors.ts";
import { serviceSettings } from "../../config/service.ts";
import type { CommandContext } from "../context.ts";
import { startService } from "../start_service.ts";
import { listenForSignals } from "../signals.ts";

const DEFAULT_ADDRESS = "127.0.0.1:8080";

/** Serves the HTTP API until it is stopped. */
export async function serve(context: CommandContext): Promise<number> {
  const { config, log, openStore } = context;
  const listen = config.listen || DEFAULT_ADDRESS;
  const settings = await serviceSettings({ ...config, listen });
  using signals = listenForSignals(log, {
    drain: "Stopping: finishing the requests in hand; once more stops now",
    abort: "Stopping now",
  });
  await using store = await openStore();
  log.info(`Connected to database: ${config.dbPath}`, {
    event: "connected",
    database: config.dbPath,
  });
  await using service = await startService(context, {
    store,
    settings,
    signals,
  });
  await service.ended;
  return EXIT.ok;
}
