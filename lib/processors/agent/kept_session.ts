/**
 * The session of an attempt, kept with its task as soon as its id is known.
 *
 * @module
 */

import type { AgentSession } from "../../task/session.ts";
import type { Usage } from "../../task/usage.ts";
import type { AttemptParts } from "./cli_run.ts";
import type { AgentStart } from "./dialect.ts";
import { isSessionId, newSessionId, usableSession } from "./sessions.ts";

/** What the session is kept with. */
type Parts = Pick<
  AttemptParts,
  "task" | "context" | "dialect" | "folder" | "surroundings"
>;

/** See above. */
export class KeptSession {
  readonly #parts: Parts;
  readonly #told: AgentSession["told"];
  #current: AgentSession | undefined;
  /** The trace has it with what it is told by this attempt. */
  #isKept = false;

  /** @param told what an agent knows that goes on in it */
  constructor(parts: Parts, told: AgentSession["told"]) {
    this.#parts = parts;
    this.#told = told;
    this.#current = usableSession(parts.context.trace);
  }

  /** The task's session, whoever's it is. */
  get current(): AgentSession | undefined {
    return this.#current;
  }

  /**
   * Begins another. It is kept before its agent is started, so that it is found
   * should this process die; undefined where the agent names it itself.
   */
  async begin(): Promise<AgentStart["session"]> {
    const { task, dialect, folder } = this.#parts;
    if (!dialect.takesSessionId) {
      this.#current = undefined;
      return undefined;
    }
    const id = await newSessionId(task, this.#current?.id);
    this.#keep({ agent: dialect.name, id, folder: folder.path });
    return { id, isNew: true };
  }

  /** The agent tells its id: of a new one, or of that in which it goes on. */
  tells(id: string): void {
    const { dialect, folder, surroundings } = this.#parts;
    const isSame = id === this.#current?.id;
    if (this.#isKept && isSame) return;
    if (!isSessionId(id) || surroundings.secrets.mask(id) !== id) return;
    const { used } = (isSame && this.#current) || {};
    const session = { agent: dialect.name, id, folder: folder.path };
    this.#keep({ ...session, ...used && { used } });
  }

  /** So much was used in it all told, which the agent's next sum has in it. */
  used(used: Usage | undefined): void {
    if (used && this.#current) this.#keep({ ...this.#current, used });
  }

  #keep(session: AgentSession): void {
    const told = this.#told;
    this.#current = { ...session, ...told && { told } };
    this.#isKept = true;
    const { agent, id } = session;
    this.#parts.context.note("session", `${agent} ${id}`, {
      session: this.#current,
    });
  }
}
