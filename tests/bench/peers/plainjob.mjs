// Drains no-op jobs with plainjob, and prints how long that took. Copied to
// the folder where plainjob is installed; the project does not depend on it.
// Arguments: the database, how many jobs, SQLite's `synchronous`.

const [path, count, synchronous] = process.argv.slice(2);
// Names in variables, so that no tool looks for them in the project.
const [peer, sqlite] = ["plainjob", "better-sqlite3"];
const { better, defineQueue, defineWorker } = await import(peer);
const { default: Database } = await import(sqlite);

const silent = { error() {}, warn() {}, info() {}, debug() {} };
const connection = better(new Database(path));
const queue = defineQueue({ connection, logger: silent });
// After defineQueue, which sets NORMAL: a commit that is not synced.
connection.pragma(`synchronous = ${synchronous}`);
queue.addMany(
  "no-op",
  Array.from({ length: Number(count) }, (_, i) => ({ i })),
);

let left = Number(count);
const startedAt = performance.now();
const worker = defineWorker("no-op", async () => {}, {
  queue,
  logger: silent,
  onCompleted() {
    if (--left > 0) return;
    console.log(JSON.stringify({ ms: performance.now() - startedAt }));
    process.exit(0);
  },
});
await worker.start();
