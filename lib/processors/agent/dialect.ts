/**
 * What the runner knows of an agent's CLI: how it is started, resumed, and read. An
 * agent more is a file more with one object of this kind.
 *
 * @module
 */

import type { JsonObject } from "../../task/task.ts";
import type { Usage } from "../../task/usage.ts";

/** What an agent may do by itself: only read, edit files in its folder, or all. */
export const PERMISSIONS = ["read", "edit", "all"] as const;

/** One of {@linkcode PERMISSIONS}. */
export type Permissions = (typeof PERMISSIONS)[number];

/** An agent's CLI. */
export interface Dialect {
  /** `claude` */
  readonly name: string;
  /** The program, as it is found on PATH. */
  readonly program: string;
  /** The versions whose streams this was made from. */
  readonly knownVersions: readonly string[];
  /**
   * A new session gets the id that {@linkcode AgentStart.session} says. Otherwise
   * the agent makes one, and its stream tells it. @default {false}
   */
  readonly takesSessionId?: boolean;
  /** A session is found only in the folder in which it was begun. @default {false} */
  readonly bindsSessionToFolder?: boolean;
  /** What it tells of its usage is of the whole session so far. @default {false} */
  readonly sumsUsage?: boolean;
  /**
   * The arguments of a run: non-interactive, with a stream of JSON lines, asking
   * nobody. Stdin is empty.
   */
  args(start: AgentStart): readonly string[];
  /**
   * The same where the prompt comes by stdin, which has what is too long for an
   * argument. @default {such a prompt is refused}
   */
  stdinArgs?(start: AgentOptions): readonly string[];
  /** Variables that it needs beside those. @default {none} */
  variables?(start: AgentStart): Readonly<Record<string, string>>;
  /** The arguments with which a person goes on in a session, at a terminal. */
  openArgs(sessionId: string): readonly string[];
  /** A reader for the output of one run. */
  read(options: ReadOptions): AgentReader;
}

/** What a run is started with. */
export interface AgentStart extends AgentOptions {
  readonly prompt: string;
}

/** The same without what the agent is told. */
export interface AgentOptions {
  readonly permissions: Permissions;
  /** Default: the CLI's own. */
  readonly model?: string | undefined;
  /**
   * The session to go on in, or to begin with this id; undefined where a new one
   * gets its id from the agent.
   */
  readonly session?:
    | { readonly id: string; readonly isNew: boolean }
    | undefined;
  /** The user's own, to be put among its options. @default {none} */
  readonly args?: readonly string[] | undefined;
  /** US dollars that the run may cost, for a CLI that heeds it. */
  readonly budgetUsd?: number | undefined;
}

/** What a run's output is read with. */
export interface ReadOptions {
  /** When the output is read: what a time of day in it is relative to. */
  readonly now: () => Date;
  /** What was used in the session before, for what sums it up. */
  readonly usedBefore?: Usage | undefined;
}

/** Something that a line of the stream says. */
export type AgentSign =
  /** The agent says something; `isPart` where more of it follows. */
  | { readonly kind: "text"; readonly text: string; readonly isPart?: boolean }
  /** It uses a tool: `Edit src/main.ts`. */
  | { readonly kind: "tool"; readonly name: string; readonly target?: string }
  | { readonly kind: "tool failed"; readonly message: string }
  /** It may not do what it wanted to: `Write notes.md`. */
  | { readonly kind: "denied"; readonly detail: string }
  /** The CLI says something of itself: that it tries again, a warning. */
  | { readonly kind: "notice"; readonly text: string }
  | { readonly kind: "session"; readonly id: string }
  /** What the run used so far, all told. */
  | { readonly kind: "usage"; readonly usage: Usage };

/** Reads the output of one run. */
export interface AgentReader {
  /** A line of stdout that is a JSON object. */
  line(object: JsonObject): readonly AgentSign[];
  /** What the run came to, when its output has ended. */
  end(ended: AgentEnded): AgentEnd;
}

/** How a CLI's process ended. */
export interface AgentEnded {
  readonly code: number;
  /** `SIGKILL`; null where it ended by itself. */
  readonly signal: string | null;
  /** The lines of stdout that are no JSON objects. */
  readonly plain: string;
  readonly stderr: string;
}

/** What a run came to, by its stream and its exit code. */
export interface AgentEnd {
  /** The final text; undefined where there was no end of the work. */
  readonly result?: string | undefined;
  /** Wins over a result. */
  readonly error?: AgentError | undefined;
  readonly usage?: Usage | undefined;
  /** What it was not allowed to do, where only its end tells that. */
  readonly denied?: readonly string[] | undefined;
}

/** Why a run failed. */
export interface AgentError {
  readonly message: string;
  /**
   * Permanent: a second try can't help. Limit: the account's, until a time or
   * nobody knows when. Session lost: it could not be gone on with.
   */
  readonly kind: "permanent" | "retryable" | "limit" | "session lost";
  /**
   * It is of the account: not logged in, no credit, a wrong key. All tasks of the
   * provider would fail of it. @default {false}
   */
  readonly isAccount?: boolean | undefined;
  /** When the limit ends. */
  readonly until?: Date | undefined;
  /** Not tried again sooner, in milliseconds. */
  readonly retryAfterMs?: number | undefined;
}
