// @ts-check
/** What can be typed into the search: a text, and `batch:nightly tag:x key:y`. */

const NAMED = /(?:^|\s)(batch|tag|key):(?:"([^",]+)"|([^\s",]+))(?=\s|$)/g;

/**
 * What the API is asked for.
 *
 * @param {string} search
 * @returns {[name: string, value: string][]}
 */
export function parametersOf(search) {
  /** @type {Map<string, string>} */
  const parameters = new Map();
  const text = search.replaceAll(NAMED, (_, name, quoted, word) => {
    const value = (quoted ?? word).trim();
    const before = name === "tag" ? parameters.get(name) : undefined;
    parameters.set(name, before === undefined ? value : `${before},${value}`);
    return " ";
  }).trim();
  return text === "" ? [...parameters] : [...parameters, ["q", text]];
}

/**
 * An address that shows the tasks that have the same.
 *
 * @param {"batch" | "tag" | "key"} name
 * @param {string} value
 */
export function searchAddress(name, value) {
  const text = /[\s"]/.test(value) ? `"${value}"` : value;
  return `?${new URLSearchParams({ q: `${name}:${text}` })}`;
}
