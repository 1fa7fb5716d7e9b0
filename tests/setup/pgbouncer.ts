// PgBouncer for tests: from PGBOUNCER_BIN, PATH or where Debian puts it.
import { spawnSync } from "node:child_process";

/** The program; undefined when there is none. With REQUIRE_PGBOUNCER=1 there must be one. */
export const pgbouncer: string | undefined = [process.env.PGBOUNCER_BIN, "pgbouncer", "/usr/sbin/pgbouncer"].find(
  (program) => program && spawnSync(program, ["--version"]).status === 0,
);

if (pgbouncer === undefined && process.env.REQUIRE_PGBOUNCER === "1") {
  throw new Error("REQUIRE_PGBOUNCER=1, but there is no pgbouncer on PATH and no PGBOUNCER_BIN");
}

/** What did not run for want of it; undefined when all did. */
export const pgbouncerNotice =
  pgbouncer === undefined
    ? "The PgBouncer tests did not run: there is no pgbouncer on PATH and no PGBOUNCER_BIN."
    : undefined;
