import { describe, expect, it } from "vitest";
import { ApiError, errorBody, postgrestError, sanitize, toApiError, upstreamError } from "../../proxy/errors.ts";

const SECRETS = ["platform-secret-1", "http://127.0.0.1:9100/openai/v1"];

function upstream(status: number, body: unknown, more: { providerTried?: boolean; retryAfter?: string } = {}) {
  return upstreamError({
    status,
    body: typeof body === "string" ? body : JSON.stringify(body),
    providerTried: more.providerTried ?? true,
    retryAfter: more.retryAfter ?? null,
    secrets: SECRETS,
  });
}

const providerError = (error: object) => ({ error, provider: "openai" });

describe("upstreamError", () => {
  it("keeps the provider's words where the caller can act on them", () => {
    const reported = {
      message: "openai error: 'temperature' is too high",
      type: "t",
      param: "temperature",
      code: "bad_value",
    };
    expect(upstream(400, providerError(reported))).toMatchObject({
      status: 400,
      code: "upstream_error",
      message: "'temperature' is too high",
      param: "temperature",
      upstreamCode: "bad_value",
    });
  });

  it.each([500, 503, 529, 429])("keeps status %i but not the provider's words", (status) => {
    const error = upstream(status, providerError({ message: "limit of org-abc123 reached", code: null, type: null }));
    expect(error).toMatchObject({ status, code: "upstream_error", upstreamCode: null });
    expect(error.message).not.toContain("org-");
  });

  it("passes retry-after on when it is a number of seconds", () => {
    expect(upstream(429, "{}", { retryAfter: "7" }).headers).toEqual({ "retry-after": "7" });
    expect(upstream(429, "{}", { retryAfter: "7\r\nx: y" }).headers).toEqual({});
  });

  it.each([
    [401, { message: "Incorrect API key provided: sk-abc", code: "invalid_api_key" }],
    [402, { message: "pay" }],
    [403, { message: "no" }],
    [400, { message: "not in good standing", code: "Arrearage" }],
    [429, { message: "You exceeded your current quota", code: "insufficient_quota" }],
    [400, { message: "Your credit balance is too low to access the Anthropic API.", type: "invalid_request_error" }],
  ])("blames %i %j on the platform, not on the caller's key", (status, error) => {
    const { message, ...rest } = upstream(status, providerError(error));
    expect(rest).toMatchObject({ status: 502, code: "provider_auth_failed", upstreamCode: null });
    expect(message).not.toMatch(/key|quota|balance|standing/i);
  });

  it("calls a timeout of Portkey's upstream_timeout", () => {
    const body = {
      error: { message: "Request exceeded the timeout sent in the request: 300ms", type: "timeout_error" },
    };
    expect(upstream(408, body)).toMatchObject({ status: 504, code: "upstream_timeout" });
  });

  it("hides the address of a provider that cannot be reached", () => {
    const body = {
      "html-message": "Message: fetch failed Cause: Error: connect ECONNREFUSED 10.1.2.3:443 Name: TypeError",
    };
    expect(upstream(500, body)).toMatchObject({ status: 502, code: "upstream_error" });
    expect(upstream(500, body).message).not.toContain("10.1.2.3");
  });

  it.each([
    { "html-message": "<html>nginx at 10.1.2.3</html>" },
    { error: { message: 'Invalid response received from anthropic: {"html-message":"<html>10.1.2.3</html>"}' } },
    "<html>10.1.2.3</html>",
  ])("hides a page: %j", (body) => {
    expect(upstream(502, body)).toMatchObject({ status: 502, code: "upstream_error" });
    expect(upstream(400, body).message).toBe("The provider refused the request.");
  });

  it.each([
    [500, { status: "failure", message: "Something went wrong" }],
    [
      400,
      {
        status: "failure",
        message: "Invalid config passed",
        errors: ["path: targets,0, message: Invalid custom host"],
      },
    ],
    [431, ""],
  ])("calls Portkey's own %i gateway_unavailable", (status, body) => {
    expect(upstream(status, body, { providerTried: false })).toMatchObject({
      status: 502,
      code: "gateway_unavailable",
    });
  });
});

describe("sanitize", () => {
  it.each([
    ["key platform-secret-1 refused", "key [hidden] refused"],
    ["see https://internal.example.com/v1?x=1.", "see [hidden]"],
    ["Incorrect API key provided: sk-proj-ab***yz", "Incorrect API key provided: [hidden]"],
    ["Bearer abc.def", "[hidden]"],
    ["connect ECONNREFUSED 10.0.0.1:8080", "connect ECONNREFUSED [hidden]"],
    ["connect ECONNREFUSED [::1]:8080", "connect ECONNREFUSED [hidden]"],
    ["getaddrinfo ENOTFOUND db.internal", "getaddrinfo ENOTFOUND [hidden]"],
    ["localhost:9100 and gw.example.com:8443", "[hidden] and [hidden]"],
    ["in organization org-abcdef on tokens", "in organization [hidden] on tokens"],
    ["max_tokens: 5 is above 4.5, see item 12:30", "max_tokens: 5 is above 4.5, see item 12:30"],
  ])("%j becomes %j", (message, clean) => {
    expect(sanitize(message, SECRETS)).toBe(clean);
  });

  it("bounds the length", () => {
    expect(sanitize("x".repeat(5_000), [])).toHaveLength(1_000);
    expect(sanitize(`${"word ".repeat(199)}gateway.of.ours.internal`, [])).toBe(`${"word ".repeat(198)}word`);
    expect(sanitize(`${"word ".repeat(300)}platform-secret-1`, SECRETS)).not.toContain("platform");
  });

  it("is not held up by what a provider repeats: megabytes of it took minutes", () => {
    for (const piece of ["a.", "a-", "Bearer ", "[:", "a://", "a.a:"]) {
      expect(sanitize(piece.repeat(2_000_000), []).length).toBeLessThanOrEqual(1_000);
    }
  });
});

describe("postgrestError", () => {
  it("passes on what the database decided", () => {
    const body = { code: "rate_limit_exceeded", message: "Too fast.", details: null, hint: "Wait." };
    const error = postgrestError(429, { "retry-after": "1" }, body);
    expect(error).toMatchObject({ status: 429, code: "rate_limit_exceeded", message: "Too fast. Wait." });
    expect(error.headers).toEqual({ "retry-after": "1" });
  });

  it.each([
    [503, { code: "PGRST001", message: "no connection to 10.0.0.5" }],
    [401, { code: "PGRST301", message: "JWSError" }],
    [404, { code: "PGRST202", message: "no such function" }],
    [400, { code: "22P02", message: "invalid input syntax" }],
    [500, undefined],
  ])("calls %i %j database_unavailable", (status, body) => {
    const error = postgrestError(status, {}, body);
    expect(error).toMatchObject({ status: 503, code: "database_unavailable", headers: { "retry-after": "2" } });
    expect(error.message).not.toContain("10.0.0.5");
  });
});

describe("errorBody", () => {
  const error = new ApiError(402, "account_overdue", "Top up.", { param: "p", upstreamCode: "u" });

  it("has OpenAI's shape", () => {
    expect(errorBody(error, "openai", "id")).toEqual({
      error: {
        message: "Top up.",
        type: "insufficient_quota",
        param: "p",
        code: "account_overdue",
        upstream_code: "u",
      },
    });
  });

  it("has Anthropic's shape", () => {
    expect(errorBody(error, "anthropic", "id")).toEqual({
      type: "error",
      error: { type: "billing_error", message: "Top up.", code: "account_overdue", upstream_code: "u" },
      request_id: "id",
    });
  });

  it("has PostgREST's shape", () => {
    expect(errorBody(error, "postgrest", "id")).toEqual({
      code: "account_overdue",
      message: "Top up.",
      details: null,
      hint: null,
    });
  });

  it.each([
    [400, "invalid_request_error", "invalid_request_error"],
    [401, "authentication_error", "authentication_error"],
    [403, "permission_error", "permission_error"],
    [404, "invalid_request_error", "not_found_error"],
    [413, "invalid_request_error", "request_too_large"],
    [429, "rate_limit_error", "rate_limit_error"],
    [502, "server_error", "api_error"],
    [504, "server_error", "timeout_error"],
    [529, "server_error", "overloaded_error"],
  ])("types %i as %s for OpenAI and %s for Anthropic", (status, openai, anthropic) => {
    const { message, code } = error;
    const typed = new ApiError(status, code, message);
    expect(errorBody(typed, "openai", "id")).toMatchObject({ error: { type: openai } });
    expect(errorBody(typed, "anthropic", "id")).toMatchObject({ error: { type: anthropic } });
  });
});

describe("toApiError", () => {
  it("tells nothing about an unforeseen error, but keeps it as the cause", () => {
    const cause = new Error("password=hunter2");
    expect(toApiError(cause)).toMatchObject({ status: 500, code: "internal_error", cause });
    expect(toApiError(cause).message).not.toContain("hunter2");
  });
});
