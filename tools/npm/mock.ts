/** Stands in for what is used of `@std/testing/mock` where there is only npm. */
import { AssertionError } from "./assert.ts";

// deno-lint-ignore no-explicit-any
type Any = any;

export interface SpyCall<
  Self = Any,
  Args extends unknown[] = Any[],
  Return = Any,
> {
  args: Args;
  returned?: Return;
  error?: Error;
  self?: Self;
}

export interface Spy<Self = Any, Args extends unknown[] = Any[], Return = Any> {
  (this: Self, ...args: Args): Return;
  original: (this: Self, ...args: Args) => Return;
  calls: SpyCall<Self, Args, Return>[];
  restored: boolean;
  restore(): void;
}

export interface MethodSpy<
  Self = Any,
  Args extends unknown[] = Any[],
  Return = Any,
> extends Spy<Self, Args, Return>, Disposable {}

export interface Stub<Self = Any, Args extends unknown[] = Any[], Return = Any>
  extends MethodSpy<Self, Args, Return> {
  fake: (this: Self, ...args: Args) => Return;
}

type ArgsOf<Self, Prop extends keyof Self> = Self[Prop] extends
  (...args: infer Args) => unknown ? Args : unknown[];
type ReturnOf<Self, Prop extends keyof Self> = Self[Prop] extends
  (...args: Any[]) => infer Return ? Return : unknown;

export class MockError extends Error {
  override name = "MockError";
}

function record(original: Any, run: Any, restore: () => void): Stub {
  const recorded: Any = function (this: Any, ...args: Any[]) {
    const call: SpyCall = { args };
    if (this) call.self = this;
    recorded.calls.push(call);
    try {
      return call.returned = run.apply(this, args);
    } catch (error) {
      call.error = error as Error;
      throw error;
    }
  };
  recorded.calls = [] as SpyCall[];
  recorded.original = original;
  recorded.fake = run;
  recorded.restored = false;
  recorded.restore = () => {
    if (recorded.restored) {
      throw new MockError("Cannot restore: it is restored already");
    }
    restore();
    recorded.restored = true;
  };
  recorded[Symbol.dispose] = () => {
    if (!recorded.restored) recorded.restore();
  };
  return recorded;
}

function replace(self: Any, property: PropertyKey, fake?: Any): Stub {
  const own = Object.getOwnPropertyDescriptor(self, property);
  const original = self[property];
  if (typeof original !== "function") {
    throw new MockError("Cannot replace: property is not an instance method");
  }
  const recorded = record(original, fake ?? original, () => {
    if (own) Object.defineProperty(self, property, own);
    else delete self[property];
  });
  Object.defineProperty(self, property, {
    configurable: true,
    enumerable: own?.enumerable ?? false,
    writable: true,
    value: recorded,
  });
  return recorded;
}

export function spy<
  Self = Any,
  Args extends unknown[] = Any[],
  Return = undefined,
>(): Spy<Self, Args, Return>;
export function spy<Self, Args extends unknown[], Return>(
  func: (this: Self, ...args: Args) => Return,
): Spy<Self, Args, Return>;
export function spy<Self, Prop extends keyof Self>(
  self: Self,
  property: Prop,
): MethodSpy<Self, ArgsOf<Self, Prop>, ReturnOf<Self, Prop>>;
export function spy(target?: Any, property?: PropertyKey): Any {
  target ??= () => {};
  if (property !== undefined) return replace(target, property);
  return record(target, target, () => {
    throw new MockError("Cannot restore: a function is not a method");
  });
}

export function stub<Self, Prop extends keyof Self>(
  self: Self,
  property: Prop,
  func?: (this: Self, ...args: ArgsOf<Self, Prop>) => ReturnOf<Self, Prop>,
): Stub<Self, ArgsOf<Self, Prop>, ReturnOf<Self, Prop>> {
  return replace(self, property, func ?? (() => {})) as Any;
}

export function assertSpyCalls<Self, Args extends unknown[], Return>(
  spy: Spy<Self, Args, Return>,
  expectedCalls: number,
): void {
  const { length } = spy.calls;
  if (length === expectedCalls) return;
  const last = spy.calls.at(-1)?.error;
  throw new AssertionError(
    `Expected ${expectedCalls} calls, not ${length}` +
      (last ? `; the last threw ${last.stack}` : ""),
  );
}
