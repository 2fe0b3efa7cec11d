/**
 * An agent that agent-runner does not know: how its CLI is started, gone on with, and
 * read. It prints lines like `{"type": "text", "text": "I look."}`.
 *
 * @module
 */

import type { Dialect } from "../../lib/processors/agent/dialect.ts";

export default {
  name: "mine",
  program: "my-agent",
  knownVersions: ["1.0.0"],
  args: ({ prompt, permissions, model, session, args = [] }) => [
    "--json",
    `--allow=${permissions}`,
    ...model ? [`--model=${model}`] : [],
    ...session ? [`--resume=${session.id}`] : [],
    ...args,
    "--",
    prompt,
  ],
  openArgs: (sessionId) => [`--resume=${sessionId}`],
  read() {
    let result: string | undefined;
    return {
      line({ type, id, text, tool, target }) {
        switch (type) {
          case "session":
            return [{ kind: "session", id: String(id) }];
          case "tool":
            return [{
              kind: "tool",
              name: String(tool),
              target: String(target),
            }];
          case "text":
            result = String(text);
            return [{ kind: "text", text: result }];
          default:
            return [];
        }
      },
      end: ({ code, stderr }) =>
        code === 0
          ? { result }
          : { error: { kind: "retryable", message: stderr || `exit ${code}` } },
    };
  },
} satisfies Dialect;
