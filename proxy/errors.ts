import { isObject, objectOf, parseJson } from "./json.ts";

/** The status logged and recorded for a client that did not wait for its response. */
export const CLIENT_CLOSED_REQUEST = 499;

type Details = { param?: string; headers?: Record<string, string>; upstreamCode?: string; cause?: unknown };

/** An error the client gets to see. Its message must hold no address, key or other secret. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly code: string;
  readonly param: string | null;
  readonly headers: Record<string, string>;
  /** The provider's own code, beside ours. */
  readonly upstreamCode: string | null;

  constructor(status: number, code: string, message: string, details: Details = {}) {
    super(message, { cause: details.cause });
    this.status = status;
    this.code = code;
    this.param = details.param ?? null;
    this.headers = details.headers ?? {};
    this.upstreamCode = details.upstreamCode ?? null;
  }
}

/** Who reads the error: OpenAI's clients, Anthropic's, or PostgREST's (the management routes). */
export type ErrorShape = "openai" | "anthropic" | "postgrest";

/** The body of an error response. */
export function errorBody(error: ApiError, shape: ErrorShape, requestId: string): object {
  const { message, code, param } = error;
  if (shape === "postgrest") return { code, message, details: null, hint: null };
  const upstream = error.upstreamCode === null ? {} : { upstream_code: error.upstreamCode };
  if (shape === "anthropic") {
    const type = anthropicType(error.status);
    return { type: "error", error: { type, message, code, ...upstream }, request_id: requestId };
  }
  return { error: { message, type: openaiType(error.status), param, code, ...upstream } };
}

function openaiType(status: number): string {
  if (status === 401) return "authentication_error";
  if (status === 402) return "insufficient_quota";
  if (status === 403) return "permission_error";
  if (status === 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

const ANTHROPIC_TYPES: Record<number, string> = {
  401: "authentication_error",
  402: "billing_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  504: "timeout_error",
  529: "overloaded_error",
};

function anthropicType(status: number): string {
  return ANTHROPIC_TYPES[status] ?? (status >= 500 ? "api_error" : "invalid_request_error");
}

/** Any thrown value as an ApiError; what we did not foresee says nothing about itself. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof URIError) return new ApiError(400, "invalid_url", "The URL is not valid.");
  return new ApiError(500, "internal_error", "Something went wrong on our side.", { cause: error });
}

export const databaseUnavailable = (cause?: unknown): ApiError =>
  new ApiError(503, "database_unavailable", "The service is temporarily unavailable. Try again shortly.", {
    headers: { "retry-after": "2" },
    cause,
  });

export const journalUnavailable = (cause: unknown): ApiError =>
  new ApiError(503, "journal_unavailable", "The service is temporarily unavailable. Try again shortly.", {
    headers: { "retry-after": "5" },
    cause,
  });

/**
 * PostgREST's answer to a failed call. Codes in lower case are our own, raised by the database: they are passed on.
 * Anything else (SQLSTATEs, PGRST…) is a fault of the platform, never the client's.
 */
export function postgrestError(status: number, headers: Record<string, string>, body: unknown): ApiError {
  const { code, message, hint } = objectOf(body);
  if (typeof code === "string" && /^[a-z][a-z0-9_]+$/.test(code) && typeof message === "string") {
    return new ApiError(status, code, typeof hint === "string" ? `${message} ${hint}` : message, { headers });
  }
  return databaseUnavailable(new Error(`PostgREST answered ${status} ${String(code)}: ${String(message)}`));
}

export type UpstreamFailure = {
  status: number;
  body: string;
  /** Whether a provider answered or was tried; false when Portkey itself failed. */
  providerTried: boolean;
  retryAfter: string | null;
  /** Strings that must not appear in the message: the keys and addresses of the call's own targets. */
  secrets: string[];
};

/** Portkey's four error bodies, and the providers' inside them, as one error that gives nothing of ours away. */
export function upstreamError(failure: UpstreamFailure): ApiError {
  const { status } = failure;
  if (status === 408) return upstreamTimeout();
  if (!failure.providerTried) return gatewayUnavailable();
  const body = objectOf(parseJson(failure.body));
  const reported = isObject(body.error) ? body.error : {};
  const message = typeof reported.message === "string" ? reported.message : "";
  const upstreamCode = [reported.code, reported.type].find(
    (code) => typeof code === "string" && /^[\w.-]+$/.test(code),
  );

  if (isPlatformsAccount(status, String(reported.code ?? reported.type), message)) {
    return new ApiError(502, "provider_auth_failed", "The provider refused the platform's account. We are on it.");
  }
  const html = typeof body["html-message"] === "string" ? body["html-message"] : "";
  if (html.startsWith("Message: ")) return new ApiError(502, "upstream_error", "The provider could not be reached.");

  const headers =
    failure.retryAfter && /^\d{1,5}$/.test(failure.retryAfter) ? { "retry-after": failure.retryAfter } : {};
  return new ApiError(status, "upstream_error", explain(status, message, failure.secrets), {
    headers,
    ...(typeof upstreamCode === "string" && { upstreamCode }),
    ...(typeof reported.param === "string" && { param: reported.param.slice(0, 200) }),
  });
}

export const upstreamTimeout = (): ApiError =>
  new ApiError(504, "upstream_timeout", "The provider did not answer in time.");

export const upstreamInterrupted = (): ApiError =>
  new ApiError(502, "upstream_interrupted", "The provider ended its answer before it was complete.");

export const gatewayUnavailable = (cause?: unknown): ApiError =>
  new ApiError(502, "gateway_unavailable", "The routing gateway could not handle the call.", { cause });

/** The platform's key or its account with the provider is at fault, whatever status the provider chose for that. */
function isPlatformsAccount(status: number, code: string, message: string): boolean {
  if (status === 401 || status === 402 || status === 403) return true;
  return /^(Arrearage|insufficient_quota|billing_\w+)$/.test(code) || /credit balance is too low/i.test(message);
}

/** Statuses by which a provider tells the caller what to change: only there its own words are of use. */
const CALLERS_TO_FIX = new Set([400, 404, 409, 413, 415, 422]);

function explain(status: number, message: string, secrets: string[]): string {
  if (CALLERS_TO_FIX.has(status) && message !== "" && !message.startsWith("Invalid response received")) {
    return sanitize(message.replace(/^[\w-]+ error: /, ""), secrets);
  }
  if (status === 429) return "The provider is limiting its rate. Try again shortly.";
  if (status >= 500) return "The provider failed to answer.";
  return "The provider refused the request.";
}

const TELLTALES = [
  /\b[a-z][a-z+.-]*:\/\/[^\s"'<>)]+/gi,
  /\b(?:sk|pk|vk|rk|key)[-_][\w*.-]{4,}/gi,
  /\b(?:org|proj|acct|ws)[-_][\w-]{4,}/gi,
  /\bBearer\s+\S+/gi,
  /\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b/g,
  /\[[0-9a-f:.]*:[0-9a-f:.]*\](?::\d+)?/gi,
  /\b(?:localhost|[\w-]+(?:\.[\w-]+)*\.(?:internal|local|svc|lan|corp))(?::\d+)?\b/gi,
  /\b[\w-]+(?:\.[\w-]+)+:\d{2,5}\b/g,
];

const MOST_CHARACTERS = 1_000;

/**
 * A provider's message without keys, addresses and account names. Providers repeat what they were sent, and some of the
 * expressions above grow with the square of it: they see no more than is passed on.
 */
export function sanitize(message: string, secrets: string[]): string {
  let clean = message;
  for (const secret of secrets) if (secret.length >= 4) clean = clean.replaceAll(secret, "[hidden]");
  if (clean.length > MOST_CHARACTERS) {
    // Half a word could be half an address.
    const end = clean.lastIndexOf(" ", MOST_CHARACTERS);
    clean = clean.slice(0, end === -1 ? MOST_CHARACTERS : end);
  }
  for (const telltale of TELLTALES) clean = clean.replace(telltale, "[hidden]");
  return clean.slice(0, MOST_CHARACTERS);
}
