"""Drains tasks as the HandsFree guide's runner does: three commits for each.

Arguments: the database, how many tasks. Prints how long that took.
"""

import json
import sys
import time

import duckdb

path, count = sys.argv[1], int(sys.argv[2])
connection = duckdb.connect(path)
started_at = time.perf_counter()
tasks = connection.execute(
    "SELECT id FROM agent_tasks WHERE status = 'created' "
    "ORDER BY created_at LIMIT ?",
    [count],
).fetchall()
for (task_id,) in tasks:
    for state, trace in (
        ("running", {"auto_started_by": "runner_loop"}),
        ("running", {"auto_started_by": "runner_loop", "progress": "Working"}),
        ("completed", {"completed_by": "runner_loop", "result": "success"}),
    ):
        connection.execute(
            "UPDATE agent_tasks SET status = ?, last_update = ?, "
            "updated_at = now() WHERE id = ?",
            [state, json.dumps(trace), task_id],
        )
milliseconds = (time.perf_counter() - started_at) * 1000
connection.close()
print(json.dumps({"ms": milliseconds, "tasks": len(tasks)}))
