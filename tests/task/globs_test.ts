import { assert, assertEquals } from "@std/assert";
import { canMeet, isGlob, parseGlob } from "../../lib/task/globs.ts";

function meet(one: string, other: string): boolean {
  const is = canMeet(parseGlob(one), parseGlob(other));
  assertEquals(canMeet(parseGlob(other), parseGlob(one)), is);
  return is;
}

Deno.test("isGlob() refuses what begins elsewhere, and what not all globs have", () => {
  for (
    const glob of [
      "src/api/**",
      "src",
      "./src/",
      "*.ts",
      "app/(shop)/[id]/page.tsx",
      "a b/ü?.md",
      "..a/b..",
      ".",
    ]
  ) assert(isGlob(glob), glob);
  for (
    const glob of [
      "/src",
      "../src",
      "src/..",
      "src/../lib",
      "!src",
      "src/{a,b}",
      "src\\api",
      "[[:alpha:]]",
      "[a",
      "src/[]/a",
      "a]/[b/c]",
      "a\nb",
      "",
    ]
  ) assert(!isGlob(glob), glob);
});

Deno.test("canMeet() knows files that both globs mean", () => {
  for (
    const [one, other] of [
      ["src/api/**", "src/api/routes.ts"],
      ["src/api", "src/api/v1/routes.ts"],
      ["src/api/", "src/**/*.ts"],
      ["./src//api", "src/api"],
      ["**", "README.md"],
      [".", "src/api"],
      ["**/*.test.ts", "src/*/a*"],
      ["src/*a*b*.ts", "src/*b*a*.ts"],
      ["a?c", "ab*"],
      ["[a-c]x", "[c-e]?"],
      ["[!a]", "[!b]"],
      ["[^a-c]1", "d1"],
      ["[]]", "[]-a]"],
      ["[a", "[a"],
      ["[!]", "[!]"],
      ["src/**", "src/**/**"],
      ["💡*", "?x"],
    ] as const
  ) assert(meet(one, other), `${one} and ${other}`);
});

Deno.test("canMeet() knows that no file is meant by both", () => {
  for (
    const [one, other] of [
      ["src/api/**", "src/web/**"],
      ["src/api", "src/api.ts"],
      ["src/*", "src/api/routes.ts"],
      ["*.ts", "*.md"],
      ["*.ts", "src/a.ts"],
      ["SRC", "src"],
      ["a?c", "ac"],
      ["[a-c]", "[d-f]"],
      ["[!a-z]", "q"],
      ["[z-a]", "?"],
      ["a/?/b", "a/bc/*"],
      ["a/**/*.b", "a/**/*.c"],
      ["💡", "??"],
    ] as const
  ) assert(!meet(one, other), `${one} and ${other}`);
});

Deno.test("canMeet() takes what can't be read for anything", () => {
  assert(meet("src/{a,b}", "docs/*.md"));
  assert(meet("../src", "docs"));
});

Deno.test("canMeet() is not slow where there are many stars", () => {
  const stars = (last: string) => "*a".repeat(90) + last;
  assert(!meet(`${stars("x")}`, `${stars("y")}`));
  assert(!meet("**/a/".repeat(40) + "x?", "**/a/".repeat(40) + "y?"));
});

/** Every path of up to three names of up to two of these characters. */
const CHARACTERS = ["a", "b", "."];
const NAMES = CHARACTERS.flatMap((one) => [
  one,
  ...CHARACTERS.map((other) => one + other),
]);
const PATHS = NAMES.flatMap((one) => [
  one,
  ...NAMES.flatMap((two) => [
    `${one}/${two}`,
    ...NAMES.map((three) => `${one}/${two}/${three}`),
  ]),
]);

/** The same rules as a regular expression. */
function pathsOf(glob: string): ReadonlySet<string> {
  const names = glob.split("/");
  const isBelow = !/[*?[]/.test(names.at(-1) ?? "");
  const pattern =
    names.map((name) =>
      name === "**"
        ? "(?:[^/]+/)*"
        : `${
          name.replaceAll(".", "\\.").replaceAll("*", "[^/]*")
            .replaceAll("?", "[^/]").replaceAll("[!", "[^")
        }/`
    ).join("") + (isBelow ? "(?:[^/]+/)*" : "");
  const expression = new RegExp(`^${pattern}$`);
  return new Set(PATHS.filter((path) => expression.test(`${path}/`)));
}

Deno.test("canMeet() says the same as a look at all paths", () => {
  let seed = 19;
  const random = (count: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor(seed / 65_536) % count;
  };
  const of = <T>(items: readonly T[]): T => items[random(items.length)] as T;
  // Of two characters at most, so that what both mean is among the paths.
  const nameOf = () =>
    of([
      ...["a", "b", "ab", "*", "**", "**", "?", "a*", "*b", "?b", "[ab]"],
      ...["[!a]", "[!b]?", ".a", "*.", "[a-b]b", "[.a]*"],
    ]);
  const globs = Array.from(
    { length: 140 },
    () => Array.from({ length: 1 + random(3) }, nameOf).join("/"),
  ).map((glob) => ({ glob, parsed: parseGlob(glob), paths: pathsOf(glob) }));
  let met = 0;
  for (const one of globs) {
    for (const other of globs) {
      const is = canMeet(one.parsed, other.parsed);
      const isSeen = !one.paths.isDisjointFrom(other.paths);
      // What longer ones both mean may be longer than any of the paths.
      const isLonger = [one, other].some(({ glob }) =>
        glob.split("/").length > 2
      );
      if (isSeen || !isLonger) {
        assertEquals(is, isSeen, `${one.glob} and ${other.glob}`);
      }
      if (is) met++;
    }
  }
  // Neither answer is rare.
  const share = met / globs.length ** 2;
  assert(share > 0.2 && share < 0.9, `${share}`);
});
