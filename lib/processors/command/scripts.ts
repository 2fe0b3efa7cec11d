/**
 * Finds the words of a command that are run as code: what a task says must not be
 * in one of those.
 *
 * @module
 */

/** How a program is told what code to run. */
interface Interpreter {
  /** Options whose value is code, in the same word or in the next. */
  readonly code?: RegExp;
  /** Other options whose value is the next word. */
  readonly valueFollows?: RegExp;
  /** Options that are followed by a name and its value. */
  readonly pairFollows?: RegExp;
  /**
   * What the first word is that is no option: the user's own file, after which all
   * words are its arguments; code, where no option had any; the first of several
   * that are code together; a host (or what is to be done), for which all words
   * after it are code.
   *
   * @default {"file"}
   */
  readonly first?: "file" | "code" | "all" | "host";
  /** Its options may stand after other words too. */
  readonly isScattered?: boolean;
}

const AS_ANOTHER: Interpreter = {
  code: /^(?:-[a-z]*c|--command|--session-command)(?:=|$)/,
  isScattered: true,
};
const AWK: Interpreter = {
  code: /^(?:-e|--source)/,
  valueFollows: /^-(?:[Fv]|-assign|-field-separator)$/,
  first: "code",
};

const CLIENT: Interpreter = {
  code: /^(?:-[a-zA-Z]*e|--exec)/,
  isScattered: true,
};
/** A file, and then what is done with it. */
const SHELL_WORDS: Interpreter = { first: "host" };
const EDITOR: Interpreter = {
  code: /^(?:\+|-c|-S|--cmd)/,
  isScattered: true,
};

/** A goal may be a variable, and a variable a command. */
const MAKE: Interpreter = {
  code: /^(?:-E|--eval|\w+[:+?!]*=)/,
  valueFollows: /^-[CfIjo]$/,
  first: "all",
};

/** By name, without a version at its end. */
const INTERPRETERS: Readonly<Record<string, Interpreter>> = {
  su: AS_ANOTHER,
  runuser: AS_ANOTHER,
  flock: AS_ANOTHER,
  script: AS_ANOTHER,
  env: { code: /^(?:-[a-z0-9]*S|--split-string)/, valueFollows: /^-[uC]$/ },
  eval: { first: "code" },
  fish: {
    code: /^(?:-[a-zA-Z]*[cC]|--command|--init-command)/,
    valueFollows: /^-[do]$/,
  },
  python: { code: /^-[a-zA-Z]*c/, valueFollows: /^-[WX]$/ },
  pypy: { code: /^-[a-zA-Z]*c/, valueFollows: /^-[WX]$/ },
  perl: { code: /^-[a-zA-Z0-9]*[eE]/, valueFollows: /^-[IMm]$/ },
  ruby: { code: /^-[a-zA-Z]*e/, valueFollows: /^-[rIC]$/ },
  php: { code: /^(?:-[rBRE]|--run|--process-)/, valueFollows: /^-[cdfz]$/ },
  lua: { code: /^-e/, valueFollows: /^-l$/ },
  node: {
    code: /^(?:-[ep]+|--eval|--print)(?:=|$)/,
    valueFollows: /^(?:-[rC]|--require|--import|--loader|--conditions)$/,
  },
  bun: { code: /^(?:-[ep]|--eval|--print)(?:=|$)/, valueFollows: /^-r$/ },
  osascript: { code: /^-e/, valueFollows: /^-[ls]$/ },
  awk: AWK,
  gawk: AWK,
  mawk: AWK,
  nawk: AWK,
  sed: {
    code: /^(?:-[a-zA-Z]*e|--expression)/,
    valueFollows: /^-[lf]$/,
    first: "code",
  },
  jq: {
    valueFollows: /^(?:-L|--indent|-f|--from-file)$/,
    pairFollows: /^--(?:arg|argjson|argfile|slurpfile|rawfile)$/,
    first: "code",
  },
  // What psql is to write to may be a program's stdin.
  psql: {
    code: /^(?:-[a-zA-Z]*[coL]|--comm|--out|--log-f)/,
    isScattered: true,
  },
  mysql: CLIENT,
  mariadb: CLIENT,
  duckdb: { ...SHELL_WORDS, code: /^-(?:c|cmd|s)$/ },
  sqlite: { ...SHELL_WORDS, code: /^-{1,2}cmd$/ },
  vim: EDITOR,
  nvim: EDITOR,
  vi: EDITOR,
  gdb: {
    code: /^-{1,2}(?:ex|iex|eval-command|init-eval-command)/,
    isScattered: true,
  },
  git: {
    code: /^(?:-c|--config-env|--exec-path=)/,
    valueFollows: /^(?:-C|--(?:git-dir|work-tree|namespace|attr-source))$/,
  },
  make: MAKE,
  gmake: MAKE,
  tmux: { code: /^-c/, valueFollows: /^-[fLST]$/, first: "all" },
  watch: { valueFollows: /^-[nq]$/, first: "all" },
  ssh: { valueFollows: /^-[BbcDEeFIiJLlmOoPpQRSWw]$/, first: "host" },
};

const SHELLS = [
  "sh",
  "ash",
  "bash",
  "rbash",
  "dash",
  "zsh",
  "ksh",
  "mksh",
  "csh",
  "tcsh",
];
/** These run all the words that follow as one script. */
const JOINING_SHELLS = ["pwsh", "powershell", "cmd"];
const OPTION = /^(?:[-+]|\/[a-z]$)/i;
const SCRIPT_FOLLOWS = /^(?:-[a-z]{0,4}c[a-z]{0,4}|-command|\/[ck])$/i;
const VALUE_FOLLOWS =
  /^(?:[-+][a-z]{0,4}o|-executionpolicy|--rcfile|--init-file)$/i;
const OPTION_OR_VARIABLE = /^-|^\w+=/;

/** The places of the words that are run as code. */
export function scriptsIn(command: readonly string[]): number[] {
  return command.flatMap((word, at) => {
    const name = word.replace(/^.*[/\\]|\.exe$/gi, "").toLowerCase();
    const interpreter = INTERPRETERS[name.replace(/[\d.]+$/, "")];
    if (interpreter) return codeOf(interpreter, command, at + 1);
    const joinsWords = JOINING_SHELLS.includes(name);
    return joinsWords || SHELLS.includes(name)
      ? scriptsOfShell(command, { start: at + 1, joinsWords })
      : [];
  });
}

function codeOf(
  { code, valueFollows, pairFollows, first = "file", isScattered }: Interpreter,
  command: readonly string[],
  start: number,
): number[] {
  const found: number[] = [];
  let next = start;
  for (; next < command.length; next++) {
    const word = command[next] ?? "";
    if (code?.test(word)) found.push(next, next + 1);
    if (word === "--" && !isScattered) {
      next++;
      break;
    }
    if (valueFollows?.test(word)) next++;
    else if (pairFollows?.test(word)) next += 2;
    else if (!isScattered && !OPTION_OR_VARIABLE.test(word)) break;
  }
  const isAfter = next < command.length && !isScattered;
  if (!isAfter || first === "file") return found;
  if (first === "all" || first === "host") {
    const rest = [...command.keys()].slice(first === "all" ? next : next + 1);
    return [...new Set([...found, ...rest])];
  }
  return found.length > 0 ? found : [next];
}

/** A shell takes its script after all of its options. */
function scriptsOfShell(
  command: readonly string[],
  { start, joinsWords }: { start: number; joinsWords: boolean },
): number[] {
  let hasScript = false;
  let next = start;
  for (let option; OPTION.test(option = command[next] ?? "");) {
    hasScript ||= SCRIPT_FOLLOWS.test(option);
    next += VALUE_FOLLOWS.test(option) ? 2 : 1;
  }
  if (!hasScript) return [];
  const places = [...command.keys()].slice(next);
  return joinsWords ? places : places.slice(0, 1);
}
