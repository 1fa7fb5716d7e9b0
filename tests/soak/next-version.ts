// Deploying another version: what is here, and later ones with additive migrations and functions that have changed.
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { PROJECT_DIRECTORY } from "../../stack/config.ts";

/** Functions of the two calls, policies of what they write, and a trigger: each version has other ones. */
const CHANGED: Record<string, (text: string, number: number) => string> = {
  "functions/gateway/authorize_request.sql": withComment,
  "functions/gateway/record_usage.sql": withComment,
  "functions/gateway/return_permits.sql": withComment,
  "functions/accounts/notify_account_change.sql": (text, number) =>
    text.replace(/^create or replace trigger /gm, (start) => start + " ".repeat(number)),
  "rls/data/usage_log.sql": (text, number) => `${text}-- Of version ${number}.\n`,
  "rls/data/user_profile.sql": (text, number) => `${text}-- Of version ${number}.\n`,
};
const PARTS = ["db", "lib", "dbmate.toml", "package.json"];

/** Runs `npm run db:deploy` of version `number`, 0 being what is here, and returns how long it took, in milliseconds. */
export async function deployVersion(databaseUrl: string, number: number): Promise<number> {
  const directory = mkdtempSync(path.join(tmpdir(), "neuropia-version-"));
  try {
    for (const part of PARTS)
      cpSync(path.join(PROJECT_DIRECTORY, part), path.join(directory, part), { recursive: true });
    symlinkSync(path.join(PROJECT_DIRECTORY, "node_modules"), path.join(directory, "node_modules"));
    // What earlier ones added has been applied: it must be there again.
    for (let each = 1; each <= number; each += 1) {
      const migration = `-- migrate:up
alter table data.usage_log add column version_${each} text;
alter table data.user_profile add column version_${each} text;
create table data.version_${each} (id uuid primary key);
alter table data.version_${each} owner to app_owner;

-- migrate:down
drop table data.version_${each};
`;
      writeFileSync(path.join(directory, `db/schema/2099010100000${each}_version_${each}.sql`), migration);
    }
    for (const [name, change] of number === 0 ? [] : Object.entries(CHANGED)) {
      const file = path.join(directory, "db", name);
      const text = readFileSync(file, "utf8");
      const changed = change(text, number);
      if (changed === text) throw new Error(`${name} could not be changed`);
      writeFileSync(file, changed);
    }
    const startMs = performance.now();
    await promisify(execFile)(process.execPath, [path.join(directory, "db/deploy.ts")], {
      cwd: directory,
      env: { PATH: process.env.PATH, DATABASE_URL: databaseUrl },
    });
    return performance.now() - startMs;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function withComment(text: string, number: number): string {
  return text.replace(/^begin$/m, `begin\n  -- Of version ${number}.`);
}
