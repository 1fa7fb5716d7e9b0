// Lints the migrations with squawk for what would break or block a version that is still running. Only their up parts: going
// down is no deployment. Where npm has no squawk for the platform, says so and passes.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

const ROOT = path.dirname(import.meta.dirname);
const SQUAWK = path.join(ROOT, `node_modules/@squawk-cli/${process.platform}-${process.arch}/bin/squawk`);
/** Migrations before this one are of the first release: no older version ran on them, and their tables were empty. */
const AFTER_FIRST_RELEASE = "20261123";

/** Not for us: dbmate runs a migration in one transaction; deployments set their own timeouts; counts stay small. */
const NEVER = [
  "prefer-robust-stmts",
  "require-concurrent-index-creation",
  "require-concurrent-index-deletion",
  "require-lock-timeout",
  "require-statement-timeout",
  "prefer-bigint-over-int",
];
const NOT_BEFORE_RELEASE = [
  "constraint-missing-not-valid",
  "disallowed-unique-constraint",
  "renaming-column",
  "changing-column-type",
];

const directory = mkdtempSync(path.join(tmpdir(), "neuropia-migrations-"));
try {
  if (existsSync(SQUAWK)) {
    const files = readdirSync(path.join(ROOT, "db/schema")).filter((name) => name.endsWith(".sql"));
    const [first, later] = [true, false].map((early) => files.filter((name) => name < AFTER_FIRST_RELEASE === early));
    lint(first ?? [], [...NEVER, ...NOT_BEFORE_RELEASE]);
    lint(later ?? [], NEVER);
  } else {
    console.log("migrations not linted: npm has no squawk for this platform");
  }
} finally {
  rmSync(directory, { recursive: true });
}

function lint(names: string[], excluded: string[]): void {
  if (names.length === 0) return;
  const files = names.map((name) => {
    const [up = ""] = readFileSync(path.join(ROOT, "db/schema", name), "utf8").split(/^-- migrate:down/m);
    const file = path.join(directory, name);
    writeFileSync(file, up);
    return file;
  });
  const args = ["--pg-version=18.0", `--exclude=${excluded.join(",")}`, ...files];
  if (spawnSync(SQUAWK, args, { stdio: "inherit" }).status !== 0) process.exitCode = 1;
}
