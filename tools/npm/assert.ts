/**
 * `@std/assert` from npm, which comes without types. These are the ones that
 * tests rely on to narrow a value, so that they type-check in both worlds.
 */
import * as untyped from "deno-std/assert/mod.js";

// deno-lint-ignore no-explicit-any
type ErrorClass<E> = abstract new (...args: any[]) => E;
// deno-lint-ignore no-explicit-any
type AnyClass = abstract new (...args: any[]) => any;
type Falsy = false | 0 | 0n | "" | null | undefined;
type Compare = <T>(actual: T, expected: T, msg?: string) => void;
type Match = (actual: string, expected: RegExp, msg?: string) => void;
type Never = (msg?: string) => never;

export const AssertionError: new (
  message: string,
  options?: ErrorOptions,
) => Error = untyped.AssertionError;
export const assert: (expr: unknown, msg?: string) => asserts expr =
  untyped.assert;
export const assertAlmostEquals: (
  actual: number,
  expected: number,
  tolerance?: number,
  msg?: string,
) => void = untyped.assertAlmostEquals;
export const assertArrayIncludes: <T>(
  actual: ArrayLike<T> & object,
  expected: ArrayLike<T> & object,
  msg?: string,
) => void = untyped.assertArrayIncludes;
export const assertEquals: Compare = untyped.assertEquals;
export const assertExists: <T>(
  actual: T,
  msg?: string,
) => asserts actual is NonNullable<T> = untyped.assertExists;
export const assertFalse: (
  expr: unknown,
  msg?: string,
) => asserts expr is Falsy = untyped.assertFalse;
export const assertGreater: Compare = untyped.assertGreater;
export const assertGreaterOrEqual: Compare = untyped.assertGreaterOrEqual;
export const assertInstanceOf: <T extends AnyClass>(
  actual: unknown,
  expectedType: T,
  msg?: string,
) => asserts actual is InstanceType<T> = untyped.assertInstanceOf;
export const assertIsError: <E extends Error = Error>(
  error: unknown,
  errorClass?: ErrorClass<E>,
  msgMatches?: string | RegExp,
  msg?: string,
) => asserts error is E = untyped.assertIsError;
export const assertLess: Compare = untyped.assertLess;
export const assertLessOrEqual: Compare = untyped.assertLessOrEqual;
export const assertMatch: Match = untyped.assertMatch;
export const assertNotEquals: Compare = untyped.assertNotEquals;
export const assertNotMatch: Match = untyped.assertNotMatch;
export const assertNotStrictEquals: Compare = untyped.assertNotStrictEquals;
export const assertObjectMatch: (
  // deno-lint-ignore no-explicit-any
  actual: Record<PropertyKey, any>,
  expected: Record<PropertyKey, unknown>,
  msg?: string,
) => void = untyped.assertObjectMatch;
export const assertRejects: {
  (fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
  <E extends Error = Error>(
    fn: () => PromiseLike<unknown>,
    errorClass: ErrorClass<E>,
    msgIncludes?: string,
    msg?: string,
  ): Promise<E>;
} = untyped.assertRejects;
export const assertStrictEquals: <T>(
  actual: unknown,
  expected: T,
  msg?: string,
) => asserts actual is T = untyped.assertStrictEquals;
export const assertStringIncludes: (
  actual: string,
  expected: string,
  msg?: string,
) => void = untyped.assertStringIncludes;
export const assertThrows: {
  (fn: () => unknown, msg?: string): unknown;
  <E extends Error = Error>(
    fn: () => unknown,
    errorClass: ErrorClass<E>,
    msgIncludes?: string,
    msg?: string,
  ): E;
} = untyped.assertThrows;
export const fail: Never = untyped.fail;
export const unreachable: Never = untyped.unreachable;
