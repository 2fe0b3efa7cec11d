/**
 * What names a database: the path of a file, or a `postgres://` address.
 *
 * @module
 */

/** What is shown of an address that can't be read: anything in it may be secret. */
const HIDDEN = "postgres://…";

/** Whether it is the address of a PostgreSQL server, if need be one in quotes. */
export function isPostgresAddress(text: string): boolean {
  return /^[\s"'`‘“„«]*postgres(ql)?:\/\//i.test(text);
}

/**
 * The parts of an address; null where it has none, or where its password has a sign
 * that would end it, so that a part of it would be taken for something else.
 */
export function readPostgresAddress(text: string): URL | null {
  const url = URL.parse(text.trim());
  if (!url || !/^postgres(ql)?:$/.test(url.protocol) || url.hash) return null;
  const hasUser = url.username !== "" || url.password !== "";
  return !hasUser && url.pathname.includes("@") ? null : url;
}

/** An address with the name of the schema that has the tables, unless it has one. */
export function withSchema(text: string, schema: string): string {
  const url = readPostgresAddress(text);
  if (!url || url.searchParams.has("schema")) return text;
  url.searchParams.set("schema", schema);
  return url.href;
}

/** A database as it may be shown: without the password that is in its address. */
export function shownDatabase(text: string): string {
  if (!isPostgresAddress(text)) return text;
  const url = readPostgresAddress(text);
  if (!url) return HIDDEN;
  const { protocol, username, password, host, pathname, search } = url;
  // It may be the end of a password, if not the beginning.
  if (!username && !password && search.includes("@")) return HIDDEN;
  const user = username ? `${username}@` : "";
  return `${protocol}//${user}${host}${pathname}${shownQuery(search)}`;
}

/** Names may be written with escapes, so each is read. */
function shownQuery(search: string): string {
  return search.replace(/([^?&=]+)=([^&]*)/g, (pair, name: string) => {
    const [read = ""] = new URLSearchParams(name).keys();
    return /password/i.test(read) ? `${name}=***` : pair;
  });
}
