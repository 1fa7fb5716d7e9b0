import { describe, expect, it } from "vitest";
import { readConfig } from "../../proxy/config.ts";

const NEEDED = { POSTGREST_URL: "http://127.0.0.1:3000", PORTKEY_URL: "http://127.0.0.1:8787", GATEWAY_TOKEN: "jwt" };

describe("readConfig", () => {
  it("has a default for all that is not needed", () => {
    expect(readConfig({ ...NEEDED, PROXY_PORT: "" })).toEqual({
      ...NEEDED,
      PROXY_HOST: "0.0.0.0",
      PROXY_PORT: 3001,
      ADMIN_HOST: "127.0.0.1",
      ADMIN_PORT: 9001,
      BODY_LIMIT_BYTES: 33_554_432,
      REQUEST_TIMEOUT_MS: 600_000,
      SHUTDOWN_TIMEOUT_MS: 30_000,
      LOG_LEVEL: "info",
      TRUST_PROXY: false,
    });
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
    ["PORTKEY_URL", "ftp://x", /PORTKEY_URL: expected an http\(s\) URL/],
    ["PROXY_PORT", "70000", /PROXY_PORT: .*65535/],
    ["PROXY_PORT", "x", /PROXY_PORT: .*number/],
    ["BODY_LIMIT_BYTES", "0", /BODY_LIMIT_BYTES: .*1/],
    ["LOG_LEVEL", "loud", /LOG_LEVEL: .*"info"/],
  ])("names %s=%s and what it should be", (name, value, message) => {
    expect(() => readConfig({ ...NEEDED, [name]: value })).toThrow(message);
  });

  it("names everything that is missing at once", () => {
    expect(() => readConfig({})).toThrow(/POSTGREST_URL.*\n.*PORTKEY_URL.*\n.*GATEWAY_TOKEN: expected a JWT/);
  });
});
