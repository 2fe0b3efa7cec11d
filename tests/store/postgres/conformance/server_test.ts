import { hasPostgres } from "../../../support/postgres_server.ts";
import { testStore } from "../../conformance/suite.ts";
import { openSubject } from "../subject.ts";

testStore("PostgreSQL", () => openSubject(), { ignore: !hasPostgres });
