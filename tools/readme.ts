/**
 * Writes the tables of README and docs/ from the code:
 * `deno run -A tools/readme.ts`. A test fails where they differ.
 */
import { COMMANDS } from "../lib/cli/commands.ts";
import { jsonSchema } from "../lib/config/schema.ts";
import { type Setting, SETTINGS } from "../lib/config/settings.ts";

function commandTable(): string {
  return table(
    ["command", "what it does"],
    COMMANDS.filter(({ isHidden }) => !isHidden).map(({
      name,
      args = "",
      summary,
    }) => [
      `\`${`${name} ${args}`.trim()}\``,
      summary,
    ]),
  );
}

function settingTable(): string {
  return table(
    ["flag", "environment", "default", "meaning"],
    Object.values<Setting>(SETTINGS).map((setting) => [
      setting.flag ? `\`--${setting.flag}\`` : "",
      setting.env ? `\`${setting.env}\`` : "",
      setting.default && `\`${setting.default}\``,
      setting.summary +
      (["seconds", "days"].includes(setting.kind) ? ` (${setting.kind})` : ""),
    ]),
  );
}

interface FieldSchema {
  readonly description?: string;
  readonly const?: string;
}

interface ObjectSchema {
  readonly properties: Readonly<Record<string, FieldSchema>>;
}

/** The fields of a kind of processor, without those that all have. */
function fieldTable(kind: string): string {
  const schema = jsonSchema() as {
    properties: {
      providers: { additionalProperties: { oneOf: ObjectSchema[] } };
    };
  };
  const kinds = schema.properties.providers.additionalProperties.oneOf;
  const fieldsOf = (name: string) =>
    kinds.find((it) => it.properties.processor?.const === name)?.properties ??
      {};
  const common = fieldsOf("simulate");
  const own = Object.entries(fieldsOf(kind)).filter(([name]) =>
    kind === "simulate" || !(name in common)
  );
  return table(
    ["field", "meaning"],
    own.map(([name, { description = "" }]) => [`\`${name}\``, description]),
  );
}

function table(header: string[], rows: string[][]): string {
  const cells = [header, ...rows].map((row) =>
    row.map((cell) => cell.replaceAll("|", "\\|"))
  );
  const widths = header.map((_, column) =>
    Math.max(...cells.map((row) => row[column]!.length))
  );
  const line = (row: string[]) =>
    `| ${
      row.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")
    } |`;
  const [first, ...rest] = cells.map(line);
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`;
  return [first, rule, ...rest].join("\n");
}

/** What stands in for `<!-- name: made by … -->`, in whatever page that is. */
const TABLES: Readonly<Record<string, () => string>> = {
  commands: commandTable,
  settings: settingTable,
  provider: () => fieldTable("simulate"),
  command: () => fieldTable("command"),
  agent: () => fieldTable("agent"),
  patch: () => fieldTable("patch"),
  http: () => fieldTable("http"),
  module: () => fieldTable("module"),
};

/** A page's text with its tables made anew. */
export function withTables(page: string): string {
  return page.replace(
    /(<!-- (\w+): made by .*? -->\n)[^]*?(<!-- end -->)/g,
    (whole, start: string, name: string, end: string) => {
      const make = TABLES[name];
      return make ? `${start}\n${make()}\n\n${end}` : whole;
    },
  );
}

/** A page of the documentation, and where it is. */
export interface Page {
  /** From the project's folder: `docs/commands.md`. */
  readonly name: string;
  readonly url: URL;
  readonly text: string;
}

/** README and all that is in docs/. */
export async function readPages(): Promise<Page[]> {
  const root = new URL("../", import.meta.url);
  const names = ["README.md"];
  for await (const { name } of Deno.readDir(new URL("docs/", root))) {
    names.push(`docs/${name}`);
  }
  return await Promise.all(
    names.sort().map(async (name) => {
      const url = new URL(name, root);
      return { name, url, text: await Deno.readTextFile(url) };
    }),
  );
}

if (import.meta.main) {
  for (const { url, text } of await readPages()) {
    await Deno.writeTextFile(url, withTables(text));
  }
}
