/**
 * What the API sends, as types for the scripts.
 *
 * @module
 */

import type { z } from "@hono/zod-openapi";
import type { ChangesJson } from "../../diff_json.ts";
import type { graphSchema } from "../../graph_json.ts";
import type { logPageSchema } from "../../log_json.ts";
import type { pausesSchema } from "../../pause_json.ts";
import type { runnersSchema } from "../../runner_json.ts";
import type { statsSchema } from "../../api/stats_schemas.ts";
import type {
  eventSchema,
  listedTaskSchema,
  sessionSchema,
  taskSchema,
} from "../../api/task_schemas.ts";

export type ListedTask = z.infer<typeof listedTaskSchema>;
export type WholeTask = z.infer<typeof taskSchema>;
/** What both have. */
export type Task = Pick<ListedTask, keyof ListedTask & keyof WholeTask>;
export type TaskEvent = z.infer<typeof eventSchema>;
export type Usage = NonNullable<TaskEvent["usage"]>;
export type TaskGraph = z.infer<typeof graphSchema>;
export type GraphNode = TaskGraph["nodes"][number];
export type Changes = ChangesJson;
export type ChangedFile = Changes["files"][number];
export type LogPage = z.infer<typeof logPageSchema>;
export type LogEntry = LogPage["entries"][number];
export type Stats = z.infer<typeof statsSchema>;
export type Bucket = Stats["buckets"][number];
export type UsageSum = Stats["usage"][number];
export type Pause = z.infer<typeof pausesSchema>["pauses"][number];
export type Runner = z.infer<typeof runnersSchema>["runners"][number];
export type Session = z.infer<typeof sessionSchema>;
