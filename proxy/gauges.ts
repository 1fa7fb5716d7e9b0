import type { Calls } from "./calls.ts";
import type { Gateway } from "./gateway.ts";
import { checkHealth } from "./health.ts";
import type { Journal } from "./journal.ts";
import type { Metrics } from "./metrics.ts";
import type { PortkeyPool } from "./portkey-pool.ts";
import type { Recorder } from "./recorder.ts";

type Parts = {
  gateway: Gateway;
  portkey: PortkeyPool;
  journal: Journal;
  recorder: Recorder;
  calls: Calls;
  /** Whether the connections that leases need are there, by name. */
  states: () => Record<string, boolean>;
};

/** What the metrics say of the proxy's present state: read when they are, so that it costs no call anything. */
export function addGauges(metrics: Metrics, { gateway, portkey, journal, recorder, calls, states }: Parts): void {
  metrics.gauge("calls_in_flight", "AI calls under way", () => calls.size);
  metrics.gauge("usage_unsettled", "Usage events not in the database yet", () => recorder.unsettled);
  metrics.gauge("journal_depth", "Calls in the journal that are not acknowledged", () => journal.depth);
  metrics.gauge("journal_bytes", "Size of the journal on the disk", () => journal.bytes);
  metrics.gauge("journal_corrupt_lines", "Lines of the journal unreadable at the start", () => journal.corruptLines);
  metrics.gauge("journal_dead_letters", "Usage events put aside for good, kept in a file", () => journal.deadLetters);

  const ageOfOldest = (): number => {
    const closedAtMs = journal.oldestClosedAtMs;
    return closedAtMs === null ? 0 : (Date.now() - closedAtMs) / 1_000;
  };
  metrics.gauge("journal_oldest_seconds", "Since the oldest call in the journal was closed", ageOfOldest, "max");
  const isStalled = (): number => (recorder.isAway ? 1 : 0);
  metrics.gauge("recording_stalled", "Whether the database did not take the usage it was sent last", isStalled, "max");
  metrics.gauge("portkeys_left_out", "Portkeys that do not answer", () => portkey.leftOut, "max");

  metrics.dependencies(async () => {
    const health = Object.entries(await checkHealth({ gateway, portkey, journal }));
    return { ...Object.fromEntries(health.map(([name, state]) => [name, state === "ok"])), ...states() };
  });
}
