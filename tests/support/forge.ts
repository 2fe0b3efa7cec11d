/**
 * A stand-in for `gh` and `glab`: it checks what it is given, and keeps the pull
 * requests that it has opened in a folder.
 *
 * @module
 */

/** A pull request that was opened. */
export interface OpenedRequest {
  readonly head: string;
  readonly base: string;
  readonly title: string;
  readonly body: string;
}

const SCRIPT = `#!/bin/sh
state="$(dirname "$0")/state"
echo "$(basename "$0") $*" >> "$state/calls"
fail() { echo "$1" >&2; exit 1; }
[ "$GH_PROMPT_DISABLED" = 1 ] || fail "it may ask"
[ -z "$GIT_DIR" ] || fail "GIT_DIR is set"
if [ -e "$state/fails" ]; then cat "$state/fails" >&2; exit "$(cat "$state/code")"; fi
git rev-parse --git-dir > /dev/null || fail "not in a repository"
name="$1 $2"; shift 2
head= base= title= body= json=
while [ $# -gt 0 ]; do
  case "$1" in
    --head|--source-branch) head="$2"; shift 2;;
    --base|--target-branch) base="$2"; shift 2;;
    --title) title="$2"; shift 2;;
    --body-file) [ "$2" = - ] || fail "not from stdin"; body="$(cat)"; shift 2;;
    --description) body="$2"; shift 2;;
    --state) [ "$2" = all ] || fail "not all"; shift 2;;
    --json) [ "$2" = url,state,headRefOid,isCrossRepository ] || fail "fields $2"; json=url; shift 2;;
    --output) [ "$2" = json ] || fail "not json"; json=web_url; shift 2;;
    --all|--yes) shift;;
    *) fail "unknown flag $1";;
  esac
done
[ -n "$head" ] || fail "no head"
kept="$state/$(echo "$head" | tr / -)"
address=https://forge.example/octo/app/pull/1
case "$name" in
  "pr list"|"mr list")
    [ -n "$json" ] || fail "not as JSON"
    if [ -e "$state/listed" ]; then cat "$state/listed"
    elif [ -e "$kept" ]; then echo "[{\\"number\\":1,\\"$json\\":\\"$address\\"}]"
    else echo "[]"; fi;;
  "pr create"|"mr create")
    [ -n "$base" ] && [ -n "$title" ] || fail "no base or title"
    git ls-remote --exit-code origin "refs/heads/$head" > /dev/null ||
      fail "the branch was not pushed"
    [ ! -e "$kept" ] || fail "a pull request for branch $head already exists"
    mkdir "$kept"
    printf %s "$head" > "$kept/head"; printf %s "$base" > "$kept/base"
    printf %s "$title" > "$kept/title"; printf %s "$body" > "$kept/body"
    echo "Creating pull request" >&2
    # Who calls it may be killed before it reads that.
    [ ! -e "$state/killed" ] || exit 1
    echo "$address";;
  *) fail "unknown command $name";;
esac
`;

/** See above. Dispose of it to remove it. */
export class StandInForge implements Disposable {
  /** What it says is the address of each. */
  static readonly address = "https://forge.example/octo/app/pull/1";
  /** The folder of the programs. */
  readonly bin = Deno.makeTempDirSync({ prefix: "agent-runner-forge-" });
  readonly #state = `${this.bin}/state`;

  constructor() {
    Deno.mkdirSync(this.#state);
    for (const name of ["gh", "glab"]) {
      Deno.writeTextFileSync(`${this.bin}/${name}`, SCRIPT, { mode: 0o755 });
    }
  }

  /** A PATH with the programs before all others. */
  get path(): string {
    return `${this.bin}:${Deno.env.get("PATH")}`;
  }

  /** From now on it says this, and fails. */
  fails(text: string, code = 1): void {
    Deno.writeTextFileSync(`${this.#state}/fails`, text);
    Deno.writeTextFileSync(`${this.#state}/code`, String(code));
  }

  works(): void {
    Deno.removeSync(`${this.#state}/fails`);
  }

  /** From now on it says that there are these. */
  lists(requests: readonly object[]): void {
    Deno.writeTextFileSync(`${this.#state}/listed`, JSON.stringify(requests));
  }

  /** From now on it opens a pull request, and ends before it says so. */
  dies(): void {
    Deno.writeTextFileSync(`${this.#state}/killed`, "");
  }

  /** What it was called with. */
  get calls(): string[] {
    return this.#read("calls").trim().split("\n");
  }

  /** The pull requests that were opened. */
  get opened(): OpenedRequest[] {
    return [...Deno.readDirSync(this.#state)].filter((it) => it.isDirectory)
      .map(({ name }) => ({
        head: this.#read(`${name}/head`),
        base: this.#read(`${name}/base`),
        title: this.#read(`${name}/title`),
        body: this.#read(`${name}/body`),
      }));
  }

  #read(name: string): string {
    return Deno.readTextFileSync(`${this.#state}/${name}`);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.bin, { recursive: true });
  }
}
