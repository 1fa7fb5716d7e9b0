import { describe, expect, it } from "vitest";
import { clientHeaders, rateLimitHeaders, readVirtualKey, servedTarget, upstreamHeaders } from "../../proxy/headers.ts";

describe("readVirtualKey", () => {
  it.each<[Record<string, string>, string | null]>([
    [{ "x-virtual-key": "vk_a", authorization: "Bearer vk_b", "x-api-key": "vk_c" }, "vk_a"],
    [{ authorization: "Bearer vk_b", "x-api-key": "vk_c" }, "vk_b"],
    [{ authorization: "bearer  vk_b " }, "vk_b"],
    [{ authorization: "Bearer eyJhbGciOi", "x-api-key": "vk_c" }, "vk_c"],
    [{ authorization: "Bearer sk-wrong" }, "sk-wrong"],
    [{ authorization: "Basic dXNlcjpwYXNz" }, null],
    [{ "x-virtual-key": "", "x-api-key": "" }, null],
    [{}, null],
  ])("of %j is %j", (headers, key) => {
    expect(readVirtualKey(headers)).toBe(key);
  });
});

describe("upstreamHeaders", () => {
  const call = { contentType: "application/json", portkeyConfig: {}, requestId: "id" };

  it("takes nothing from the client but what is on the list", () => {
    const client = {
      authorization: "Bearer vk_a",
      "x-api-key": "vk_a",
      "x-virtual-key": "vk_a",
      cookie: "a=b",
      "x-portkey-config": "{}",
      "x-portkey-custom-host": "http://evil.test",
      "x-portkey-provider": "evil",
      "x-request-id": "theirs",
      "content-type": "text/evil",
      "openai-organization": "org",
      "x-forwarded-for": "1.2.3.4",
      "anthropic-beta": "a,b",
      "anthropic-version": "2023-06-01",
    };
    expect(upstreamHeaders({ ...call, client })).toEqual({
      "content-type": "application/json",
      "x-portkey-config": "{}",
      "x-portkey-forward-headers": "x-request-id,anthropic-version,anthropic-beta",
      "x-request-id": "id",
      "anthropic-beta": "a,b",
      "anthropic-version": "2023-06-01",
    });
  });

  it("leaves out a listed header whose value is not printable ASCII", () => {
    const headers = upstreamHeaders({ ...call, client: { "anthropic-beta": "a\u00e9", "anthropic-version": "" } });
    expect(headers).not.toHaveProperty("anthropic-beta");
    expect(headers).not.toHaveProperty("anthropic-version");
  });

  it("writes the config in printable ASCII that reads back the same", () => {
    const portkeyConfig = { name: "naïve 漢字 😀", line: "a\nb\u007f" };
    const written = upstreamHeaders({ ...call, client: {}, portkeyConfig })["x-portkey-config"] ?? "";
    expect(written).toMatch(/^[\x20-\x7e]+$/);
    expect(JSON.parse(written)).toEqual(portkeyConfig);
  });
});

describe("clientHeaders", () => {
  it("passes the grant's rate limit headers and nothing else of it", () => {
    const grant = {
      "X-RateLimit-Limit-Requests": "60",
      "set-cookie": "a=b",
      "x-ratelimit-bad": "a\r\nb",
      Location: "/",
    };
    expect(clientHeaders(grant, "application/json; charset=utf-8")).toEqual({
      "x-ratelimit-limit-requests": "60",
      "content-type": "application/json; charset=utf-8",
      "x-content-type-options": "nosniff",
    });
  });

  it("keeps a stream from being buffered", () => {
    expect(clientHeaders({}, "text/event-stream")).toMatchObject({
      "cache-control": "no-cache",
      "x-accel-buffering": "no",
    });
  });

  it("does not let a provider send a page", () => {
    expect(clientHeaders(null, "text/html")["content-type"]).toBe("application/octet-stream");
    expect(clientHeaders(null, "audio/mpeg")["content-type"]).toBe("audio/mpeg");
  });
});

describe("rateLimitHeaders", () => {
  it("keeps retry-after and x-ratelimit-*", () => {
    const headers = { "retry-after": "1", "x-ratelimit-remaining-tokens": 5, server: "postgrest", connection: "close" };
    expect(rateLimitHeaders(headers)).toEqual({ "retry-after": "1", "x-ratelimit-remaining-tokens": "5" });
    expect(rateLimitHeaders(undefined)).toEqual({});
  });

  it("takes the last of several, for PostgREST puts its own before the database's", () => {
    expect(rateLimitHeaders({ "retry-after": ["0", "5"] })).toEqual({ "retry-after": "5" });
  });
});

describe("servedTarget", () => {
  it.each<[string | string[] | undefined, number | null]>([
    ["config.targets[1]", 1],
    ["config", 0],
    ["config.targets[9], config.targets[0]", 0],
    [["config.targets[9]", "config.targets[2]"], 2],
    ["config.targets[1].targets[0]", 1],
    ["config.targets[12]", 12],
    [undefined, null],
    ["", null],
    ["config.targets[1], ", null],
    ["evil.targets[1]", null],
    ["config.targets[-1]", null],
  ])("of %j is %j", (header, index) => {
    expect(servedTarget(header)).toBe(index);
  });
});
