/**
 * Results of tasks that others waited for.
 *
 * @module
 */

import type { TaskResult } from "../../lib/task/task.ts";

/** One that gave something, one that failed, one that gave too much. */
export const RESULTS: readonly TaskResult[] = [
  {
    id: "a1111111-0000-4000-8000-000000000000",
    key: "build",
    provider: "claude",
    instruction: "Build it é\nand more",
    state: "completed",
    output: { files: 9_007_199_254_740_993n },
  },
  {
    id: "b2222222-0000-4000-8000-000000000000",
    key: null,
    provider: "codex",
    instruction: null,
    state: "failed",
    output: undefined,
    error: "No network",
  },
  {
    id: "c3333333-0000-4000-8000-000000000000",
    key: "long",
    provider: "codex",
    instruction: "Say a lot",
    state: "completed",
    output: undefined,
    isTruncated: true,
  },
];

/** The same as JSON. */
export const RESULTS_TEXT =
  '[{"id":"a1111111-0000-4000-8000-000000000000","key":"build",' +
  '"provider":"claude","instruction":"Build it é\\nand more",' +
  '"state":"completed","output":{"files":9007199254740993}},' +
  '{"id":"b2222222-0000-4000-8000-000000000000","key":null,' +
  '"provider":"codex","instruction":null,"state":"failed","output":null,' +
  '"error":"No network"},' +
  '{"id":"c3333333-0000-4000-8000-000000000000","key":"long",' +
  '"provider":"codex","instruction":"Say a lot","state":"completed",' +
  '"output":null,"truncated":true}]';
