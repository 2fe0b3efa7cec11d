import { testStore } from "../../conformance/suite.ts";
import { openInFolder } from "../subject.ts";

testStore("exclusive file", () => openInFolder({ exclusive: true }));
