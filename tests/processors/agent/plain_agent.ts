/**
 * An agent whose stream says what it means, so that tests can print any. It is
 * loaded as a user's own is.
 *
 * @module
 */

import type {
  AgentEnd,
  AgentError,
  AgentSign,
  Dialect,
} from "../../../lib/processors/agent/dialect.ts";

/** Its sessions are given their ids, and are found in their folder only. */
const plain: Dialect = {
  name: "plain",
  program: "plain-agent",
  knownVersions: ["1.2.3"],
  takesSessionId: true,
  bindsSessionToFolder: true,
  args: ({ session, permissions, model, budgetUsd, args = [], prompt }) => [
    `--permissions=${permissions}`,
    ...model ? [`--model=${model}`] : [],
    ...session
      ? [`--${session.isNew ? "new" : "resume"}=${session.id}`]
      : ["--new"],
    ...budgetUsd === undefined ? [] : [`--budget=${budgetUsd}`],
    ...args,
    "--",
    prompt,
  ],
  variables: ({ permissions }) => ({ PLAIN_PERMISSIONS: permissions }),
  openArgs: (id) => [`--resume=${id}`],
  read() {
    let end: AgentEnd | undefined;
    return {
      line: ({ sign, ...rest }) => {
        if (rest.end) end = rest.end as AgentEnd;
        return sign ? [sign as AgentSign] : [];
      },
      end: ({ code, stderr }) =>
        end ?? { error: errorOf(code, stderr), usage: undefined },
    };
  },
};
export default plain;

function errorOf(code: number, stderr: string): AgentError {
  const isLost = stderr.includes("no such session");
  return {
    kind: isLost ? "session lost" : "retryable",
    message: isLost ? stderr : `ended with ${code}: ${stderr}`,
  };
}
