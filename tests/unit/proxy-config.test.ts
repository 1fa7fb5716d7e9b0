import path from "node:path";
import { describe, expect, it } from "vitest";
import { signJwt } from "../../lib/secrets.ts";
import { readConfig } from "../../proxy/config.ts";

const NEEDED = {
  POSTGREST_URL: "http://127.0.0.1:3000",
  PORTKEY_URL: "http://127.0.0.1:8787",
  GATEWAY_TOKEN: signJwt({ role: "gateway" }, "a secret"),
};

describe("readConfig", () => {
  it("has a default for all that is not needed", () => {
    expect(readConfig({ ...NEEDED, PROXY_PORT: "" })).toEqual({
      POSTGREST_URL: NEEDED.POSTGREST_URL,
      PORTKEY_URLS: [NEEDED.PORTKEY_URL],
      PORTKEY_ALLOWED_HOSTS: "",
      GATEWAY_TOKEN: NEEDED.GATEWAY_TOKEN,
      PROXY_HOST: "0.0.0.0",
      PROXY_PORT: 3001,
      ADMIN_HOST: "127.0.0.1",
      ADMIN_PORT: 9001,
      BODY_LIMIT_BYTES: 33_554_432,
      REQUEST_TIMEOUT_MS: 600_000,
      SHUTDOWN_DELAY_MS: 0,
      SHUTDOWN_TIMEOUT_MS: 30_000,
      SETTLE_TIMEOUT_MS: 2_000,
      JOURNAL_DIRECTORY: path.resolve("journal"),
      JOURNAL_FSYNC: false,
      SETTLE: "database",
      LEASE_MAX_REQUESTS: 256,
      PROXY_WORKERS: 1,
      LOG_LEVEL: "info",
      TRUST_PROXY: false,
      OTEL_TRACES_SAMPLER_ARG: 1,
    });
  });

  it("reads several Portkeys, and a key in base64 or hex", () => {
    const { PORTKEY_URL: _, ...needed } = NEEDED;
    const key = Buffer.alloc(32, 7);
    for (const encoding of ["base64", "hex"] as const) {
      const config = readConfig({
        ...needed,
        PORTKEY_URLS: "http://one:1, http://two:2",
        REDIS_URL: "redis://127.0.0.1:6379",
        GRANT_ENCRYPTION_KEY: key.toString(encoding),
      });
      expect(config.PORTKEY_URLS).toEqual(["http://one:1", "http://two:2"]);
      expect(config.GRANT_ENCRYPTION_KEY).toEqual(key);
    }
  });

  it.each<[string, unknown]>([
    ["true", true],
    ["false", false],
    ["2", 2],
    ["10.0.0.0/8, 127.0.0.1", ["10.0.0.0/8", "127.0.0.1"]],
  ])("reads TRUST_PROXY=%s", (value, expected) => {
    expect(readConfig({ ...NEEDED, TRUST_PROXY: value }).TRUST_PROXY).toEqual(expected);
  });

  it.each([
    ["POSTGREST_URL", "127.0.0.1:3000", /POSTGREST_URL: expected an http\(s\) URL/],
    ["PORTKEY_URLS", "http://one:1,ftp://x", /PORTKEY_URLS.1: expected an http\(s\) URL/],
    ["DATABASE_LISTEN_URL", "http://x", /DATABASE_LISTEN_URL: expected postgres/],
    [
      "OTEL_EXPORTER_OTLP_ENDPOINT",
      "collector:4318",
      /OTEL_EXPORTER_OTLP_ENDPOINT: expected the http\(s\) URL of a collector/,
    ],
    ["OTEL_EXPORTER_OTLP_HEADERS", "authorization", /OTEL_EXPORTER_OTLP_HEADERS: expected name=value pairs/],
    ["OTEL_TRACES_SAMPLER_ARG", "2", /OTEL_TRACES_SAMPLER_ARG: expected a share from 0 to 1/],
    ["REDIS_URL", "127.0.0.1:6379", /REDIS_URL: expected redis:\/\/host:port/],
    ["REDIS_URL", "redis://127.0.0.1:6379", /GRANT_ENCRYPTION_KEY: expected 32 random bytes/],
    ["GRANT_ENCRYPTION_KEY", "short", /GRANT_ENCRYPTION_KEY: expected 32 random bytes in base64 or hex/],
    ["LEASE_MAX_REQUESTS", "0", /LEASE_MAX_REQUESTS: .*1/],
    ["SETTLE", "later", /SETTLE: .*"database"\|"journal"/],
    ["PROXY_PORT", "70000", /PROXY_PORT: .*65535/],
    ["PROXY_PORT", "x", /PROXY_PORT: .*number/],
    ["BODY_LIMIT_BYTES", "0", /BODY_LIMIT_BYTES: .*1/],
    ["JOURNAL_FSYNC", "yes", /JOURNAL_FSYNC: .*"0"\|"1"/],
    ["LOG_LEVEL", "loud", /LOG_LEVEL: .*"info"/],
  ])("names %s=%s and what it should be", (name, value, message) => {
    expect(() => readConfig({ ...NEEDED, [name]: value })).toThrow(message);
  });

  it("names everything that is missing at once", () => {
    expect(() => readConfig({})).toThrow(/POSTGREST_URL.*\n.*PORTKEY_URLS.*\n.*GATEWAY_TOKEN: expected a JWT/);
  });
});
