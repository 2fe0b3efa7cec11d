import {
  assert,
  assertEquals,
  assertMatch,
  assertNotMatch,
  assertRejects,
} from "@std/assert";
import { openDuckDbStore } from "../../../lib/store/duckdb/store.ts";
import { DatabaseBusyError, DatabaseError } from "../../../lib/base/errors.ts";
import {
  Child,
  type ChildError,
  runChild,
} from "../../support/fixtures/child.ts";

function testIn(
  behaviour: string,
  body: (folder: string) => Promise<void>,
  options: { ignore?: boolean } = {},
): void {
  Deno.test({
    name: `openDuckDbStore() ${behaviour}`,
    ...options,
    async fn() {
      const folder = await Deno.makeTempDir({ prefix: "open_errors_test_" });
      try {
        await body(folder);
      } finally {
        await Deno.chmod(folder, 0o700);
        await Deno.remove(folder, { recursive: true });
      }
    },
  });
}

/** The content of a folder's files, by name. */
async function contentOf(folder: string): Promise<Record<string, string>> {
  const content: Record<string, string> = {};
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (!isFile) continue;
    const bytes = await Deno.readFile(`${folder}/${name}`);
    const hash = await crypto.subtle.digest("SHA-256", bytes);
    content[name] = `${bytes.length} ${new Uint8Array(hash).toHex()}`;
  }
  return content;
}

/** Opening fails with this, and leaves every file of the folder as it is. */
async function assertRefuses(
  { folder, path, says }: { folder: string; path: string; says: RegExp },
): Promise<void> {
  const before = await contentOf(folder);
  const error = await assertRejects(
    () => openDuckDbStore(path, { waitMs: 0 }),
    DatabaseError,
  );
  assertSays(error, { path, says });
  assertEquals(await contentOf(folder), before);
}

function assertSays(
  { name, message, exitCode }: ChildError,
  { path, says }: { path: string; says: RegExp },
): void {
  assert(message.startsWith("Cannot "), message);
  assert(message.includes(path), message);
  assertMatch(message, says);
  // What DuckDB says is for its developers.
  assertNotMatch(message, / Error: /);
  assertMatch(message, /\. \S.*\.$/, "It does not say what to do.");
  assertEquals(exitCode, 3);
  assertMatch(name, /^Database(Busy)?Error$/);
}

/** A database with a table of other people. */
async function makeDatabase(path: string): Promise<void> {
  await runChild([
    "sql",
    path,
    "CREATE TABLE theirs AS SELECT range AS n FROM range(100000)",
    "CHECKPOINT",
  ]);
}

testIn("makes a file where there is none", async (folder) => {
  const path = `${folder}/new.duckdb`;
  {
    await using _store = await openDuckDbStore(path);
  }
  assertEquals(Object.keys(await contentOf(folder)), ["new.duckdb"]);
});

testIn("says that the folder is missing", async (folder) => {
  const path = `${folder}/missing/tasks.duckdb`;
  await assertRefuses({ folder, path, says: /folder does not exist/ });
});

testIn("says that a file is in the folder's place", async (folder) => {
  await Deno.writeTextFile(`${folder}/file`, "text");
  const path = `${folder}/file/tasks.duckdb`;
  await assertRefuses({ folder, path, says: /folder/ });
});

testIn("says that it is a folder", async (folder) => {
  const path = `${folder}/tasks.duckdb`;
  await Deno.mkdir(path);
  await assertRefuses({ folder, path, says: /it is a folder/ });
});

testIn("leaves a text file alone", async (folder) => {
  const path = `${folder}/notes.txt`;
  await Deno.writeTextFile(path, "Not a database.\n".repeat(1_000));
  await assertRefuses({ folder, path, says: /not a DuckDB database/ });
});

testIn("leaves a short text file alone", async (folder) => {
  const path = `${folder}/notes.txt`;
  await Deno.writeTextFile(path, "hi");
  await assertRefuses({ folder, path, says: /not a DuckDB database/ });
});

testIn("leaves an empty file alone", async (folder) => {
  const path = `${folder}/empty.duckdb`;
  await Deno.writeTextFile(path, "");
  await assertRefuses({ folder, path, says: /not a DuckDB database|empty/ });
});

testIn("leaves a SQLite file alone", async (folder) => {
  const path = `${folder}/tasks.sqlite`;
  const bytes = new Uint8Array(8_192);
  bytes.set(new TextEncoder().encode("SQLite format 3\0"));
  bytes.set([0x10, 0x00, 1, 1, 0, 64, 32, 32], 16);
  await Deno.writeFile(path, bytes);
  await assertRefuses({ folder, path, says: /not a DuckDB database/ });
});

for (const size of [5_000, 20_000]) {
  testIn(`leaves a database cut at ${size} bytes alone`, async (folder) => {
    const path = `${folder}/cut.duckdb`;
    await makeDatabase(path);
    await Deno.truncate(path, size);
    await assertRefuses({ folder, path, says: /damaged|incomplete/ });
  });
}

testIn("leaves a database with a damaged header alone", async (folder) => {
  const path = `${folder}/damaged.duckdb`;
  await makeDatabase(path);
  const bytes = await Deno.readFile(path);
  bytes.fill(0xAA, 4_096, 12_288);
  await Deno.writeFile(path, bytes);
  await assertRefuses({ folder, path, says: /damaged|incomplete/ });
});

testIn("leaves a database of a newer DuckDB alone", async (folder) => {
  const path = `${folder}/newer.duckdb`;
  await makeDatabase(path);
  const bytes = await Deno.readFile(path);
  const header = new DataView(bytes.buffer, 0, 4_096);
  assertEquals(header.getBigUint64(0, true), checksumOf(header));
  // After the checksum and "DUCK".
  header.setBigUint64(12, 999n, true);
  header.setBigUint64(0, checksumOf(header), true);
  await Deno.writeFile(path, bytes);
  await assertRefuses({ folder, path, says: /newer DuckDB/ });
});

/** The checksum of a block of a DuckDB file, which is its first word. */
function checksumOf(block: DataView): bigint {
  let sum = 5381n;
  for (let at = 8; at < block.byteLength; at += 8) {
    sum ^= block.getBigUint64(at, true) * 0xbf58476d1ce4e5b9n;
  }
  return BigInt.asUintN(64, sum);
}

for (
  const [what, bytes] of [
    ["text", new TextEncoder().encode("garbage ".repeat(1_000))],
    ["zeros", new Uint8Array(4_096)],
  ] as const
) {
  testIn(`leaves a database with a .wal of ${what} alone`, async (folder) => {
    const path = `${folder}/tasks.duckdb`;
    await makeDatabase(path);
    await Deno.writeFile(`${path}.wal`, bytes);
    await assertRefuses({ folder, path, says: /write-ahead log \(\.wal\)/ });
  });
}

/** Leaves a database with a .wal that holds rows, as a killed program does. */
async function makeDatabaseWithWal(path: string): Promise<void> {
  await using child = new Child(["hold", path]);
  assertEquals(await child.hear(), "held");
  for (
    const statement of [
      "CREATE TABLE theirs (n INTEGER)",
      "INSERT INTO theirs VALUES (42)",
      "INSERT INTO theirs SELECT range FROM range(5000)",
    ]
  ) {
    await child.say(statement);
    assertEquals(await child.hear(), "done");
  }
  Deno.kill(child.pid, "SIGKILL");
}

testIn("leaves a database with a damaged .wal alone", async (folder) => {
  const path = `${folder}/tasks.duckdb`;
  await makeDatabaseWithWal(path);
  const bytes = await Deno.readFile(`${path}.wal`);
  const middle = bytes.length >> 1;
  bytes[middle] = (bytes[middle] ?? 0) ^ 0xff;
  await Deno.writeFile(`${path}.wal`, bytes);
  await assertRefuses({ folder, path, says: /write-ahead log \(\.wal\)/ });
});

testIn("leaves a .wal of another database alone", async (folder) => {
  const path = `${folder}/tasks.duckdb`;
  await makeDatabase(path);
  const other = `${folder}/other.duckdb`;
  await makeDatabaseWithWal(other);
  await Deno.rename(`${other}.wal`, `${path}.wal`);
  await assertRefuses({ folder, path, says: /write-ahead log \(\.wal\)/ });
});

testIn("replays the .wal of a program that was killed", async (folder) => {
  const path = `${folder}/tasks.duckdb`;
  await makeDatabaseWithWal(path);
  assert((await Deno.stat(`${path}.wal`)).size > 0);
  {
    await using store = await openDuckDbStore(path);
    assertEquals((await store.admin.count()).counts, []);
  }
  const count = "SELECT count(*)::INT AS n FROM theirs";
  assertEquals(await runChild(["sql", path, count]), [{ n: 5_001 }]);
});

testIn("says who holds the file", async (folder) => {
  const path = `${folder}/tasks.duckdb`;
  await makeDatabase(path);
  const before = await contentOf(folder);
  {
    await using child = new Child(["hold", path]);
    assertEquals(await child.hear(), "held");
    const error = await assertRejects(
      () => openDuckDbStore(path, { waitMs: 0 }),
      DatabaseBusyError,
      `(PID ${child.pid})`,
    );
    assertSays(error, { path, says: /deno.* \(PID \d+\) holds it/ });
  }
  assertEquals(await contentOf(folder), before);
});

testIn("waits for the one who holds the file", async (folder) => {
  const path = `${folder}/tasks.duckdb`;
  await using child = new Child(["hold", path]);
  assertEquals(await child.hear(), "held");
  let isOpen = false;
  const opening = openDuckDbStore(path, { waitMs: 60_000 })
    .then((store) => {
      isOpen = true;
      return store;
    });
  await child.say("CREATE TABLE theirs (n INTEGER)");
  assertEquals(await child.hear(), "done");
  assertEquals(isOpen, false);
  await child.say("close");
  assertEquals(await child.hear(), '"closed"');
  await using store = await opening;
  assertEquals((await store.admin.count()).counts, []);
});

/** Root may read and write everything: these run as `nobody`. */
const NOBODY = "65534";
const asNobody = { ignore: !await isRoot() };

async function isRoot(): Promise<boolean> {
  // What is made here belongs to who runs this; `Deno.uid` needs --allow-sys.
  const file = await Deno.makeTempFile();
  const { uid } = await Deno.stat(file);
  await Deno.remove(file);
  return uid === 0;
}

/** Opening as another user fails with this, and changes nothing. */
async function assertRefusesNobody(
  { folder, path, says }: { folder: string; path: string; says: RegExp },
): Promise<void> {
  const before = await contentOf(folder);
  const error = await runChild<ChildError | null>(["open", path, NOBODY]);
  assert(error, "It was opened.");
  assertSays(error, { path, says });
  assertEquals(await contentOf(folder), before);
}

testIn("works as another user, where that may write", async (folder) => {
  const path = `${folder}/tasks.duckdb`;
  await Deno.chmod(folder, 0o777);
  assertEquals(await runChild(["open", path, NOBODY]), null);
}, asNobody);

testIn("says that a file can't be read", async (folder) => {
  const path = `${folder}/tasks.duckdb`;
  await makeDatabase(path);
  await Deno.chmod(folder, 0o777);
  await Deno.chmod(path, 0o600);
  await assertRefusesNobody({ folder, path, says: /no permission/ });
}, asNobody);

testIn("says that a file can't be written", async (folder) => {
  const path = `${folder}/tasks.duckdb`;
  await makeDatabase(path);
  await Deno.chmod(folder, 0o777);
  await Deno.chmod(path, 0o444);
  await assertRefusesNobody({ folder, path, says: /no permission/ });
}, asNobody);

testIn("says that a new file's folder can't be written", async (folder) => {
  const path = `${folder}/tasks.duckdb`;
  await Deno.chmod(folder, 0o755);
  await assertRefusesNobody({ folder, path, says: /no permission/ });
}, asNobody);

testIn(
  "says that the folder of a writable file can't be written",
  async (folder) => {
    const path = `${folder}/tasks.duckdb`;
    await makeDatabase(path);
    await Deno.chmod(path, 0o666);
    await Deno.chmod(folder, 0o755);
    await assertRefusesNobody({ folder, path, says: /no permission/ });
  },
  asNobody,
);

/** Starts a child whose `folder` is a file system of its own. */
function smallDisk(
  folder: string,
  options: string,
): readonly string[] {
  const script = 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"';
  return ["unshare", "-rm", "sh", "-c", script, "sh", options, folder];
}

async function canMount(): Promise<boolean> {
  const folder = await Deno.makeTempDir();
  const [name = "", ...args] = [...smallDisk(folder, "size=1m"), "true"];
  try {
    const { success } = await new Deno.Command(name, { args, stderr: "null" })
      .output();
    return success;
  } catch {
    return false; // No such program.
  } finally {
    await Deno.remove(folder);
  }
}

const onSmallDisk = { ignore: !await canMount() };

interface Filled {
  readonly created: number;
  readonly error: ChildError;
  readonly count: number | string;
}

testIn("says that the disk is full, and loses nothing", async (folder) => {
  const path = `${folder}/tasks.duckdb`;
  const { created, error, count } = await runChild<Filled>(["fill", path], {
    wrapper: smallDisk(folder, "size=3m"),
  });
  assertSays(error, { path, says: /the disk is full/ });
  assert(created > 5, `only ${created} tasks fitted`);
  assertEquals(count, created);
}, onSmallDisk);

testIn("says that the disk is too full for a new file", async (folder) => {
  const path = `${folder}/tasks.duckdb`;
  const error = await runChild<ChildError | null>(["open", path], {
    wrapper: smallDisk(folder, "size=4k"),
  });
  assert(error, "It was opened.");
  assertSays(error, { path, says: /the disk is full/ });
}, onSmallDisk);

testIn("says that the file system is read-only", async (folder) => {
  const path = `${folder}/tasks.duckdb`;
  const error = await runChild<ChildError | null>(["open", path], {
    wrapper: smallDisk(folder, "ro"),
  });
  assert(error, "It was opened.");
  assertSays(error, { path, says: /no permission/ });
}, onSmallDisk);

testIn("says that the file may not grow", async (folder) => {
  const path = `${folder}/tasks.duckdb`;
  const { created, error, count } = await runChild<Filled>(["fill", path], {
    wrapper: [
      "sh",
      "-c",
      'trap "" XFSZ && exec prlimit --fsize=2000000 "$@"',
      "sh",
    ],
  });
  assert(created > 5, `only ${created} tasks fitted`);
  assertEquals(count, created);
  assertSays(error, { path, says: /full|limit|too large/ });
}, onSmallDisk);
