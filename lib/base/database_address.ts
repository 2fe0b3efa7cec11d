/**
 * What names a database: the path of a file, or a `postgres://` address.
 *
 * @module
 */

/** Whether it is the address of a PostgreSQL server. */
export function isPostgresAddress(text: string): boolean {
  return /^postgres(ql)?:\/\//i.test(text);
}

/** A database as it may be shown: without the password that is in its address. */
export function shownDatabase(text: string): string {
  if (!isPostgresAddress(text)) return text;
  return text
    .replace(/^([^:]+:\/\/[^/?#@:]*):[^/?#]*@/, "$1@")
    .replace(/([?&](?:password|sslpassword)=)[^&#]*/gi, "$1***");
}
