/**
 * What an agent is told: the task, or in its session what happened since.
 *
 * @module
 */

import { answersText } from "../command/input.ts";
import type { AgentSession } from "../../task/session.ts";
import type {
  AgentTask,
  Answer,
  JsonObject,
  JsonValue,
} from "../../task/task.ts";
import { answersOf } from "../../task/trace.ts";

const HOW_TO_ASK =
  "Nobody watches you work. If you can't go on without a person's answer, end " +
  "your last message with a line that is this JSON and nothing else, and stop:\n" +
  '{"agent_runner": "question", "question": "…"}';

const CUT_OFF = "The last attempt was cut off.";

/** What a task's trace says that an agent should know. */
export interface Story {
  readonly answers: readonly Answer[];
  /** What a person left for the next attempt, oldest first. */
  readonly notes: readonly string[];
  /** How the last attempt ended, where that was no question. */
  readonly end: string;
}

/** Reads the story of a task. Others write traces too, so it trusts nothing. */
export function storyOf(trace: JsonObject): Story {
  return {
    answers: answersOf(trace),
    notes: notesOf(trace),
    end: endOf(trace),
  };
}

function notesOf({ notes }: JsonObject): string[] {
  if (!Array.isArray(notes)) return [];
  return notes.flatMap((note) => {
    const text = typeof note === "object" && note !== null && "text" in note
      ? note.text
      : note;
    return typeof text === "string" && text.trim() !== "" ? [text.trim()] : [];
  });
}

/**
 * The latest of what the trace tells; progress after that was cut off. What repeats
 * another task may go on with what that one completed.
 */
function endOf(trace: JsonObject): string {
  const ends = [
    { at: timeOf(trace.last_failed_at), text: failure(trace.last_error) },
    { at: timeOf(trace.failed_at), text: failure(trace.error) },
    // That is told with its answer.
    { at: timeOf(trace.question_asked_at), text: "" },
    { at: timeOf(trace.last_progress_at), text: CUT_OFF },
  ].filter(({ at }) => at > 0);
  // Of the same time, the progress is what the failed attempt noted last.
  return ends.sort((a, b) => b.at - a.at)[0]?.text ??
    (trace.retry_of === undefined ? CUT_OFF : "");
}

function failure(text: JsonValue | undefined): string {
  if (typeof text !== "string" || text.trim() === "") return CUT_OFF;
  const said = text.trim();
  return `The last attempt ended with: ${said}${
    /[.!?…]$/.test(said) ? "" : "."
  }`;
}

function timeOf(value: unknown): number {
  return Date.parse(String(value)) || 0;
}

/** The whole of a task, for an agent that knows nothing of it. */
export function wholePrompt(
  task: AgentTask,
  story: Story,
  { hasWork, because, before }: {
    /** An earlier attempt was at work in its folder. */
    readonly hasWork: boolean;
    /** Why it is to go on though it was done. */
    readonly because?: string | undefined;
    /** What came of the tasks that this one waited for. */
    readonly before?: string | undefined;
  },
): string {
  const { instruction, targetType, targetRef } = task;
  const { answers, notes } = story;
  return asArgument([
    instruction?.trim(),
    targetRef && `Target: ${targetType ?? ""} ${targetRef}`.replace("  ", " "),
    before,
    answers.length > 0 &&
    `Asked so far, and answered:\n${answersText(answers)}`,
    ...notes.map(noteText),
    hasWork &&
    (because ?? `${story.end} What was done so far is in this folder.`.trim()),
    HOW_TO_ASK,
  ]);
}

/** What happened since, for an agent that goes on in its session. */
export function nextPrompt(
  { answers, notes, end }: Story,
  told: NonNullable<AgentSession["told"]> = { answers: 0, notes: 0 },
): string {
  const fresh = answers.slice(told.answers);
  const last = answers.at(-1);
  const said = fresh.length > 1
    ? answersText(fresh)
    // The session ends with its question.
    : fresh[0]?.answer.trim();
  return asArgument([
    said,
    ...notes.slice(told.notes).map(noteText),
    said === undefined && `${end} Go on.`.trim(),
    // It may have been cut off before it had read that.
    said === undefined && last &&
    `Asked and answered last:\n${answersText([last])}`,
  ]);
}

/** What a person left for an attempt. */
function noteText(note: string): string {
  return `A person left this note for you: ${note}`;
}

/** What goes back to the agent where the check of its work failed. */
export function failedCheck(command: string, output: string): string {
  const said = output === ""
    ? "It printed nothing."
    : `What it printed:\n${output}`;
  return `It is not done yet: \`${command}\` failed. ${said}\n\nMend that, and ` +
    "go on until it passes.";
}

/** What begins so is a command of a CLI's own, or names a file. */
const IS_COMMAND = /^\s*[/@!#]/;

/** As it begins, it must be taken for no option, and no command of the CLI. */
function asArgument(
  parts: readonly (string | false | null | undefined)[],
): string {
  const text = parts.filter((it) => it).join("\n\n");
  if (IS_COMMAND.test(text)) return `In words: ${text}`;
  return text.startsWith("-") ? ` ${text}` : text;
}
