import { assertEquals } from "@std/assert";
import {
  AllowedAddresses,
  hostOf,
  isAllowEntry,
  isPublic,
} from "../../../lib/processors/http/addresses.ts";

const PUBLIC = [
  "1.1.1.1",
  "8.8.8.8",
  "100.63.255.255",
  "100.128.0.0",
  "172.15.255.255",
  "172.32.0.0",
  "192.167.255.255",
  "223.255.255.255",
  "2606:4700:4700::1111",
  "2a00:1450:4001:80b::200e",
];

const NOT_PUBLIC = [
  "0.0.0.0",
  "10.0.0.1",
  "10.255.255.255",
  "100.64.0.1",
  "100.100.100.200",
  "127.0.0.1",
  "127.255.255.254",
  "168.63.129.16",
  "169.254.169.254",
  "172.16.0.1",
  "172.31.255.255",
  "192.0.0.192",
  "192.168.1.1",
  "198.18.0.1",
  "203.0.113.9",
  "224.0.0.1",
  "239.255.255.255",
  "240.0.0.1",
  "255.255.255.255",
  "::",
  "::1",
  "::127.0.0.1",
  "::ffff:127.0.0.1",
  "::ffff:a00:1",
  "64:ff9b::7f00:1",
  "100::1",
  "2001:0:1234::1",
  "2001:db8::1",
  "2002:7f00:1::1",
  "fc00::1",
  "fd00:ec2::254",
  "fe80::1",
  "fe80::1%eth0",
  "fec0::1",
  "ff02::1",
];

function addressOf(address: string) {
  return { address, family: address.includes(":") ? 6 : 4 } as const;
}

Deno.test("isPublic() knows the addresses of the internet", () => {
  assertEquals(PUBLIC.filter((it) => !isPublic(addressOf(it))), []);
});

Deno.test("isPublic() knows the addresses that are not", () => {
  assertEquals(NOT_PUBLIC.filter((it) => isPublic(addressOf(it))), []);
});

const DISGUISED = [
  "http://127.1/",
  "http://2130706433/",
  "http://0x7f.0.0.1/",
  "http://0177.0.0.1/",
  "http://127.0.0.1./",
  "http://①②⑦.0.0.1/",
  "http://[::ffff:127.0.0.1]/",
  "http://[0:0:0:0:0:ffff:7f00:1]/",
];

for (const url of DISGUISED) {
  Deno.test(`hostOf() brings ${url} into a form that isPublic() reads`, () => {
    assertEquals(isPublic(addressOf(hostOf(new URL(url)))), false);
  });
}

const ENTRIES: [entry: string, isRight: boolean][] = [
  ["10.0.0.0/8", true],
  ["10.0.0.0/0", true],
  ["10.0.0.0/33", false],
  ["10.0.0.0/", false],
  ["10.0.0.0/8/8", false],
  ["10.0.0.0/-1", false],
  ["10.0.0.0/8.5", false],
  ["fd00::/8", true],
  ["fd00::/129", false],
  ["::1", true],
  ["127.1", true],
  ["localhost", true],
  ["build-1.internal", true],
  ["bücher.example", true],
  ["localhost:8080", false],
  ["*.internal", false],
  ["http://localhost", false],
  ["user@localhost", false],
  ["", false],
  [" ", false],
];

for (const [entry, isRight] of ENTRIES) {
  Deno.test(`isAllowEntry() finds "${entry}" ${isRight ? "right" : "wrong"}`, () => {
    assertEquals(isAllowEntry(entry), isRight);
  });
}

const ALLOWED: [entry: string, host: string, address: string, is: boolean][] = [
  ["10.0.0.0/8", "a.test", "10.1.2.3", true],
  ["10.0.0.0/8", "a.test", "11.0.0.1", false],
  ["10.0.0.0/8", "a.test", "::ffff:10.1.2.3", true],
  ["127.0.0.1", "a.test", "127.0.0.1", true],
  ["127.0.0.1", "a.test", "127.0.0.2", false],
  ["::1", "a.test", "::1", true],
  ["fd00::/8", "a.test", "fd12::1", true],
  ["fd00::/8", "a.test", "fe80::1", false],
  ["a.test", "a.test", "192.168.0.1", true],
  ["A.Test", "a.test", "192.168.0.1", true],
  ["a.test", "b.a.test", "192.168.0.1", false],
  ["bücher.test", "xn--bcher-kva.test", "10.0.0.1", true],
  ["127.1", "127.0.0.1", "127.0.0.1", true],
];

for (const [entry, host, address, is] of ALLOWED) {
  Deno.test(`AllowedAddresses ${is ? "allows" : "refuses"} ${address} of ${host} where ${entry} is allowed`, () => {
    const allowed = new AllowedAddresses([entry]);
    assertEquals(allowed.allows(host, addressOf(address)), is);
  });
}

Deno.test("AllowedAddresses without entries allows nothing", () => {
  const allowed = new AllowedAddresses([]);
  assertEquals(
    NOT_PUBLIC.filter((it) => allowed.allows("localhost", addressOf(it))),
    [],
  );
});
