/**
 * What every {@linkcode Store} must do. One suite, run for each store and each way
 * to open it.
 *
 * @module
 */

import { testActions } from "./admin_actions.ts";
import { testApprove } from "./admin_approve.ts";
import { testBatches } from "./admin_batches.ts";
import { testCreate } from "./admin_create.ts";
import { testEdit } from "./admin_edit.ts";
import { testExport } from "./admin_export.ts";
import { testFigures } from "./admin_figures.ts";
import { testFilters } from "./admin_filters.ts";
import { testKeys } from "./admin_keys.ts";
import { testLogs } from "./admin_logs.ts";
import { testPrune } from "./admin_prune.ts";
import { testReads } from "./admin_reads.ts";
import { testRetry } from "./admin_retry.ts";
import { testRunners } from "./admin_runners.ts";
import { testArchive } from "./archive.ts";
import { testChanges } from "./changes.ts";
import { testDependencies } from "./dependencies.ts";
import { testEvents } from "./events.ts";
import { testOutbox } from "./outbox.ts";
import { testPauses } from "./pauses.ts";
import { testAhead } from "./queue_ahead.ts";
import { testClaim } from "./queue_claim.ts";
import { testDue } from "./queue_due.ts";
import { testEnd } from "./queue_end.ts";
import { testHeartbeat } from "./queue_heartbeat.ts";
import { testRecord } from "./queue_record.ts";
import { testRescue } from "./queue_rescue.ts";
import { testLimits } from "./queue_limits.ts";
import { testTouches } from "./queue_touches.ts";
import { testTraces } from "./queue_traces.ts";
import { testSchedules } from "./schedules.ts";
import type { StoreUnderTest, Test } from "./subject.ts";

/** The parts of the suite, by the interface that they are about. */
const SUITES = {
  queue: [
    testClaim,
    testAhead,
    testRescue,
    testEnd,
    testRecord,
    testTraces,
    testHeartbeat,
    testDue,
    testPauses,
    testLimits,
    testTouches,
  ],
  admin: [
    testCreate,
    testReads,
    testFilters,
    testBatches,
    testActions,
    testApprove,
    testRetry,
    testKeys,
    testEdit,
    testFigures,
    testExport,
    testPrune,
    testRunners,
    testLogs,
  ],
  plan: [testDependencies],
  events: [testEvents, testChanges],
  outbox: [testOutbox],
  schedules: [testSchedules],
  archive: [testArchive],
} as const;

/** Which tests to run. */
export interface Only {
  /** @default {all of them} */
  readonly parts?: readonly (keyof typeof SUITES)[];
  /** Those whose names match. @default {all of them} */
  readonly names?: RegExp;
  /** None, because the store's programs are not there. @default {false} */
  readonly ignore?: boolean;
}

/** Registers the suite, or those tests `only`, for one way to open a store. */
export function testStore(
  name: string,
  open: () => Promise<StoreUnderTest>,
  { parts, names = /^/, ignore = false }: Only = {},
): void {
  const test: Test = (behaviour, body) => {
    if (!names.test(behaviour)) return;
    Deno.test(`${behaviour} (${name})`, { ignore }, async () => {
      await using subject = await open();
      await body(subject);
    });
  };
  for (const [part, suites] of Object.entries(SUITES)) {
    if (parts && !parts.some((it) => it === part)) continue;
    for (const register of suites) register(test);
  }
}
