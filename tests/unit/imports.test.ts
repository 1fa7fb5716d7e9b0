// What a process loads before anybody has asked for it.
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";

const PROJECT = path.resolve(import.meta.dirname, "../..");

/** The modules that running a file of ours loads, packages by their names. What is imported dynamically is not among them. */
function loaded(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  const text = readFileSync(file, "utf8");
  for (const [, clause = "", from = ""] of text.matchAll(/^(?:import|export) ([^;]*?)from "([^"]+)";/gm)) {
    if (clause.startsWith("type ")) continue;
    if (from.startsWith(".")) loaded(path.resolve(path.dirname(file), from), seen);
    else seen.add(from);
  }
  return seen;
}

it.each(["proxy/main.ts", "jobs/main.ts"])("%s loads OpenTelemetry only when it is wanted", (main) => {
  const modules = [...loaded(path.join(PROJECT, main))];
  expect(modules.length).toBeGreaterThan(20);
  expect(modules).toContain("prom-client");
  expect(modules.filter((name) => name.startsWith("@opentelemetry/"))).toEqual([]);
  const tracing = path.join(PROJECT, path.dirname(main), "tracing.ts");
  expect([...loaded(tracing)]).toContain("@opentelemetry/sdk-trace");
});
