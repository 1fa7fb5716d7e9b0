import { describe, expect, it } from "vitest";
import { createLogger, hasKeyInQuery, loggablePath } from "../../proxy/log.ts";
import { secretsOf } from "../../proxy/portkey.ts";

describe("createLogger", () => {
  it.each([
    { authorization: "Bearer SECRET" },
    { headers: { authorization: "SECRET", "x-api-key": "SECRET", "x-virtual-key": "SECRET", cookie: "SECRET" } },
    { grant: { portkey_config: { targets: [{ api_key: "SECRET" }] } } },
    { req: { body: { virtual_key: "SECRET" } } },
  ])("hides the secret in %j", (value) => {
    const lines: string[] = [];
    createLogger("info", { write: (line: string) => void lines.push(line) }).info(value, "said");
    expect(lines.join()).toContain("[hidden]");
    expect(lines.join()).not.toContain("SECRET");
  });
});

describe("loggablePath", () => {
  it.each([
    ["/v1/chat/completions?a=vk_abc", "/v1/chat/completions"],
    ["/api/config/virtual-keys/vk_AbC123", "/api/config/virtual-keys/vk_[hidden]"],
    ["/api/config/virtual-keys/%76k_AbC123", "/api/config/virtual-keys/vk_[hidden]"],
    ["/rest/%zz", "/rest/%zz"],
  ])("of %s is %s", (url, path) => {
    expect(loggablePath(url)).toBe(path);
  });
});

describe("hasKeyInQuery", () => {
  it.each([
    ["/v1/models?key=vk_abc", true],
    ["/v1/models?key=%76k_abc", true],
    ["/v1/models?%zz=vk_abc", true],
    ["/v1/models?limit=5", false],
    ["/v1/models/vk_abc", false],
  ])("of %s is %s", (url, has) => {
    expect(hasKeyInQuery(url)).toBe(has);
  });

  it("tells a whole key from the prefix that keys are listed by", () => {
    const key = `vk_${"a1".repeat(16)}`;
    expect(hasKeyInQuery(`/rest/virtual_key?key_prefix=eq.${key.slice(0, 7)}`, true)).toBe(false);
    expect(hasKeyInQuery(`/rest/rpc/virtual_key_config?virtual_key=${key}`, true)).toBe(true);
    expect(hasKeyInQuery(`/rest/rpc/virtual_key_config?virtual_key=%76${key.slice(1)}`, true)).toBe(true);
  });
});

describe("secretsOf", () => {
  it("finds the keys and addresses at any depth of a Portkey config", () => {
    const target = { provider: "openai", api_key: "k1", custom_host: "http://10.0.0.1/v1" };
    const config = { strategy: { mode: "fallback" }, targets: [target, { targets: [{ api_key: "k2" }] }] };
    expect(secretsOf(config).toSorted()).toEqual(["http://10.0.0.1/v1", "k1", "k2"]);
  });
});
