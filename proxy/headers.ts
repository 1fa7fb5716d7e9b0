import type { IncomingHttpHeaders } from "node:http";

/**
 * The caller's virtual key: `x-virtual-key`, `Authorization: Bearer vk_…` or `x-api-key`, in this order. Any other bearer
 * token counts as a wrong key, so that its owner reads "invalid" and not "missing".
 */
export function readVirtualKey(headers: IncomingHttpHeaders): string | null {
  const bearer = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? "")?.[1] ?? null;
  const candidates = [
    single(headers["x-virtual-key"]),
    bearer?.startsWith("vk_") ? bearer : null,
    single(headers["x-api-key"]),
    bearer,
  ];
  return candidates.find((key) => key !== null && key !== "") ?? null;
}

const FORWARDED = ["anthropic-version", "anthropic-beta"];
const FOR_THE_PROVIDER = ["x-request-id", ...FORWARDED].join(",");

/** The headers of the call to Portkey: nothing of the client's but what is on the list, which the provider gets too. */
export function upstreamHeaders(call: {
  client: IncomingHttpHeaders;
  contentType: string;
  portkeyConfig: object;
  requestId: string;
}): Record<string, string> {
  const headers: Record<string, string> = {
    "content-type": call.contentType,
    "x-portkey-config": configHeader(call.portkeyConfig),
    "x-portkey-forward-headers": FOR_THE_PROVIDER,
    "x-request-id": call.requestId,
  };
  for (const name of FORWARDED) {
    const value = single(call.client[name]);
    if (value !== null && /^[\x20-\x7e]{1,1000}$/.test(value)) headers[name] = value;
  }
  return headers;
}

/** By config: the calls of a lease have one in common. */
const configHeaders = new WeakMap<object, string>();

function configHeader(config: object): string {
  const known = configHeaders.get(config);
  if (known !== undefined) return known;
  const header = asciiJson(config);
  configHeaders.set(config, header);
  return header;
}

/** JSON for a header: whatever is not printable ASCII becomes `\uXXXX`. */
function asciiJson(value: object): string {
  return JSON.stringify(value).replace(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

const CONTENT_TYPES =
  /^(application\/json|text\/event-stream|text\/plain|text\/vtt|application\/octet-stream|audio\/|image\/)/;

/** The headers of the response: the database's rate limit headers, and the content type when it is one we expect. */
export function clientHeaders(grantHeaders: unknown, contentType: string): Record<string, string> {
  const type = CONTENT_TYPES.test(contentType) ? contentType : "application/octet-stream";
  const headers: Record<string, string> = { ...rateLimitHeaders(grantHeaders), "content-type": type };
  headers["x-content-type-options"] = "nosniff";
  if (type.startsWith("text/event-stream")) {
    headers["cache-control"] = "no-cache";
    headers["x-accel-buffering"] = "no";
  }
  return headers;
}

/**
 * Of foreign headers, `retry-after` and `x-ratelimit-*`. Of one that is there more than once the last counts: PostgREST puts
 * a `retry-after` of its own before the database's when the status is 503.
 */
export function rateLimitHeaders(headers: unknown): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers ?? {})
      .map(([name, value]) => [name.toLowerCase(), String([value].flat().at(-1))] as const)
      .filter(([name, value]) => /^(retry-after|x-ratelimit-[\w-]+)$/.test(name) && /^[\x20-\x7e]*$/.test(value)),
  );
}

/**
 * Which target answered, from Portkey's `x-portkey-last-used-option-index`. Portkey appends its value to one an upstream may
 * have sent, so the last counts; of a nested path (`config.targets[0].targets[1]`) the first number.
 *
 * @returns null when Portkey named none: it failed before or after the providers
 */
export function servedTarget(header: string | string[] | undefined): number | null {
  const last = (Array.isArray(header) ? header.join(",") : (header ?? "")).split(",").at(-1)?.trim() ?? "";
  if (last === "config") return 0;
  const index = /^config\.targets\[(\d{1,4})\]/.exec(last)?.[1];
  return index === undefined ? null : Number(index);
}

function single(value: string | string[] | undefined): string | null {
  return (Array.isArray(value) ? value[0] : value) ?? null;
}
