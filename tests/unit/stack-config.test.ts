import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { hostsOf, parseAllowedHosts } from "../../lib/allowed-hosts.ts";
import { DEFAULT_DATA_DIRECTORY, DEFAULT_PORTS, readConfig } from "../../stack/config.ts";
import { lastMessage } from "../../stack/errors.ts";
import { findPostgrest } from "../../stack/postgrest.ts";
import { loadSecrets, signJwt } from "../../stack/secrets.ts";
import { readTap } from "../setup/tap.ts";

describe("configuration", () => {
  test("without variables: the documented defaults, in demo mode", () => {
    expect(readConfig({})).toMatchObject({
      dataDirectory: DEFAULT_DATA_DIRECTORY,
      dataDirectoryGiven: false,
      databaseUrl: undefined,
      ports: DEFAULT_PORTS,
      providerKeys: {},
    });
  });

  test("ports, directory and provider keys come from the environment; empty ones count as unset", () => {
    const config = readConfig({
      PROXY_PORT: "0",
      NEUROPIA_DATA: "/data",
      OPENAI_API_KEY: "sk-1",
      DASHSCOPE_API_KEY: "",
    });
    expect(config.ports).toEqual({ ...DEFAULT_PORTS, PROXY_PORT: 0 });
    expect(config).toMatchObject({
      dataDirectory: "/data",
      dataDirectoryGiven: true,
      providerKeys: { openai: "sk-1" },
    });
  });

  test("services inherit neither provider keys nor what changes how Node, PostgREST or libpq work", () => {
    const secret = { OPENAI_API_KEY: "sk", DATABASE_URL: "postgres://u:p@h/d", PGPASSWORD: "p", PGRST_DB_URI: "x" };
    const { inheritedEnv } = readConfig({ ...secret, NODE_OPTIONS: "--inspect", PATH: "/bin", BODY_LIMIT_BYTES: "5" });
    expect(inheritedEnv).toEqual({ PATH: "/bin", BODY_LIMIT_BYTES: "5" });
  });

  test("a wrong value ends the process with a line that names the variable but not its value", () => {
    const exit = vi.spyOn(process, "exit").mockImplementation(() => {
      throw new Error("exit");
    });
    const error = vi.spyOn(console, "error").mockImplementation(() => undefined);
    expect(() => readConfig({ PG_PORT: "70000", DATABASE_URL: "secret" })).toThrow("exit");
    expect(error.mock.calls.flat()).toEqual([
      "DATABASE_URL: expected postgres://user:password@host:port/database",
      "PG_PORT: expected a port number, 0 to 65535 (0 = any free one)",
    ]);
    vi.restoreAllMocks();
    expect(exit).toBeDefined();
  });
});

describe("allowed hosts", () => {
  test("a host alone stands for the web's ports, with a port for that one, with * for all", () => {
    const isAllowed = parseAllowedHosts("API.example.com, 127.0.0.1:8080 ,local:*,");
    expect([443, 80, 8080].map((port) => isAllowed("api.Example.com", port))).toEqual([true, true, false]);
    expect([8080, 80].map((port) => isAllowed("127.0.0.1", port))).toEqual([true, false]);
    expect(isAllowed("local", 1)).toBe(true);
    expect(isAllowed("sub.api.example.com", 443)).toBe(false);
  });

  test("nothing is allowed by an empty list; other forms are refused", () => {
    expect(parseAllowedHosts("")("localhost", 80)).toBe(false);
    for (const list of ["http://a", "a:b", "*", "a/b", "[::1]:80"])
      expect(() => parseAllowedHosts(list)).toThrow(/expected/);
  });

  test("the hosts of base URLs", () => {
    expect(hostsOf(["https://a.example/v1", "https://a.example/v2", "http://127.0.0.1:8790/x"])).toBe(
      "a.example:443,127.0.0.1:8790",
    );
  });
});

describe("secrets", () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(path.join(tmpdir(), "neuropia-unit-"));
  });

  afterEach(() => {
    rmSync(directory, { recursive: true, force: true });
  });

  test("are made once, differ, and are the owner's only", () => {
    const secrets = loadSecrets(directory);
    expect(new Set(Object.values(secrets)).size).toBe(Object.keys(secrets).length);
    expect(loadSecrets(directory)).toEqual(secrets);
    expect(statSync(path.join(directory, "secrets.json")).mode & 0o777).toBe(0o600);
  });

  test("a damaged file is an error, not a reason for new secrets", () => {
    for (const content of ['{"jwt_secret": "short"}', "not json"]) {
      writeFileSync(path.join(directory, "secrets.json"), content);
      expect(() => loadSecrets(directory)).toThrow(/secrets.json is damaged/);
    }
  });

  test("a JWT is signed over header and claims", () => {
    const [header, claims, signature] = signJwt({ role: "gateway" }, "secret").split(".");
    const decode = (part = ""): unknown => JSON.parse(Buffer.from(part, "base64url").toString());
    expect([decode(header), decode(claims)]).toEqual([{ alg: "HS256", typ: "JWT" }, { role: "gateway" }]);
    expect(signature).toBe(createHmac("sha256", "secret").update(`${header}.${claims}`).digest("base64url"));
  });
});

test("PostgREST: a wrong POSTGREST_BIN says so, without one the package's is used", () => {
  expect(() => findPostgrest("/no/such/file")).toThrow("POSTGREST_BIN is /no/such/file, which is no program");
  expect(findPostgrest(undefined)).toMatch(/postgrest$/);
});

test("the line that matters in a crash", () => {
  const crash =
    "node:internal:1\n  throw err;\n\nError: Cannot find module 'x'\n    at y {\n  code: 1\n}\n\nNode.js v24.21.0\n";
  expect(lastMessage(crash)).toBe("Error: Cannot find module 'x'");
  expect(lastMessage("first\nPROXY_PORT: expected a port\n")).toBe("PROXY_PORT: expected a port");
  expect(lastMessage("")).toBeUndefined();
});

describe("TAP", () => {
  test("a plan that is met", () => {
    expect(readTap(["1..2", "ok 1 - a", "ok 2 - b"])).toEqual({ planned: 2, passed: 2, problems: [] });
  });

  test("failures with their diagnostics; other comments are no problem", () => {
    const lines = [
      "1..2",
      "# note",
      "not ok 1 - a\n# Failed test 1\n#   have: 1",
      "ok 2",
      "# Looks like you failed 1 test of 2",
    ];
    expect(readTap(lines).problems).toEqual(["not ok 1 - a", "  # Failed test 1", "  #   have: 1"]);
  });

  test("no plan, a wrong plan, nothing run, skipped and todo tests", () => {
    expect(readTap(["ok 1"]).problems).toEqual(["there is no plan"]);
    expect(readTap(["1..3", "ok 1"]).problems).toEqual(["planned 3 tests, ran 1"]);
    expect(readTap(["1..0"]).problems).toEqual(["no test ran"]);
    expect(readTap(["1..1", "ok 1 - # SKIP later"]).problems).toEqual(["ok 1 - # SKIP later"]);
    expect(readTap(["1..1", "not ok 1 # TODO later"]).problems).toEqual(["not ok 1 # TODO later"]);
  });
});
