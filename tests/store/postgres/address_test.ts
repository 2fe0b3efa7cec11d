import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  isPostgresAddress,
  shownDatabase,
} from "../../../lib/base/database_address.ts";
import { DatabaseError } from "../../../lib/base/errors.ts";
import { parsePostgresAddress } from "../../../lib/store/postgres/address.ts";
import { openPostgresStore } from "../../../lib/store/postgres/store.ts";
import { hasPostgres, PostgresServer } from "../../support/postgres_server.ts";
import { createOne, taskOf } from "../conformance/subject.ts";

/** With these variables, and no other of libpq's. */
function withEnv<T>(env: Record<string, string>, work: () => T): T {
  const names = Object.keys(Deno.env.toObject())
    .filter((name) => name.startsWith("PG"));
  const before = [...names, ...Object.keys(env)]
    .map((name) => [name, Deno.env.get(name)] as const);
  for (const name of names) Deno.env.delete(name);
  for (const [name, value] of Object.entries(env)) Deno.env.set(name, value);
  try {
    return work();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
  }
}

Deno.test("parsePostgresAddress() reads all parts of an address", () => {
  const address = withEnv({}, () =>
    parsePostgresAddress(
      "postgresql://us%40er:p%3Aw@[::1]:6543/da%20ta?sslmode=disable&connect_timeout=3",
    ));
  assertEquals(address, {
    host: "::1",
    port: 6543,
    path: undefined,
    database: "da ta",
    user: "us@er",
    password: "p:w",
    schema: "agent_runner",
    tls: false,
    connectTimeout: 3,
    shown:
      "postgresql://us%40er@[::1]:6543/da%20ta?sslmode=disable&connect_timeout=3",
  });
});

Deno.test("parsePostgresAddress() takes what is left out from libpq's variables", () => {
  const env = {
    PGHOST: "/run/postgresql",
    PGPORT: "5433",
    PGUSER: "somebody",
    PGPASSWORD: "secret",
    PGDATABASE: "tasks",
  };
  const { host, path, port, user, password, database, tls } = withEnv(
    env,
    () => parsePostgresAddress("postgres://"),
  );
  assertEquals([host, port, user], ["/run/postgresql", 5433, "somebody"]);
  assertEquals([password, database, tls], ["secret", "tasks", false]);
  assertEquals(path, "/run/postgresql/.s.PGSQL.5433");
});

Deno.test("parsePostgresAddress() finds the password in a passfile that only its owner reads", () => {
  const path = Deno.makeTempFileSync();
  try {
    Deno.writeTextFileSync(
      path,
      "# a comment\nother:*:*:*:no\nhost:*:*:we\\:ird:a\\\\b:c\nhost:5432:data:*:right\n",
    );
    const read = (text: string) =>
      withEnv({ PGPASSFILE: path }, () => parsePostgresAddress(text).password);
    Deno.chmodSync(path, 0o600);
    assertEquals(read("postgres://me@host/data"), "right");
    assertEquals(read("postgres://we%3Aird@host/x"), "a\\b:c");
    assertEquals(read("postgres://me@host/other"), "");
    assertEquals(read("postgres://me:own@host/data"), "own");
    Deno.chmodSync(path, 0o604);
    const error = assertThrows(
      () => read("postgres://me@host/data"),
      DatabaseError,
    );
    assertStringIncludes(error.message, `chmod 600 ${path}`);
  } finally {
    Deno.removeSync(path);
  }
});

const WRONG = [
  "postgres://host:99999/x",
  "postgres://host/x?sslmode=yes",
  "postgres://host/x?sslmod=require",
  "postgres://host/x?sslmode=verify-full&sslrootcert=/nowhere.crt",
  "postgres://host/x?passfile=/nowhere",
  "postgres://host/x?connect_timeout=soon",
  "postgres://host/x?schema=pg_mine",
  "postgres://host/x?schema=Mine",
  "postgres://host/x?schema=information_schema",
];
for (const text of WRONG) {
  Deno.test(`parsePostgresAddress() refuses ${text}`, () => {
    // A password in the address needs no file.
    const secret = text.includes("passfile")
      ? text
      : text.replace("//host", "//me:s3cr3t@host");
    const error = assertThrows(
      () => withEnv({}, () => parsePostgresAddress(secret)),
      DatabaseError,
    );
    assert(!error.message.includes("s3cr3t"), error.message);
  });
}

/** Where no root certificate is in libpq's place. */
const NO_HOME = { HOME: "/nowhere" };

for (
  const [query, why] of [
    ["sslmode=verify-ca", "needs a root certificate: give sslrootcert=FILE"],
    ["sslmode=verify-full", "or sslrootcert=system with verify-full"],
    ["sslmode=verify-ca&sslrootcert=system", "verify-ca is too weak"],
    ["sslmode=require&sslrootcert=system", "require is too weak"],
    ["sslmode=prefer&sslrootcert=system", "prefer is too weak"],
    ["sslmode=disable&sslrootcert=system", "give sslmode=verify-full"],
  ] as const
) {
  Deno.test(`parsePostgresAddress() refuses ${query}, as libpq does`, () => {
    const error = assertThrows(
      () =>
        withEnv(NO_HOME, () => parsePostgresAddress(`postgres://h/d?${query}`)),
      DatabaseError,
    );
    assertStringIncludes(error.message, why);
  });
}

Deno.test("sslrootcert=system verifies the name, said or not; require needs no root", () => {
  const read = (query: string) =>
    withEnv(NO_HOME, () => parsePostgresAddress(`postgres://h/d?${query}`)).tls;
  const full = { rejectUnauthorized: true };
  assertEquals(read("sslmode=verify-full&sslrootcert=system"), full);
  assertEquals(read("sslrootcert=system"), full);
  assertEquals(read("sslmode=require"), { rejectUnauthorized: false });
  assertEquals(read(""), "prefer");
});

Deno.test("parsePostgresAddress() takes a user with an @, and blanks around it", () => {
  const address = withEnv(
    {},
    () => parsePostgresAddress(" postgres://runner@srv:s3cret@host/db\n"),
  );
  const { user, password, host, database, shown } = address;
  assertEquals([user, password], ["runner@srv", "s3cret"]);
  assertEquals([host, database], ["host", "db"]);
  assertEquals(shown, "postgres://runner%40srv@host/db");
});

for (
  const text of [
    "postgres://u:s3cr3t/x@h/d",
    "postgres://u:/s3cr3t@h/d",
    "postgres://u:1/s3cr3t@h/d",
    "postgres://u:1?s3cr3t@h/d",
    "postgres://u:1#s3cr3t@h/d",
    "'postgres://u:s3cr3t@h/d'",
    '"postgres://u:s3cr3t@h/d',
  ]
) {
  Deno.test(`parsePostgresAddress() refuses ${text} and says nothing of it`, () => {
    assert(isPostgresAddress(text));
    const error = assertThrows(
      () => withEnv({}, () => parsePostgresAddress(text)),
      DatabaseError,
    );
    assert(!error.message.includes("s3cr3t"), error.message);
    assertStringIncludes(error.message, "Cannot use postgres://…: ");
  });
}

Deno.test("shownDatabase() leaves out passwords, and nothing else", () => {
  const cases = [
    ["tasks.duckdb", "tasks.duckdb"],
    ["a:b@c/tasks.duckdb", "a:b@c/tasks.duckdb"],
    ["postgres://u:p@h/d", "postgres://u@h/d"],
    ["POSTGRES://u:p:q@h/d?x=1", "postgres://u@h/d?x=1"],
    ["postgres://u@h/d?a=b:c@d", "postgres://u@h/d?a=b:c@d"],
    [
      "postgres://h/d?password=x&user=u",
      "postgres://h/d?password=***&user=u",
    ],
    ["postgres://:p@h/d", "postgres://h/d"],
    ["postgres://u@s:p@h:5433/d", "postgres://u%40s@h:5433/d"],
    [
      "postgres://h/d?pass%77ord=x&sslmode=",
      "postgres://h/d?pass%77ord=***&sslmode=",
    ],
    [" postgres://u:p@h/d ", "postgres://u@h/d"],
    ["\tpostgres://u:p/q@h/d", "postgres://…"],
    ["postgres://u:p/q@h/d", "postgres://…"],
    ["postgres://u:1/q@h/d", "postgres://…"],
    ["postgres://u:1?q@h/d", "postgres://…"],
    ["postgres://u:1#q@h/d", "postgres://…"],
    ["'postgres://u:p@h/d'", "postgres://…"],
    ['"postgres://u:p@h/d', "postgres://…"],
  ] as const;
  for (const [text, shown] of cases) assertEquals(shownDatabase(text), shown);
  assert(isPostgresAddress("postgresql://x"));
  assert(isPostgresAddress("\n 'postgresql://x'"));
  assert(!isPostgresAddress("postgres.duckdb"));
});

function openssl(folder: string, ...args: string[]): void {
  const { success, stderr } = new Deno.Command("openssl", {
    args,
    cwd: folder,
  }).outputSync();
  assert(success, new TextDecoder().decode(stderr));
}

Deno.test({
  name:
    "sslmode is libpq's: verify-full takes a certificate of the right authority and name only",
  ignore: !hasPostgres,
  async fn() {
    const folder = Deno.makeTempDirSync();
    const subject = ["-nodes", "-days", "2", "-subj"];
    const newKey = [
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
    ];
    for (const name of ["ca", "other"]) {
      openssl(
        folder,
        "req",
        "-x509",
        ...newKey,
        ...subject,
        `/CN=${name}`,
        "-keyout",
        `${name}.key`,
        "-out",
        `${name}.crt`,
      );
    }
    for (const name of ["IP:127.0.0.1", "DNS:db.example.com"]) {
      const file = name.slice(0, 2);
      const files = ["-keyout", `${file}.key`, "-out", `${file}.csr`];
      openssl(folder, "req", ...newKey, ...subject, "/CN=db", ...files);
      Deno.writeTextFileSync(`${folder}/ext`, `subjectAltName=${name}`);
      const ca = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"];
      const own = ["-in", `${file}.csr`, "-out", `${file}.crt`];
      openssl(folder, "x509", "-req", ...own, ...ca, "-extfile", "ext");
    }
    using server = PostgresServer.start({ auth: "scram-sha-256" });
    const use = (name: string) => {
      for (const end of ["key", "crt"]) {
        const text = Deno.readTextFileSync(`${folder}/${name}.${end}`);
        server.write(`db.${end}`, [text.trim()]);
      }
      server.control("restart");
    };
    server.write("pg_hba.conf", [
      "local all all trust",
      "hostssl all all 127.0.0.1/32 scram-sha-256",
    ]);
    server.set([
      "ssl = on",
      "ssl_cert_file = 'db.crt'",
      "ssl_key_file = 'db.key'",
    ]);
    use("IP");
    server.ask("ALTER USER postgres PASSWORD 'right'");
    const open = async (mode: string, password = "right") => {
      const user = `postgres:${password}@127.0.0.1:${server.port}`;
      const address = `postgres://${user}/postgres?sslmode=${mode}`;
      await using store = await openPostgresStore(address, { waitMs: 0 });
      const id = await createOne(store);
      assertEquals((await taskOf(store, id)).id, id);
    };
    const refuses = async (mode: string) => {
      const error = await assertRejects(() => open(mode), DatabaseError);
      return error.message;
    };
    const full = `verify-full&sslrootcert=${folder}/ca.crt`;
    const ca = `verify-ca&sslrootcert=${folder}/ca.crt`;
    const other = `verify-ca&sslrootcert=${folder}/other.crt`;
    for (const mode of ["prefer", "require", ca, full]) await open(mode);
    assertStringIncludes(await refuses("disable"), "lets this user not in");
    assertStringIncludes(await refuses(other), "no safe connection");
    const error = await assertRejects(
      () => open("require", "wrong"),
      DatabaseError,
    );
    assertStringIncludes(error.message, "lets this user not in");
    use("DN");
    for (const mode of ["require", ca]) await open(mode);
    assertStringIncludes(await refuses(full), "no safe connection");
    Deno.removeSync(folder, { recursive: true });
  },
});
