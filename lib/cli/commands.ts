/**
 * The one table of commands. Parsing, `--help`, completion and docs/commands.md
 * are made from it.
 *
 * @module
 */

import { answer } from "./answer.ts";
import { approve } from "./approve.ts";
import { batches } from "./batches.ts";
import { cancel } from "./cancel.ts";
import type { Command } from "./command.ts";
import { complete, completions } from "./completions.ts";
import { configCheck, configSchema } from "./config.ts";
import { copy } from "./copy.ts";
import { create } from "./create.ts";
import { diff } from "./diff.ts";
import { doctor } from "./doctor.ts";
import { edit } from "./edit.ts";
import { exportTasks } from "./export.ts";
import { importGithub } from "./import.ts";
import { init } from "./init.ts";
import { list } from "./list.ts";
import { logs } from "./logs.ts";
import { merge } from "./merge.ts";
import { migrate } from "./migrate.ts";
import { move } from "./move.ts";
import { note } from "./note.ts";
import { openTask } from "./open_task.ts";
import { pause, pauses, resume } from "./pauses.ts";
import { prune } from "./prune.ts";
import { result } from "./result.ts";
import { retry } from "./retry.ts";
import { run } from "./run.ts";
import { runTask } from "./run_task.ts";
import { drain, runners } from "./runners.ts";
import {
  scheduleList,
  schedulePause,
  scheduleRemove,
  scheduleResume,
  scheduleRun,
  scheduleShow,
} from "./schedule.ts";
import { scheduleAdd } from "./schedule_add.ts";
import { serve } from "./serve.ts";
import { show } from "./show.ts";
import { sql } from "./sql.ts";
import { stats } from "./stats.ts";
import { wait } from "./wait.ts";
import { watch } from "./watch.ts";
import { workspaces } from "./workspaces.ts";
import { webhooksList, webhooksTest } from "./webhooks.ts";

/** Every command. The first is what runs when none is named. */
export const COMMANDS: readonly [Command, ...Command[]] = [
  run,
  serve,
  runTask,
  init,
  create,
  list,
  batches,
  show,
  logs,
  result,
  diff,
  answer,
  approve,
  note,
  openTask,
  merge,
  edit,
  move,
  wait,
  cancel,
  retry,
  runners,
  drain,
  pauses,
  pause,
  resume,
  scheduleAdd,
  scheduleList,
  scheduleShow,
  schedulePause,
  scheduleResume,
  scheduleRemove,
  scheduleRun,
  importGithub,
  watch,
  stats,
  exportTasks,
  prune,
  workspaces,
  sql,
  doctor,
  migrate,
  copy,
  completions,
  webhooksTest,
  webhooksList,
  configCheck,
  configSchema,
  complete,
];
