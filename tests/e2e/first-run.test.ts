// docs/deployment.md, "From nothing to the first bill": its blocks, as they stand there, from a clone on. Only the first one, which
// says what differs from machine to machine, is this machine's.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, inject, test } from "vitest";
import { PROJECT_DIRECTORY } from "../../stack/config.ts";
import { findFreePort } from "../../stack/ports.ts";
import { preparePostgres } from "../../stack/postgres.ts";
import { findPostgrest } from "../../stack/postgrest.ts";
import { redis } from "../setup/redis.ts";
import { billOf, minus } from "./support/billing.ts";

const NOT_OF_THE_REPOSITORY = new Set(["node_modules", ".neuropia", ".git", "secrets", "journal"]);
const PORTS = ["PG_PORT", "REDIS_PORT", "PGRST_PORT", "PORTKEY_PORT", "PROXY_PORT", "ADMIN_PORT", "JOBS_ADMIN_PORT"];
const MODEL = "a-model-out-7";

const page = readFileSync(path.join(PROJECT_DIRECTORY, "docs/deployment.md"), "utf8");
const section = /^## From nothing to the first bill\n(.*?)^## /ms.exec(page)?.[1] ?? "";
const [settings = "", ...commands] = [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, code = ""]) => code);

const directory = mkdtempSync(path.join(tmpdir(), "neuropia-first-"));
const run = path.join(directory, "neuropia-run");

afterAll(() => {
  // Only what a failed run has left: its last block stops everything.
  const files = existsSync(run) ? readdirSync(run).filter((name) => name.endsWith(".pid")) : [];
  const postmaster = path.join(run, "postgres/data/postmaster.pid");
  for (const file of [...files.map((name) => path.join(run, name)), ...(existsSync(postmaster) ? [postmaster] : [])]) {
    try {
      process.kill(Number(readFileSync(file, "utf8").split("\n")[0]), "SIGKILL");
    } catch {
      // It has ended.
    }
  }
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
});

/** A repository of the working tree as it is. */
function makeRepository(): string {
  const repository = path.join(directory, "repository");
  cpSync(PROJECT_DIRECTORY, repository, {
    recursive: true,
    filter: (file) => !NOT_OF_THE_REPOSITORY.has(path.relative(PROJECT_DIRECTORY, file)) && !file.endsWith(".log"),
  });
  const author = ["-c", "user.name=test", "-c", "user.email=test@test.example"];
  for (const args of [
    ["init", "--quiet"],
    ["add", "--all"],
    [...author, "commit", "--quiet", "--message=as it is"],
  ]) {
    const done = spawnSync("git", args, { cwd: repository, encoding: "utf8" });
    expect(done, args.join(" ")).toMatchObject({ status: 0 });
  }
  return repository;
}

/** A directory with initdb and pg_ctl. Root's are run as another user, and the files they get given to that user. */
async function postgresPrograms(): Promise<string> {
  const place = path.join(directory, "postgresql");
  mkdirSync(place);
  const password = "of a cluster nobody starts";
  const spec = await preparePostgres({
    ...{ dataDirectory: place, dataDirectoryGiven: true, port: 0, password },
    ...{ logFile: path.join(place, "log"), env: process.env },
  });
  const programs = path.dirname(spec.command);
  if (spec.uid === undefined) return programs;
  const wrappers = path.join(place, "bin");
  mkdirSync(wrappers);
  for (const name of ["initdb", "pg_ctl"]) {
    const script = `#!/bin/bash
for word; do
  case $word in
    --pgdata=*) chown -R ${spec.uid}:${spec.gid} "$(dirname "\${word#*=}")" ;;
    --pwfile=*) install -m 600 -o ${spec.uid} "\${word#*=}" "${place}/password"; word="--pwfile=${place}/password" ;;
  esac
  words+=("$word")
done
exec setpriv --reuid=${spec.uid} --regid=${spec.gid} --clear-groups "${programs}/${name}" "\${words[@]}"
`;
    writeFileSync(path.join(wrappers, name), script, { mode: 0o755 });
  }
  return wrappers;
}

async function settingsHere(): Promise<string> {
  const provider = new URL(inject("stack").provider_url);
  const values: Record<string, string | number> = {
    REPOSITORY: makeRepository(),
    POSTGRES_BIN: await postgresPrograms(),
    POSTGREST_BIN: findPostgrest(undefined),
    PROVIDER_URL: `${provider.origin}/openai/v1`,
    PROVIDER_HOST: provider.host,
    PROVIDER_MODEL: MODEL,
    PROVIDER_KEY: "sk-of-the-first-run",
  };
  for (const port of PORTS) values[port] = await findFreePort();
  const named = [...settings.matchAll(/\b([A-Z_]+)(?:=|$)/gm)].map(([, name]) => name);
  expect([...new Set(named)].sort()).toEqual(Object.keys(values).sort());
  return Object.entries(values)
    .map(([name, value]) => `${name}='${value}'`)
    .join("\n");
}

/** What npm needs, and nothing that says how these tests run. */
const environment = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) =>
      /^npm_config_(registry|cache|userconfig|globalconfig)$/i.test(name) ||
      !/^(npm_|NODE|VITEST|PG|.*_(URL|FILE|PORT|BIN)$)/i.test(name),
  ),
);

describe.runIf(redis === "own server")("docs/deployment.md", () => {
  test("leads from nothing to the first bill", { timeout: 240_000 }, async () => {
    chmodSync(directory, 0o755);
    const script = [await settingsHere(), ...commands].join("\n");
    const bash = spawn("bash", ["-euo", "pipefail", "-c", script], {
      cwd: directory,
      env: {
        ...environment,
        // The Node that the document asks for, and packages that were downloaded before.
        PATH: `${path.dirname(process.execPath)}${path.delimiter}${process.env.PATH}`,
        npm_config_prefer_offline: "true",
        npm_config_audit: "false",
        npm_config_fund: "false",
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [bash.stdout, bash.stderr]) {
      stream.on("data", (chunk: Buffer) => {
        output += chunk.toString();
      });
    }
    const [code] = await once(bash, "close");
    expect(code, output).toBe(0);

    const lines = output.split("\n");
    const printed = (name: string) =>
      JSON.parse(lines.findLast((line) => line.startsWith("{") && line.includes(`"${name}"`)) ?? "null");
    const [call, account] = [printed("input_tokens"), printed("balance")];
    expect(call).toMatchObject({ model: "first-model", output_tokens: 7, currency: "USD", status: "ok" });
    const { charge } = billOf(call, { input_rate: "0.05", output_rate: "0.20" }, "30");
    expect(call.charge).toBe(charge);
    expect(account).toEqual({ balance: minus("10", charge), status: "active" });

    expect(existsSync(path.join(run, "postgres/data/postmaster.pid"))).toBe(false);
    const secrets = ["postgres_password", "gateway_token", "master_key"].map((name) =>
      readFileSync(path.join(run, "secrets", name), "utf8"),
    );
    for (const secret of [...secrets, "sk-of-the-first-run"]) expect(output).not.toContain(secret);
  });
});
