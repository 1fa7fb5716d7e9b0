// Prometheus's own checker of rules, from PATH.
import { spawnSync } from "node:child_process";

/** Whether there is one. With REQUIRE_PROMTOOL=1 there must be. */
export const hasPromtool = spawnSync("promtool", ["--version"]).status === 0;

if (!hasPromtool && process.env.REQUIRE_PROMTOOL === "1") {
  throw new Error("REQUIRE_PROMTOOL=1, but there is no promtool on PATH");
}

/** What did not run for want of it. */
export const promtoolNotice = hasPromtool
  ? undefined
  : "The Prometheus alerts were not tested: there is no promtool on PATH (it is part of Prometheus).";
