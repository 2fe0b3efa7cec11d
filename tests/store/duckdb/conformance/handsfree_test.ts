import { testStore } from "../../conformance/suite.ts";
import { handsFreeTable, openInFolder } from "../subject.ts";

// With the type of its times that this store's own table has not.
const table = handsFreeTable("TIMESTAMP");
testStore(
  "HandsFree's table",
  () => openInFolder({ exclusive: true, table }),
  { parts: ["queue", "admin"] },
);
