import { assertEquals, assertMatch } from "@std/assert";
import { Secrets } from "../../../lib/processors/secrets.ts";

/** What a stream shows of a text in pieces. */
function streamed(secrets: Secrets, pieces: Iterable<string>): string {
  const stream = secrets.stream();
  let shown = "";
  for (const piece of pieces) shown += stream.push(piece);
  return shown + stream.end();
}

const MASKED: [secrets: string[], text: string, masked: string][] = [
  [[], "any text", "any text"],
  [["token"], "a token, and tokens", "a ***, and ***s"],
  [["token"], "toke", "toke"],
  [["token"], "totoken tok", "to*** tok"],
  [["abab"], "xababab!", "x***!"],
  // One that begins in another, and one that is the beginning of another.
  [["abcd", "cdxx"], "-abcdxx-", "-***-"],
  [["abcd", "abcdefgh"], "abcdefgh abcdef", "*** ***ef"],
  [['q"uo\\te'], '{"a":"q\\"uo\\\\te"}', '{"a":"***"}'],
  [["pässword"], "p\\u00e4ssword pässword", "*** ***"],
  [["line one\nline two\n"], "> line one\n> line two", "> ***\n> ***"],
  [["a.c*(d"], "abcdd a.c*(d", "abcdd ***"],
  [["a/b/c"], String.raw`{"a":"a\/b\/c"}`, '{"a":"***"}'],
  [["a b/c+d'é"], "?q=a%20b%2Fc%2Bd'%C3%A9&", "?q=***&"],
  [["a b/c+d'é"], "?q=a+b%2fc%2bd%27%c3%a9&", "?q=***&"],
  [["a b/c+d'é"], "/a%20b/c+d'%C3%A9/", "/***/"],
  [["sk-ab"], "%73%6B%2D%61%62 %73%6b%2d%61%62", "*** ***"],
  [['q"uo\\te'], JSON.stringify(JSON.stringify('q"uo\\te')), '"\\"***\\""'],
  [["it's"], String.raw`echo 'it'\''s'`, "echo '***'"],
  [["s3cret?>~"], `Bearer ${btoa("s3cret?>~")}.`, "Bearer ***."],
  [["s3cret?>~\n"], "czNjcmV0Pz5-", "***"],
];

for (const user of ["", "me:", "you:", "them:"]) {
  for (const secret of ["t0ps", "s3cret", "s3cret-", "s3cret?>~/é"]) {
    const bytes = new TextEncoder().encode(user + secret);
    const encoded = bytes.toBase64();
    const start = user === "" ? 0 : Math.floor((user.length) * 4 / 3);
    MASKED.push([
      [secret],
      `Authorization: Basic ${encoded}`,
      `Authorization: Basic ${encoded.slice(0, start)}***`,
    ]);
  }
}

for (const [values, text, expected] of MASKED) {
  Deno.test(`Secrets masks ${JSON.stringify(values)} in ${text}`, () => {
    const secrets = new Secrets(values);
    assertEquals(secrets.mask(text), expected);
    for (let at = 0; at <= text.length; at++) {
      const pieces = [text.slice(0, at), text.slice(at)];
      assertEquals(streamed(secrets, pieces), expected, `cut at ${at}`);
    }
    assertEquals(streamed(secrets, text), expected, "one by one");
  });
}

Deno.test("Secrets masks base64 in the midst of other text", () => {
  for (const before of ["", "a", "ab", "abc"]) {
    for (const after of ["", "\n", "yz", "xyz"]) {
      const encoded = btoa(`${before}a-s3cret-of-mine${after}`);
      const masked = new Secrets(["a-s3cret-of-mine"]).mask(encoded);
      assertMatch(masked, /^.{0,4}\*\*\*.{0,7}$/);
    }
  }
});

for (const [name, mark] of [["LF", "\n"], ["CRLF", "\r\n"]] as const) {
  Deno.test(`Secrets masks base64 that ${name} breaks into lines, whatever is before it`, () => {
    const secret = "0123456789abcdef".repeat(8);
    for (const user of ["", "me:", "you:", "them:", "a".repeat(70)]) {
      for (const width of [64, 76]) {
        const encoded = btoa(user + secret).match(
          new RegExp(`.{1,${width}}`, "g"),
        )?.join(mark) ?? "";
        const text = `key:${mark}${encoded}${mark}end`;
        const masked = new Secrets([secret]).mask(text);
        assertMatch(masked, /^key:\s+[\w\s]*\*\*\*\s+end$/);
        for (let at = 0; at <= text.length; at++) {
          const pieces = [text.slice(0, at), text.slice(at)];
          assertEquals(streamed(new Secrets([secret]), pieces), masked);
        }
      }
    }
  });
}

Deno.test("Secrets masks what colours break", () => {
  const secret = "a-s3cret-of-mine";
  const text = "key \x1b[31ma-s3\x1b[1;32mcret-of\x1b[0m-mine\x1b[0m, end";
  const masked = "key \x1b[31m***\x1b[0m, end";
  assertEquals(new Secrets([secret]).mask(text), masked);
  for (let at = 0; at <= text.length; at++) {
    const pieces = [text.slice(0, at), text.slice(at)];
    assertEquals(
      streamed(new Secrets([secret]), pieces),
      masked,
      `cut at ${at}`,
    );
  }
  // A short one would be found in what is none.
  assertEquals(new Secrets(["abcd"]).mask("ab\ncd"), "ab\ncd");
});

Deno.test("Secrets shows at once what can't be part of one", () => {
  const stream = new Secrets(["token"]).stream();
  assertEquals(stream.push("a line\n"), "a line\n");
  assertEquals(stream.push("that ends in to"), "that ends in ");
  assertEquals(stream.push("wn\n"), "town\n");
  assertEquals(stream.end(), "");
});

Deno.test("Secrets masks the texts of JSON, keys and numbers too", () => {
  assertEquals(
    new Secrets(["token", "7401"]).maskJson({
      "token a": ["x token", 1, 974010, 7401n, -0.7401, null, true],
    }),
    { "*** a": ["x ***", 1, "9***0", "***", "-0.***", null, true] },
  );
});
