/**
 * The C library, for what Deno has no call.
 *
 * @module
 */

const LIBRARIES: Readonly<Record<string, readonly string[]>> = {
  linux: ["libc.so.6", `libc.musl-${Deno.build.arch}.so.1`],
  darwin: ["libSystem.dylib"],
};

/** Opens it; undefined where there is none, or none that may be used. */
export function openLibc<Symbols extends Deno.ForeignLibraryInterface>(
  symbols: Symbols,
): Deno.DynamicLibrary<Symbols> | undefined {
  for (const library of LIBRARIES[Deno.build.os] ?? []) {
    try {
      return Deno.dlopen(library, symbols);
    } catch {
      continue; // The other one of the system.
    }
  }
  return undefined;
}
