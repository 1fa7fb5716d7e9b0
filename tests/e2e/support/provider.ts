// The demo provider as an oracle: names that steer it, and what it says it served.
import { randomUUID } from "node:crypto";
import { inject } from "vitest";
import type { Usage } from "../../../stack/provider/endpoint.ts";
import type { LogEntry } from "../../../stack/provider/server.ts";

export type { LogEntry };

/** An upstream model name of the test's own. Its suffixes steer the demo provider: see stack/provider/behaviour.ts. */
export const upstreamName = (suffixes = ""): string => `up-${randomUUID().slice(0, 8)}${suffixes}`;

/** What the demo provider was asked for an upstream model, oldest first. */
export async function providerLog(upstreamModel: string): Promise<LogEntry[]> {
  const url = `${inject("stack").provider_url}/_log?model=${encodeURIComponent(upstreamModel)}`;
  return (await (await fetch(url)).json()) as LogEntry[];
}

/** The only call the demo provider got for an upstream model. */
export async function onlyProviderCall(upstreamModel: string): Promise<LogEntry> {
  const entries = await providerLog(upstreamModel);
  if (entries.length !== 1 || !entries[0]) throw new Error(`${entries.length} calls of ${upstreamModel}, expected one`);
  return entries[0];
}

/** The tokens that the only call of an upstream model really used. */
export async function providedUsage(upstreamModel: string): Promise<Usage> {
  const { usage } = await onlyProviderCall(upstreamModel);
  if (usage === null) throw new Error(`the call of ${upstreamModel} was not served`);
  return usage;
}
