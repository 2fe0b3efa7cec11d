/**
 * A database in a real file, which other processes have too.
 *
 * @module
 */

import { assertEquals, assertRejects } from "@std/assert";
import { systemClock } from "../../../lib/base/clock.ts";
import { DatabaseBusyError, DatabaseError } from "../../../lib/base/errors.ts";
import {
  connectDuckDb,
  type Connection,
} from "../../../lib/store/duckdb/connection.ts";
import { Database } from "../../../lib/store/duckdb/database.ts";
import { Child, runChild } from "../../support/fixtures/child.ts";
import { until, within } from "../../support/until.ts";
import { overriding } from "./subject.ts";

/** A database in a file, and what this process does with that. */
class FileDatabase implements AsyncDisposable {
  readonly #folder = Deno.makeTempDirSync({ prefix: "database_file_test_" });
  readonly path = `${this.#folder}/tasks.duckdb`;
  /** What is done when the file is open, before all else. */
  onOpen = (): Promise<void> => Promise.resolve();
  #open = 0;
  readonly database = new Database(this.path, {
    clock: systemClock,
    connect: async (path) => {
      const connection = await connectDuckDb(path);
      this.#open++;
      return overriding(connection, {
        close: () => {
          connection.close();
          this.#open--;
        },
      });
    },
  }, {
    waitMs: 60_000,
    onOpen: async (connection) => {
      await this.onOpen();
      await connection.run("CREATE TABLE IF NOT EXISTS numbers (n INTEGER)");
    },
  });

  /** Waits until this process has let the file go. */
  free(): Promise<void> {
    return until("the file was let go", () => this.#open === 0);
  }

  /** Has another process keep the file until it is told to let go. */
  async hold(): Promise<Child> {
    await this.free();
    const child = new Child(["hold", this.path]);
    assertEquals(await child.hear(), "held");
    return child;
  }

  count(): Promise<number | null> {
    return this.database.transaction((connection) =>
      connection.json<number>("SELECT to_json(count(*)) FROM numbers")
    );
  }

  insert(): Promise<void> {
    return this.database.transaction(insert);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.database[Symbol.asyncDispose]();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

const INSERT = "INSERT INTO numbers VALUES (1)";

async function insert(connection: Connection): Promise<void> {
  await connection.run(INSERT);
}

async function letGo(child: Child): Promise<void> {
  await child.say("close");
  assertEquals(await child.hear(), '"closed"');
}

/** Hears of changes, and of what they are. */
class Listener {
  readonly heard: string[] = [];
  /** What goes on. */
  now = "nothing";
  readonly tell = (): void => void this.heard.push(this.now);

  told(): Promise<void> {
    return until("it was told", () => this.heard.length > 0);
  }
}

Deno.test("onChange() tells of another process's commit, not of ours", async () => {
  await using file = new FileDatabase();
  await file.insert();
  const listener = new Listener();
  using _ = file.database.onChange(listener.tell, { own: false });
  listener.now = "ours";
  for (let n = 0; n < 3; n++) {
    await file.insert();
    await file.free();
    assertEquals(await file.count(), n + 2);
    await file.free();
  }
  listener.now = "another's";
  await runChild(["sql", file.path, INSERT]);
  await listener.told();
  assertEquals(new Set(listener.heard), new Set(["another's"]));
});

Deno.test("onChange() tells of a commit that is in the log only", async () => {
  await using file = new FileDatabase();
  await file.insert();
  const listener = new Listener();
  using _ = file.database.onChange(listener.tell, { own: false });
  await using child = await file.hold();
  listener.now = "insert";
  await child.say(INSERT);
  assertEquals(await child.hear(), "done");
  await listener.told();
  assertEquals(listener.heard[0], "insert");
  await letGo(child);
});

Deno.test("onChange() tells of a commit that came before our next use", async () => {
  await using file = new FileDatabase();
  await file.insert();
  const listener = new Listener();
  using _ = file.database.onChange(listener.tell, { own: false });
  await using child = await file.hold();
  // A heartbeat, say: it waits for the child, and does not look for tasks.
  const heartbeat = file.database.transaction(() => Promise.resolve());
  await child.say(INSERT);
  assertEquals(await child.hear(), "done");
  await letGo(child);
  await heartbeat;
  await listener.told();
});

Deno.test("onChange() tells who begins to listen while another process writes", async () => {
  await using file = new FileDatabase();
  await file.insert();
  await using child = await file.hold();
  await child.say(INSERT);
  assertEquals(await child.hear(), "done");
  // What was committed before was not seen by anybody here.
  const listener = new Listener();
  using _ = file.database.onChange(listener.tell, { own: false });
  await listener.told();
  listener.heard.length = 0;
  await child.say(INSERT);
  assertEquals(await child.hear(), "done");
  await listener.told();
  await letGo(child);
  assertEquals(await file.count(), 3);
});

Deno.test("onChange() tells who listens before the first use", async () => {
  await using file = new FileDatabase();
  await runChild(["sql", file.path, "CREATE TABLE numbers (n INTEGER)"]);
  const listener = new Listener();
  using _ = file.database.onChange(listener.tell, { own: false });
  await runChild(["sql", file.path, INSERT]);
  await listener.told();
});

Deno.test("transaction() leaves nothing of one that fails in the middle", async () => {
  await using file = new FileDatabase();
  await file.insert();
  await assertRejects(
    () =>
      file.database.transaction(async (connection) => {
        await insert(connection);
        await connection.run("SELECT error('sabotage')");
      }),
    Error,
    "sabotage",
  );
  assertEquals(await file.count(), 1);
  await file.free();
  assertEquals(
    await runChild([
      "sql",
      file.path,
      "SELECT count(*)::INT AS n FROM numbers",
    ]),
    [{ n: 1 }],
  );
});

Deno.test("transaction() leaves the file to another process in turn", async () => {
  await using file = new FileDatabase();
  await file.insert();
  await using child = await file.hold();
  await assertRejects(
    () => file.database.transaction(insert, { waitMs: 0 }),
    DatabaseBusyError,
    `(PID ${child.pid}) holds it`,
  );
  const waiting = file.count();
  await child.say(INSERT);
  assertEquals(await child.hear(), "done");
  await letGo(child);
  assertEquals(await within("its turn", waiting), 2);
});

for (const when of ["in a transaction", "while the file is opened"]) {
  Deno.test(`transaction() says that another file was put in the file's place ${when}`, async () => {
    await using file = new FileDatabase();
    await file.insert();
    await runChild([
      "sql",
      `${file.path}.new`,
      "CREATE TABLE numbers (n INTEGER)",
    ]);
    const replace = () => Deno.rename(`${file.path}.new`, file.path);
    await file.free();
    if (when !== "in a transaction") file.onOpen = replace;
    await assertRejects(
      () =>
        file.database.transaction(async (connection) => {
          file.onOpen = () => Promise.resolve();
          await insert(connection);
          if (when === "in a transaction") await replace();
        }),
      DatabaseError,
      "another file was put in its place",
    );
    await file.insert();
    assertEquals(await file.count(), 1);
  });
}

Deno.test("transaction() folds the log into the file before it lets go", async () => {
  await using file = new FileDatabase();
  await file.insert();
  await file.free();
  await assertRejects(
    () => Deno.stat(`${file.path}.wal`),
    Deno.errors.NotFound,
  );
});

Deno.test("asyncDispose() does not wait for the process that holds the file", async () => {
  await using file = new FileDatabase();
  await file.insert();
  await using child = await file.hold();
  const waiting = assertRejects(() => file.insert(), DatabaseBusyError);
  await within("the end", file.database[Symbol.asyncDispose]());
  await waiting;
  await letGo(child);
});
