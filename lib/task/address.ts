/**
 * The address of a repository. It is told to agents, shown and kept: so no password may
 * be in it.
 *
 * @module
 */

/** What is expected in place of one. */
export const WITHOUT_PASSWORD =
  "expected an address without a password or a token: git's credential helper " +
  "is for that";

/** What stands alone before the @ and is so long is a token, and nobody's name. */
const PASSWORD = /^[a-z][a-z\d+.-]*:\/\/([^\/@]*:[^\/]*|[^\/@]{32,})@/i;

/** Whether a password, or a token, is in an address. */
export function hasPassword(address: string): boolean {
  return PASSWORD.test(address);
}
