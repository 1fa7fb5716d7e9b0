import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { Webhook } from "standardwebhooks";
import { Agent, request } from "undici";
import { isPublicAddress } from "./addresses.ts";

const TIMEOUT_MS = 10_000;
const RESPONSE_LIMIT_BYTES = 65_536;

export interface WebhookRequest {
  /** webhook-id: the same for every attempt. */
  id: string;
  url: string;
  /** whsec_…; one signature for each. */
  secrets: string[];
  body: string;
  /** Whether private and loopback addresses are allowed. */
  allowPrivate: boolean;
}

export interface WebhookResult {
  /** Null when there was no answer. */
  status: number | null;
  /** What was wrong; null for a success (2xx). */
  error: string | null;
  latencyMs: number;
}

/** Posts a webhook, signed as Standard Webhooks says. Follows no redirect, and never throws for what the other side does. */
export async function postWebhook(webhook: WebhookRequest, timeoutMs = TIMEOUT_MS): Promise<WebhookResult> {
  const startMs = performance.now();
  const result = await attempt(webhook, AbortSignal.timeout(timeoutMs)).catch((error: unknown) => ({
    status: null,
    error: reason(error, timeoutMs),
  }));
  return { ...result, latencyMs: Math.round(performance.now() - startMs) };
}

async function attempt(
  { id, url, secrets, body, allowPrivate }: WebhookRequest,
  signal: AbortSignal,
): Promise<Pick<WebhookResult, "status" | "error">> {
  const target = new URL(url);
  const address = await within(resolve(target.hostname, allowPrivate), signal);
  const now = new Date();
  // The connection goes to the address that was looked at: asking the DNS again might give another one.
  const agent = new Agent({
    connect: {
      lookup: (_host, options, callback) =>
        options.all ? callback(null, [address]) : callback(null, address.address, address.family),
    },
    pipelining: 0,
  });
  try {
    const response = await request(target, {
      method: "POST",
      dispatcher: agent,
      signal,
      headers: {
        "content-type": "application/json",
        "user-agent": "Neuropia-Webhooks/1",
        "webhook-id": id,
        "webhook-timestamp": String(Math.floor(now.getTime() / 1000)),
        "webhook-signature": secrets.map((secret) => new Webhook(secret).sign(id, now, body)).join(" "),
      },
      body,
    });
    await response.body.dump({ limit: RESPONSE_LIMIT_BYTES, signal }).catch(() => {});
    const ok = response.statusCode >= 200 && response.statusCode < 300;
    return { status: response.statusCode, error: ok ? null : `The endpoint answered ${response.statusCode}.` };
  } finally {
    await agent.destroy();
  }
}

/** The address to connect to. Throws unless every address of the name may be connected to. */
async function resolve(hostname: string, allowPrivate: boolean): Promise<{ address: string; family: number }> {
  const host = hostname.replace(/^\[|\]$/g, "");
  const addresses = isIP(host) ? [{ address: host, family: isIP(host) }] : await lookup(host, { all: true });
  const [first] = addresses;
  if (first === undefined) throw new WebhookError("The host has no address.");
  if (!allowPrivate && !addresses.every(({ address }) => isPublicAddress(address))) {
    throw new WebhookError("The address is not one of the public internet.");
  }
  return first;
}

async function within<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  return Promise.race([work, aborted]);
}

class WebhookError extends Error {}

/** In words for the endpoint's owner, and without addresses: they would tell about the network that the worker is in. */
function reason(error: unknown, timeoutMs: number): string {
  if (error instanceof WebhookError) return error.message;
  const { name, code } = error as { name?: string; code?: string };
  if (name === "TimeoutError" || name === "AbortError" || code === "UND_ERR_CONNECT_TIMEOUT") {
    return `There was no answer within ${timeoutMs / 1000} seconds.`;
  }
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return "The host's name could not be resolved.";
  return `The connection failed${code === undefined ? "" : ` (${code})`}.`;
}
